"""The page says what happened, how sure it is, and what pruning cannot do."""

import builtins
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import DATA, cell, record

from polyhead.core.errors import SettingError
from polyhead.report import score_table, trial_table, write_report
from polyhead.report.draw import draw
from polyhead.report.notes import claim
from polyhead.report.page import ceilings, draw_heads, headline, page
from polyhead.report.reading import arms
from polyhead.report.record import RunRecord, write_document
from polyhead.report.tables import contrast_table, control_table, data_table, markdown


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
        "no other number than k = 0 was tried": record(alone, search={"max_pruned": 9}),
        "every other number tried lost more than 0.5 points": record(
            cell(1, chosen=0), search={"max_pruned": 9, "objective": "within:0.5"}
        ),
    }
    for said, case in cases.items():
        assert said in headline(case)
        assert "was best" not in headline(case)


def test_tests_stand_beside_the_gain() -> None:
    statistics = [
        {"arm": "ranked", "name": "ud/de_gsd", "language": "de", "gain": 0.5, "interval": [-0.1, 1.1], "p": 0.02, "p_holm": 0.04},
        {"arm": "ranked", "name": None, "language": "mean", "gain": 1.0, "interval": [0.2, 1.8], "p": None},
    ]
    tested = record(cell(1), cell(2), statistics=statistics)
    german, dutch, mean = rows(score_table(tested))
    assert german[-3:] == ["-0.10 to +1.10", "0.0200", "0.0400"]
    assert dutch[-3:] == ["–", "–", "–"]
    assert mean[7] == "+0.20 to +1.80"
    assert "95 % interval +0.20 to +1.80" in headline(tested)


def test_the_headline_carries_numbers_and_their_spread() -> None:
    said = headline(record())
    assert "Pruning 2 of 3 heads" in said
    assert "from 45.00 to 46.00 points (+1.00; single targets +0.50 to +1.50; 1 seed(s))" in said


def generated(*names: str) -> RunRecord:
    return record(cell(1), cell(2), controls=("noise",), facts={"data": [{**DATA, "name": name} for name in names]})


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (record(), "One seed, no controls: no claim of a gain."),
        (record(cell(1), cell(2)), "No controls: no claim of a gain."),
        (record(cell(1), cell(1, "random"), controls=("random",)), "One seed: no claim of a gain."),
        (record(cell(1), cell(2), controls=("noise",)), ""),
        (record(cell(1), cell(2), controls=("noise",), select_on="target-dev"), "Oracle: "),
        (record(cell(1), cell(2), controls=("noise",), protocol="paper"), "Protocol `paper`: "),
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
    {"arm": "ranked", "name": None, "language": "mean", "gain": 1.0, "interval": [0.2, 1.8], "p": None},
    {"arm": "random", "name": None, "language": "mean", "gain": -1.0, "interval": [-1.5, -0.5], "p": None},
    {
        "arm": "ranked - random",
        "name": "ud/de_gsd",
        "language": "de",
        "gain": 1.5,
        "interval": [1.1, 1.9],
        "p": 0.0012,
        "p_holm": 0.0024,
    },
    {"arm": "ranked - random", "name": None, "language": "mean", "gain": 2.0, "interval": [1.5, 2.5], "p": None},
]


def test_controls_stand_with_the_interval_of_their_mean_gain() -> None:
    case = record(cell(1), cell(1, "random", gain=-0.5), statistics=CONTRASTS)
    assert [row[:3] for row in rows(control_table(case))] == [
        ["lowest-ranked heads", "+1.00", "+0.20 to +1.80"],
        ["random heads", "-1.00", "-1.50 to -0.50"],
    ]


def test_ranked_heads_are_set_against_controls_and_the_pair_is_no_arm() -> None:
    assert contrast_table(record()) == ""
    case = record(cell(1), cell(1, "random", gain=-0.5), statistics=CONTRASTS)
    assert rows(contrast_table(case)) == [
        ["lowest-ranked heads minus random heads", "ud/de_gsd", "+1.50", "+1.10 to +1.90", "0.0012", "0.0024"],
        ["lowest-ranked heads minus random heads", "mean over targets", "+2.00", "+1.50 to +2.50", "–", "–"],
    ]
    assert arms(case) == ["ranked", "random"]
    assert "0.0012" not in score_table(case), "the pair's p is not the ranked arm's"
    assert "95 % interval +0.20 to +1.80" in headline(case)
    assert "## Ranked against controls" in page(case)
    assert "## Ranked against controls" not in page(record())


def test_no_p_where_k_was_chosen_on_the_tested_split() -> None:
    statistics = [
        {"arm": "ranked", "name": "ud/de_gsd", "language": "de", "gain": 0.5, "interval": [-0.1, 1.1], "p": 0.02, "p_holm": 0.04},
        CONTRASTS[2],
    ]
    for protocol, shown in (("sound", ["0.0200", "0.0400"]), ("paper", ["", ""]), ("paper-released", ["", ""])):
        case = record(cell(1), cell(2), statistics=statistics, protocol=protocol)
        assert rows(score_table(case))[0][-3:] == ["-0.10 to +1.10", *shown]
        assert (rows(contrast_table(case))[0][-2:] == ["", ""]) == (protocol != "sound")
        assert ("No p value is given" in claim(case)) == (protocol != "sound")


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [([0.1, 0.5], "helps beyond noise"), ([-0.1, 0.5], "within noise"), ([-0.5, -0.1], "hurts beyond noise")],
)
def test_noise_has_three_outcomes(bounds: list[float], verdict: str) -> None:
    row = {
        "arm": "ranked",
        "name": "ud/de_gsd",
        "language": "de",
        "gain": 0.5,
        "gain_minus_noise": {"value": 0.0, "interval": bounds},
    }
    (line,) = [line for line in page(record(statistics=[row])).splitlines() if "gain minus selection noise" in line]
    assert line.endswith(f": {verdict}")


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
    assert draw_heads(record(), tmp_path) is None
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

    monkeypatch.setattr("polyhead.report.page.head_picture", refuse)
    write_document(tmp_path / "result.json", record())
    draw(tmp_path)
    text = write_report(record(), tmp_path).read_text(encoding="utf-8")
    assert "layer | head 0 1" in text
    assert "![" not in text
    assert "no picture of the heads: a chart cannot be drawn (x)" in caplog.text


def test_markdown_right_aligns_numbers() -> None:
    assert markdown(["a", "b"], [["x", "1.5"], ["y", "–"]]).splitlines()[1] == "|:--|--:|"
