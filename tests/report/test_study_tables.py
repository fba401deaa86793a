"""Tables of studies that were never run, whose gains are known."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fake_study import Fake, changed, write_store

from polyhead.core.errors import SettingError
from polyhead.core.specs import SearchSpec
from polyhead.report.printed_table import PrintedTable, as_csv, as_json, as_latex, as_markdown
from polyhead.report.study_curves import curve_points
from polyhead.report.study_record import StudyCellRecord, read_cells
from polyhead.report.study_scores import study_scores
from polyhead.report.study_seeds import seeds_table
from polyhead.report.study_tables import study_tables
from polyhead.report.study_view import View
from polyhead.selection.statistics import holm

NINE = ("ud/en_ewt", "ud/zh_gsdsimp", "ud/ar_padt", "ud/he_htb", "ud/de_gsd", "ud/nl_alpino")
CROSS = Fake(sources=NINE[:3], targets=NINE, arms=("ranked", "random", "highest", "depth"), n_sentences=120)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[StudyCellRecord]:
    store = tmp_path_factory.mktemp("store")
    write_store(
        store,
        CROSS,
        changed(CROSS, setting="multi-lingual", sources=NINE[:1], arms=("ranked",)),
        changed(CROSS, setting="multi-source", targets=NINE[:3], combine=("merged", "summed", "each"), arms=("ranked",)),
        changed(CROSS, setting="low-resource", sources=NINE[:1], targets=NINE[3:5], tenths=(1, 9), arms=("ranked",)),
    )
    return read_cells(store)


def table(cells: list[StudyCellRecord], name: str, view: View | None = None) -> PrintedTable:
    return study_tables(cells, view, only=name)[0]


def one_cell(tmp_path: Path, fake: Fake, view: View | None = None) -> dict[str, PrintedTable]:
    write_store(tmp_path, fake)
    return {own.name: own for own in study_tables(read_cells(tmp_path), view)}


def test_known_gains_are_recovered(cells: list[StudyCellRecord]) -> None:
    rows = study_scores(cells).rows
    means = [row for row in rows if row.gain.arm == "ranked" and row.gain.name is None]
    assert len(means) == 3 + 1 + 3 + 2
    inside = [
        row.gain.found.interval is not None and row.gain.found.interval.low < 1 < row.gain.found.interval.high for row in means
    ]
    assert sum(inside) >= len(means) - 1
    random = [row.gain.found.value for row in rows if row.gain.arm == "random" and row.gain.name is None]
    assert np.mean(random) == pytest.approx(0, abs=0.2)


def test_scores_are_those_of_the_cells_and_the_papers_stand_beside(cells: list[StudyCellRecord]) -> None:
    found = table(cells, "pos-scores")
    line = next(row for row in found.rows if (row["source"], row["target"]) == ("ud/en_ewt", "ud/zh_gsdsimp"))
    own = [c for c in cells if c.cell.setting == "cross-lingual" and c.cell.arm == "ranked" and c.cell.sources == ["ud/en_ewt"]]
    scores = [t for c in own if c.result for t in c.result.targets if t.name == "ud/zh_gsdsimp"]
    assert len(scores) == 5
    assert line["0_unpruned"] == pytest.approx(np.mean([t.unpruned["accuracy"] for t in scores]))
    assert line["0_gain"] == pytest.approx(np.mean([t.pruned["accuracy"] - t.unpruned["accuracy"] for t in scores]))
    assert line["0_heads"] == "4 (17 %)", "of 4 × 6"
    assert (line["paper_mbert_cross-lingual_unpruned"], line["paper_xlmr_multi-lingual_pruned"]) == (59.88, 95.99)
    assert line["1_unpruned"] is not None, "the multi-lingual scores stand on the same line"


def test_holms_family_is_one_printed_table(cells: list[StudyCellRecord]) -> None:
    for own in study_tables(cells, layout="long"):
        p = [row["p"] for row in own.rows]
        assert [row["p_holm"] for row in own.rows if row["p"] is not None] == pytest.approx(holm([x for x in p if x is not None]))
    scores = study_scores(cells)
    printed = table(cells, "pos-scores")
    shown = [row[key] for row in printed.rows for key in ("0_p_holm", "1_p_holm") if row.get(key) is not None]
    ranked = [r for r in scores.rows if r.gain.arm == "ranked" and r.family.facts.setting in ("cross-lingual", "multi-lingual")]
    assert sorted(shown) == pytest.approx(sorted(holm([r.gain.found.p for r in ranked if r.gain.found.p is not None])))


def test_controls_are_contrasts_paired_by_seed(cells: list[StudyCellRecord]) -> None:
    printed = table(cells, "pos-controls")
    line = next(row for row in printed.rows if (row["source"], row["target"]) == ("ud/en_ewt", "ud/de_gsd"))
    for arm in ("random", "highest", "depth"):
        assert line[f"{arm}_contrast_gain"] == pytest.approx(line["ranked_gain"] - line[f"{arm}_gain"])
    assert line["paper_random"] == -0.64
    shown = {column.key for column in printed.columns}
    assert {"paper_random", "paper_highest", "depth_gain"} <= shown
    assert "paper_depth" not in shown, "the paper has no such control"


def test_several_sources_and_little_data_have_their_tables(cells: list[StudyCellRecord]) -> None:
    rows = table(cells, "pos-multi-source").rows
    assert [row["target"] for row in rows if row["target"] != "mean over targets"] == ["ud/ar_padt", "ud/en_ewt", "ud/zh_gsdsimp"]
    assert all(row[f"{how}_gain"] is not None for row in rows for how in ("merged", "summed", "each"))
    assert {row["each_heads"] for row in rows} == {"4 (17 %)"}, "means over targets too"
    assert [row["paper_merged"] for row in rows if row["target"] == "ud/en_ewt"] == [82.99]
    assert [row["tenths"] for row in table(cells, "pos-low-resource").rows] == [10, 90, 10, 90]


def test_rankings_have_their_ceiling_and_closeness_its_permutations(cells: list[StudyCellRecord]) -> None:
    ranks = table(cells, "pos-ranks-tiny-gradient").rows
    assert len(ranks) == 3
    assert all(row["rho"] < row["ceiling"] for row in ranks)
    assert [row["paper_mbert"] for row in ranks if {row["a"], row["b"]} == {"ud/en_ewt", "ud/ar_padt"}] == [0.77]
    near = table(cells, "pos-closeness").rows
    assert {row["measure"] for row in near} >= {"featural distance", "genetic distance"}
    assert all(row["interval"] is not None and row["p"] is not None for row in near)


def test_gains_that_fall_with_distance_have_a_negative_rho(tmp_path: Path) -> None:
    near = {"de": 3.0, "nl": 2.9, "ar": 0.5, "he": 0.6, "zh": 0.0, "ja": 0.1}
    fake = Fake(
        targets=("ud/de_gsd", "ud/nl_alpino", "ud/ar_padt", "ud/he_htb", "ud/zh_gsdsimp", "ud/ja_gsd"),
        gain=lambda source, target: near[target[3:5]],
        arms=("ranked",),
    )
    rows = one_cell(tmp_path, fake)["pos-closeness"].rows
    found = {row["measure"]: row["rho"] for row in rows}
    assert found["genetic distance"] < -0.7


def test_seeds_without_a_ranking_are_left_out_and_counted(tmp_path: Path) -> None:
    """Gains have five seeds; the models of the other languages were ranked with three of them, that of one with a single one."""
    near = changed(CROSS, sources=NINE[:1], arms=("ranked",))
    others = changed(near, sources=NINE[1:5], targets=NINE[:1])
    write_store(tmp_path, near, changed(others, seeds=near.seeds[:3]), changed(others, sources=NINE[5:], seeds=near.seeds[4:]))
    rows = {row["measure"]: row for row in table(read_cells(tmp_path), "pos-closeness").rows}
    assert (rows["ranking similarity"]["seeds"], rows["ranking similarity"]["pairs"]) == (3, 4)
    assert (rows["genetic distance"]["seeds"], rows["genetic distance"]["pairs"]) == (5, 5)


def test_few_seeds_make_no_claim(tmp_path: Path) -> None:
    line = one_cell(tmp_path, changed(CROSS, seeds=(42, 43)))["pos-scores"].rows[0]
    assert (line["0_interval"], line["0_p_holm"], line["0_detectable"]) == ("2 seeds: no claim", None, None)
    (four,) = one_cell(tmp_path / "4", changed(CROSS, seeds=(42, 43, 44, 45), targets=NINE[:2], sources=NINE[:1]))[
        "pos-scores"
    ].rows
    assert isinstance(four["0_interval"], tuple)
    assert four["0_p_holm"] is None


def test_none_pruned_is_said(tmp_path: Path) -> None:
    line = one_cell(tmp_path, changed(CROSS, chosen=0))["pos-scores"].rows[0]
    assert (line["0_gain"], line["0_pruned"], line["0_interval"]) == ("0 (none pruned)", None, None)


def test_another_rule_uses_what_was_tested_and_leaves_the_rest_blank(tmp_path: Path) -> None:
    """Dev rises to k = 4 and falls after it; within 0.5 points of k = 0, k = 8 is the largest."""
    fake = changed(CROSS, sources=NINE[:1], targets=NINE[:3], arms=("ranked",))
    tables = one_cell(tmp_path / "few", fake, View(objective="within:0.5"))
    assert [row.get("0_gain") for row in tables["pos-scores"].rows] == [None, None]
    tables = one_cell(tmp_path / "all", changed(fake, test_every_k=True), View(objective="within:0.5"))
    long = study_tables(read_cells(tmp_path / "all"), View(objective="within:0.5"), layout="long")[0]
    assert long.rows[0]["k"] == "8, 8, 8, 8, 8"
    assert any("Heads pruned by the rule within:0.5" in note for note in tables["pos-scores"].notes)
    blank = study_tables(read_cells(tmp_path / "few"), View(objective="within:0.5"), layout="long")[0]
    assert [(row["target"], row["seeds"], row.get("gain")) for row in blank.rows] == [
        ("ud/zh_gsdsimp", 0, None),
        ("ud/ar_padt", 0, None),
    ]
    assert any("Blank: 10 test scores of 5 cells that no cell has kept (k = 8: 5 cells)" in note for note in blank.notes)
    same = study_tables(read_cells(tmp_path / "few"), View(objective="best"), layout="long")[0]
    assert [row["gain"] for row in same.rows] == [
        row["gain"] for row in study_tables(read_cells(tmp_path / "few"), layout="long")[0].rows
    ]


@pytest.mark.parametrize(
    ("fake", "said", "unsaid"),
    [
        (Fake(task="nli", sources=["xnli/en"], targets=["xnli/de", "xnli/zh"]), ["Holm's family"], ["Paper:", "chunk", "NER"]),
        (Fake(sources=["phrases/en"], targets=["phrases/de"]), ["Holm's family"], ["Paper:"]),
        (CROSS, ["Paper: Ma et al. 2021", "as chunk-F1"], ["other data"]),
        (Fake(seeds=(42,)), ["means over 1 seed", "No p below five seeds"], ["Interval", "Holm", "Detectable"]),
        (Fake(chosen=0), ["means over 5 seeds"], ["Interval", "No p below", "Detectable"]),
    ],
)
def test_notes_name_only_what_the_table_holds(tmp_path: Path, fake: Fake, said: list[str], unsaid: list[str]) -> None:
    tables = one_cell(tmp_path, fake)
    for name in (f"{fake.task}-scores", f"{fake.task}-controls"):
        below = " ".join(tables[name].notes)
        assert [one for one in said if one not in below] == []
        assert [one for one in unsaid if one in below] == []


def test_a_fixed_k_a_metric_and_languages_left_out(cells: list[StudyCellRecord]) -> None:
    zero = study_tables(cells, View(k=0), layout="long")[0]
    assert {row["gain"] for row in zero.rows} == {"0 (none pruned)"}
    chunks = study_scores(cells, View(metric="chunk_f1")).rows[0]
    assert chunks.unpruned != study_scores(cells).rows[0].unpruned
    left = table(cells, "pos-scores", View(without=frozenset({"zh-Hans", "ud/de_gsd"})))
    assert not {"ud/zh_gsdsimp", "ud/de_gsd"} & {row["target"] for row in left.rows}
    with pytest.raises(SettingError, match="the counts of a tag task give accuracy, chunk_f1"):
        study_tables(cells, View(metric="span_f1"))
    with pytest.raises(SettingError, match="give one of them"):
        View(objective="best", k=3)


def test_means_over_branches(cells: list[StudyCellRecord]) -> None:
    rows = table(cells, "pos-families", View(families=True)).rows
    line = next(row for row in rows if (row["source"], row["branch"]) == ("ud/ar_padt", "Germanic"))
    assert line["targets"] == 3
    left = table(cells, "pos-families", View(families=True, without=frozenset({"nl"}))).rows
    assert [row["targets"] for row in left if (row["source"], row["branch"]) == ("ud/ar_padt", "Germanic")][:1] == [2]
    single = {row["target"]: row["0_gain"] for row in table(cells, "pos-scores").rows if row["source"] == "ud/ar_padt"}
    assert line["gain"] == pytest.approx(np.mean([single[name] for name in ("ud/en_ewt", "ud/de_gsd", "ud/nl_alpino")]))


def test_the_papers_protocol_has_no_interval_but_another_rule_has(tmp_path: Path) -> None:
    fake = changed(CROSS, protocol="paper", search=SearchSpec(how="sweep"), test_every_k=True, sources=NINE[:1], arms=("ranked",))
    line = one_cell(tmp_path, fake)["pos-scores"].rows[0]
    assert (line["0_interval"], line["0_p_holm"], line["0_detectable"]) == (None, None, None)
    line = table(read_cells(tmp_path), "pos-scores", View(objective="best")).rows[0]
    assert isinstance(line["0_interval"], tuple)
    assert line["0_p_holm"] is not None


def test_under_the_papers_protocol_another_metric_chooses_k_too(tmp_path: Path) -> None:
    fake = changed(CROSS, protocol="paper", search=SearchSpec(how="sweep"), sources=NINE[:1], arms=("ranked",), test_every_k=True)
    write_store(tmp_path, fake)
    cells, view, target = read_cells(tmp_path), View(metric="chunk_f1"), NINE[4]
    sums = [[cell.counts(target, k)[:, 2:].sum(axis=0) for k in range(1, 13)] for cell in cells]
    best = [12 - int(np.argmax([2 * own[0] / (own[1] + own[2]) for own in reversed(by_k)])) for by_k in sums]
    row = next(row for row in study_scores(cells, view).rows if row.gain.name == target)
    assert sorted(row.ks) == sorted(best)
    assert set(best) != {4}, "what the cells chose by accuracy"
    sound = changed(fake, protocol="sound")
    write_store(tmp_path / "sound", sound)
    assert {row.ks for row in study_scores(read_cells(tmp_path / "sound"), view).rows if row.ks} == {(4,) * 5}


def test_separate_models_are_held_against_the_pool(tmp_path: Path) -> None:
    fake = changed(CROSS, search=SearchSpec(how="sweep", max_pruned=4), sources=NINE[:1], targets=NINE[:3], arms=("ranked",))
    write_store(tmp_path, fake)
    assert study_scores(read_cells(tmp_path)).rows[0].gain.noise is None
    write_store(tmp_path, changed(fake, arms=("noise",), seeds=range(100, 130)))
    rows = study_scores(read_cells(tmp_path)).rows
    assert all(row.gain.noise is not None and row.gain.beyond is not None for row in rows)


def test_a_pool_chose_as_the_search_did(tmp_path: Path) -> None:
    """Unpruned models whose dev score is that of another corpus or another protocol say nothing about this search's choice."""
    fake = changed(CROSS, search=SearchSpec(how="sweep", max_pruned=4), sources=NINE[:1], targets=NINE[:3], arms=("ranked",))
    write_store(tmp_path, fake, changed(fake, arms=("noise",), seeds=range(100, 130), select_on="target-dev"))
    write_store(tmp_path, changed(fake, arms=("noise",), seeds=range(100, 130), protocol="paper-released"))
    assert study_scores(read_cells(tmp_path)).rows[0].gain.noise is None


def test_a_nested_model_has_both_gains(tmp_path: Path) -> None:
    write_store(tmp_path, changed(CROSS, shift=2.0))
    row = next(row for row in study_scores(read_cells(tmp_path)).rows if row.gain.name is None)
    assert row.gain.of_mask is not None
    assert row.gain.found.value == pytest.approx(3, abs=0.5)
    assert row.gain.of_mask.value == pytest.approx(1, abs=0.5)
    printed = table(read_cells(tmp_path), "pos-scores")
    assert [column.title for column in printed.columns].count("gain of the mask") == 1
    line = next(line for line in printed.rows if line["target"] == "mean over targets")
    assert line["0_of_mask"] == row.gain.of_mask.value


def test_unknown_tables_are_named(cells: list[StudyCellRecord]) -> None:
    with pytest.raises(SettingError, match="did you mean 'pos-scores'"):
        study_tables(cells, only="pos-score")


def test_latex_is_balanced_and_escaped(cells: list[StudyCellRecord]) -> None:
    tables = study_tables(cells, View(families=True))
    text = as_latex(tables)
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == len(tables)
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    body = re.sub(r"\\multicolumn\{\d+\}\{c\}", "", text)
    for block in re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", body, re.DOTALL):
        rows = [line for line in block[1].splitlines() if line.endswith(r"\\") and r"\cmidrule" not in line]
        widths = {len(re.split(r"(?<!\\)&", line)) for line in rows}
        assert max(widths) == len(block[0])
    assert not re.search(r"(?<!\\)[%#$_]", re.sub(r"\$[^$]*\$|^%.*$|\\label\{.*\}", "", text, flags=re.MULTILINE))


def test_csv_and_json_hold_numbers(cells: list[StudyCellRecord]) -> None:
    tables = study_tables(cells)
    whole = json.loads(as_json(tables))
    assert [own["name"] for own in whole["tables"]] == [own.name for own in tables]
    lines = as_csv(tables[:1]).splitlines()
    assert lines[0].startswith("source,target,0_unpruned,0_pruned,0_heads,0_gain,0_interval_low,0_interval_high")
    assert len(lines) == len(tables[0].rows) + 1
    with pytest.raises(SettingError, match="choose one with --table NAME"):
        as_csv(tables)
    assert as_markdown(tables).count("## ") == len(tables)


def test_seeds_still_needed_fall_with_the_gain(cells: list[StudyCellRecord]) -> None:
    scores = study_scores(cells)
    small, large = ([row["needed"] or 1000 for row in seeds_table(scores, gain).rows] for gain in (0.2, 2.0))
    assert all(a >= b for a, b in zip(small, large, strict=True))
    assert set(large) == {5}


def test_no_number_of_seeds_is_named_where_k_was_chosen_on_the_test(tmp_path: Path) -> None:
    write_store(tmp_path, changed(CROSS, protocol="paper", search=SearchSpec(how="sweep"), sources=NINE[:1], arms=("ranked",)))
    rows = seeds_table(study_scores(read_cells(tmp_path)), 0.5).rows
    assert {(row["needed"], row["more"]) for row in rows} == {(None, "k chosen on the test: no number would do")}


def test_rankings_after_other_training_are_not_mixed(tmp_path: Path) -> None:
    """Two studies in one store that differ in how much they train on: two tables, and each gain beside its own similarity."""
    fake = changed(CROSS, arms=("ranked",))
    write_store(tmp_path / "one", fake)
    alone = study_tables(read_cells(tmp_path / "one"))
    write_store(tmp_path / "two", fake, changed(fake, train_limit=500, sources=NINE[:2], closeness_of_scores=0.9))
    both = {own.name: own for own in study_tables(read_cells(tmp_path / "two"))}
    ranks = [own for name, own in both.items() if name.startswith("pos-ranks")]
    assert sorted(len(own.rows) for own in ranks) == [1, 3]
    assert "train_limit" in ranks[1].title
    (whole,) = (own for own in ranks if len(own.rows) == 3)
    assert whole.rows == next(own for own in alone if own.name.startswith("pos-ranks")).rows


def test_curves_of_several_sources_are_not_averaged(tmp_path: Path) -> None:
    fake = changed(CROSS, setting="low-resource", sources=NINE[:2], targets=NINE[3:5], tenths=(1, 9), arms=("ranked",))
    write_store(tmp_path, fake)
    points = curve_points(study_scores(read_cells(tmp_path)))
    assert len({(point["panel"], point["share"], point["heads"]) for point in points}) == len(points) == 2 * 2 * 2 * 2
