"""The page says what happened, how sure it is, and what pruning cannot do."""

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import DATA, cell, record, statistic

from polyhead.core.errors import SettingError
from polyhead.report.document import write_document
from polyhead.report.draw import draw
from polyhead.report.finished_run import FinishedRun
from polyhead.report.notes import claim
from polyhead.report.page import ceilings, headline, page, write_report
from polyhead.report.pictures import cell_chart, write_picture
from polyhead.report.reading import arms
from polyhead.report.record import RunRecord
from polyhead.report.run_tables import gains_table
from polyhead.report.tables import contrast_table, control_table, data_table, markdown, score_table, trial_table


def rows(table: str) -> list[list[str]]:
    return [[field.strip() for field in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_scores_stand_with_their_gain() -> None:
    german, dutch, mean = rows(score_table(record()))
    assert german == ["ud/de_gsd", "de", "1,234", "50.00", "50.50", "+0.50", "2"]
    assert dutch[0] == "ud/a\\|b", "a bar in a name does not break the table"
    assert mean[3:6] == ["45.00", "46.00", "+1.00"]


def test_seeds_are_averaged_and_a_seed_that_pruned_nothing_gains_zero() -> None:
    several = record(cell(1), cell(2, chosen=0))
    german = rows(score_table(several))[0]
    assert german[3:] == ["50.00", "50.25", "+0.25", "2, 0"]


def test_a_target_where_no_seed_pruned_says_so() -> None:
    nothing = record(cell(1, chosen=0), cell(2, chosen=0))
    assert rows(score_table(nothing))[0][4:] == ["–", "–", "0 (none pruned)"]
    assert "No head was pruned: with all 3 heads the dev score was best" in headline(nothing)


def test_all_heads_are_called_best_only_if_others_were_tried() -> None:
    alone = cell(1, chosen=0)
    alone["trials"] = alone["trials"][:1]
    cases = {
        "k = 0 was the only number allowed (max_pruned = 0)": record(alone, search={"max_pruned": 0}),
        "only k = 0 was tried": record(alone, search={"max_pruned": 9}),
        "every other number tried lost more than 0.5 points": record(
            cell(1, chosen=0), search={"max_pruned": 9, "objective": "within:0.5"}
        ),
    }
    for said, case in cases.items():
        assert said in headline(case)
        assert "was best" not in headline(case)


def five(*statistics: dict[str, Any], **settings: Any) -> RunRecord:
    return record(*(cell(seed) for seed in range(1, 6)), statistics=list(statistics), **settings)


def test_a_gain_stands_with_how_sure_it_is() -> None:
    case = five(statistic("ud/de_gsd", 0.5, p=0.02), statistic("ud/a|b", 0.3, p=0.04), statistic(None, 0.5, p=0.001))
    german, dutch, mean = rows(score_table(case))
    assert german[-4:] == ["-0.10 to +1.10", "0.0200", "0.0400", "–"]
    assert dutch[-4:] == ["-0.30 to +0.90", "0.0400", "0.0800", "0.90"], "not found: what would have been stands beside it"
    assert mean[-4:] == ["-0.10 to +1.10", "0.0010", "0.0020", "–"]
    assert "95 % interval -0.10 to +1.10; 5 seeds" in headline(case)
    assert "95 % interval -0.20 to +1.00; detectable 0.90; 5 seeds" in headline(five(statistic(None, 0.4, p=0.3)))


def test_a_maximum_over_the_tested_split_stands_without_interval() -> None:
    withheld = {"interval": None, "detectable_gain": None}
    case = five(statistic("ud/de_gsd", 0.5, **withheld), statistic(None, 0.5, **withheld), protocol="paper")
    assert "interval" not in score_table(case)
    assert "(+1.00; no interval; 5 seeds)" in headline(case)
    assert "No interval and no p value: k was chosen on the tested split" in page(case)


def test_a_mean_without_a_pruned_head_is_no_gain() -> None:
    none = {"none_pruned": True, "interval": None, "detectable_gain": None}
    both = [cell(seed, arm, chosen=0) for seed in range(5) for arm in ("ranked", "random")]
    case = record(*both, statistics=[statistic(name, 0.0, **none) for name in ("ud/de_gsd", None)], controls=("random",))
    assert rows(score_table(case))[-1] == ["mean", "", "", "45.00", "–", "–", "0 (none pruned)"]
    assert [row[1] for row in rows(control_table(case))] == ["0 (none pruned)"] * 2
    assert gains_table([FinishedRun("a", Path("a"), case, None)]).splitlines()[-1] == "| mean | 0 (none pruned) |"


def test_no_p_is_printed_as_0() -> None:
    table = score_table(five(statistic("ud/de_gsd", 0.5, p=0.00001), statistic("ud/a|b", 0.5, p=0.2)))
    assert rows(table)[0][-3:-1] == ["<0.0001", "<0.0001"]
    assert table.splitlines()[1].endswith("|:--|--:|--:|--:|")


def test_four_seeds_have_an_interval_and_no_p() -> None:
    case = record(
        *(cell(seed) for seed in range(4)), statistics=[statistic(None, 0.4, n_seeds=4), statistic("ud/de_gsd", 0.9, n_seeds=4)]
    )
    lines = rows(score_table(case))
    assert lines[0][-2:] == ["+0.30 to +1.50", "–"], "an interval above zero is a gain that was found"
    assert lines[2][-2:] == ["-0.20 to +1.00", "0.90"]
    assert "| p |" not in page(case)
    assert "No p value below 5 seeds" in page(case)


@pytest.mark.parametrize(("n", "said"), [(1, "1 seed: no claim"), (2, "2 seeds: no claim")])
def test_below_three_seeds_there_is_no_interval_anywhere(n: int, said: str) -> None:
    statistics = [
        statistic(name, 0.4, arm=arm, n_seeds=n)
        for arm in ("ranked", "random", "ranked - random")
        for name in ("ud/de_gsd", "ud/a|b", None)
    ]
    cells = [cell(seed, arm) for seed in range(n) for arm in ("ranked", "random")]
    case = record(*cells, controls=("random",), statistics=statistics)
    text = page(case)
    assert f"(+1.00; {said})" in headline(case), "the number of seeds once"
    assert claim(case) == f"{said}."
    for table in (score_table(case), control_table(case), contrast_table(case)):
        for row in rows(table):
            assert said in row
    assert " to +" not in text.partition("## Heads")[0]
    assert "Student" not in text


def test_a_cell_that_pruned_nothing_has_no_interval() -> None:
    nothing = {"none_pruned": True, "interval": None, "detectable_gain": None}
    cells = [cell(seed) for seed in range(1, 6)]
    for own in cells:
        own["targets"][0]["k"] = 0
    case = record(*cells, statistics=[statistic("ud/de_gsd", 0.0, **nothing), statistic("ud/a|b", 0.3, p=0.04)])
    german, _, mean = rows(score_table(case))
    assert german[4:] == ["–", "–", "0 (none pruned)", "–", "–", "–", "–"]
    assert mean[-4:] == ["–"] * 4


def test_the_headline_carries_numbers_and_their_spread() -> None:
    said = headline(record())
    assert "Pruning 2 of 3 heads" in said
    assert "from 45.00 to 46.00 points (+1.00; single targets +0.50 to +1.50; 1 seed)" in said


def generated(*names: str) -> RunRecord:
    return record(cell(1), cell(2), cell(3), controls=("noise",), facts={"data": [{**DATA, "name": name} for name in names]})


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (record(), "1 seed: no claim. No controls: no claim of a gain."),
        (record(cell(1), cell(2)), "2 seeds: no claim. No controls: no claim of a gain."),
        (record(cell(1), cell(2), cell(3)), "No controls: no claim of a gain."),
        (record(cell(1), cell(1, "random"), controls=("random",)), "1 seed: no claim."),
        (record(cell(1), cell(2), cell(3), controls=("noise",)), ""),
        (record(cell(1), cell(2), cell(3), controls=("noise",), select_on="target-dev"), "Oracle: "),
        (record(cell(1), cell(2), cell(3), controls=("noise",), protocol="paper"), "Protocol `paper`: "),
        (generated("phrases/en", "phrases/de"), "All text of this run is generated from templates: "),
        (generated("ud/en_ewt", "phrases/de", "phrases/de"), "The text of phrases/de is generated from templates: "),
        (generated("ud/en_ewt", "phrases/mine.conllu"), ""),
    ],
)
def test_what_may_be_claimed(case: RunRecord, said: str) -> None:
    assert claim(case).startswith(said)
    assert bool(claim(case)) == bool(said)


def test_trials_mark_the_chosen_one() -> None:
    assert rows(trial_table(record())) == [
        ["42", "0", "90.00", "60", "", "none"],
        ["42", "2", "90.50", "59", "chosen", "0.0 1.0"],
    ]


def test_controls_stand_in_one_table_only_if_they_were_run() -> None:
    assert control_table(record()) == ""
    table = control_table(record(cell(1), cell(1, "random", gain=-0.5), cell(1, "highest", gain=-5.0)))
    assert [row[:2] for row in rows(table)] == [
        ["lowest-ranked heads", "+1.00"],
        ["random heads", "-1.00"],
        ["highest-ranked heads", "-10.00"],
    ]


CONTRASTS = [
    statistic(None, 1.0),
    statistic(None, -1.0, arm="random"),
    statistic("ud/de_gsd", 1.5, arm="ranked - random", p=0.0012),
    statistic(None, 0.5, arm="ranked - random", p=0.2),
]


def test_controls_stand_with_the_interval_of_their_mean_gain() -> None:
    case = record(cell(1), cell(1, "random", gain=-0.5), statistics=CONTRASTS)
    assert [row[:4] for row in rows(control_table(case))] == [
        ["lowest-ranked heads", "+1.00", "+0.40 to +1.60", "–"],
        ["random heads", "-1.00", "-1.60 to -0.40", "–"],
    ]


def test_ranked_heads_are_set_against_controls_and_the_pair_is_no_arm() -> None:
    assert contrast_table(record()) == ""
    case = record(cell(1), cell(1, "random", gain=-0.5), statistics=CONTRASTS)
    assert rows(contrast_table(case)) == [
        ["lowest-ranked heads minus random heads", "ud/de_gsd", "+1.50", "+0.90 to +2.10", "0.0012", "0.0024", "–"],
        ["lowest-ranked heads minus random heads", "mean over targets", "+0.50", "-0.10 to +1.10", "0.2000", "0.4000", "0.90"],
    ]
    assert arms(case) == ["ranked", "random"]
    assert "0.0012" not in score_table(case), "the pair's p is not the ranked arm's"
    assert "95 % interval +0.40 to +1.60" in headline(case)
    assert "## Ranked against controls" in page(case)
    assert "## Ranked against controls" not in page(record())


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [([0.1, 0.5], "helps beyond noise"), ([-0.1, 0.5], "within noise"), ([-0.5, -0.1], "hurts beyond noise")],
)
def test_noise_has_three_outcomes(bounds: list[float], verdict: str) -> None:
    noise = {"noise": {"mean": 0.1, "standard_error": 0.1}, "gain_minus_noise": {"value": 0.4, "interval": bounds}}
    (line,) = [line for line in page(five(statistic("ud/de_gsd", 0.5, **noise))).splitlines() if "gain minus" in line]
    assert line.endswith(f": {verdict}")
    assert "minus selection noise" in line


def test_masks_of_one_model_are_held_against_random_heads() -> None:
    row = statistic(None, 0.5, gain_minus_noise={"value": 0.4, "interval": [0.1, 0.7]})
    after = {"search": {"prune": "after"}}
    cells = [cell(seed, arm) for seed in range(5) for arm in ("ranked", "random")]
    text = page(record(*cells, statistics=[row], controls=("random",), **after))
    assert "- mean over targets (ranked): gain minus that of random heads +0.10 to +0.70: helps beyond noise" in text
    assert "a pool of re-seeded models cannot estimate" in text
    assert "`--controls random` adds a substitute" in page(five(statistic(None, 0.5), **after))


def test_the_page_says_which_words_were_scored() -> None:
    assert "words without a gold label are predicted but not scored" in page(record())


def test_provenance_has_date_and_command() -> None:
    text = page(record(facts={"date": "2021-08-01T00:00:00+00:00", "command": "polyhead run"}))
    assert "- date: 2021-08-01T00:00:00+00:00\n" in text
    assert "- command: `polyhead run`" in text
    assert "- command" not in page(record())


def test_data_show_repairs_and_lone_markers() -> None:
    (row,) = rows(data_table(record()))
    assert row[5] == "12.5 %"
    assert "3 x tag B-O read as O" in row


def test_ceilings_are_printed() -> None:
    text = ceilings(record().cost)
    assert "196,608" in text
    assert "10% of the model" in text
    assert "The embedding is 69%" in text
    assert "half of all heads saves at most 18%" in text


def test_the_page_is_complete_and_readable_without_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: object) -> object:
        if name in ("altair", "vl_convert"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    path = write_report(record(), tmp_path)
    assert write_picture(tmp_path / "heads.svg", lambda altair: cell_chart(altair, record().first)) is None
    text = path.read_text(encoding="utf-8")
    for heading in ("Test scores", "Trials", "Heads × layers", "What pruning can save", "Data", "Provenance"):
        assert f"## {heading}\n" in text
    assert "## Controls" not in text
    assert "layer | head 0 1" in text
    assert "![" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]


def test_a_picture_that_cannot_be_drawn_is_left_out_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SettingError("a chart cannot be drawn (x)")

    monkeypatch.setattr("polyhead.report.draw.write_picture", refuse)
    write_document(tmp_path / "result.json", record())
    draw(tmp_path)
    text = write_report(record(), tmp_path).read_text(encoding="utf-8")
    assert "layer | head 0 1" in text
    assert "![" not in text
    assert "no page: a chart cannot be drawn (x)" in caplog.text


def test_markdown_right_aligns_numbers() -> None:
    assert markdown(["a", "b"], [["x", "1.5"], ["y", "–"]]).splitlines()[1] == "|:--|--:|"
