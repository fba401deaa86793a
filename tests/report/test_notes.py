"""What stands under the tables and beside them: methods of the statistics, scores by seed, names, places, provenance."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import cell, record

from polyhead.report.by_seed import seed_table
from polyhead.report.notes import DRAWS, note_on_controls, note_on_data, note_on_metrics, note_on_tests
from polyhead.report.page import headline, page
from polyhead.report.pictures import head_picture, places
from polyhead.report.provenance import provenance
from polyhead.report.reading import shown_names
from polyhead.report.tables import data_table
from polyhead.studies import summary

FIGURES = {"arm": "ranked", "interval": [-0.1, 1.1], "p": 0.02, "p_holm": 0.04, "shuffles": 10000}
TESTED = [{**FIGURES, "name": "ud/de_gsd", "language": "de"}, {**FIGURES, "name": "ud/a|b", "language": "nl"}]


def test_the_statistics_are_said_as_they_were_made() -> None:
    said = note_on_tests(record(cell(1), cell(2), statistics=TESTED))
    for part in ("approximate randomisation", "10,000 shuffles", "/ 10,001", "the 2 test(s)", "bootstrap", "takes 2 seeds"):
        assert part in said
    assert f"{DRAWS:,} draws" in said
    assert "there is one seed" in note_on_tests(record(cell(1), statistics=TESTED))
    assert note_on_tests(record()) == ""
    assert "p:" not in note_on_tests(record(cell(1), statistics=TESTED, protocol="paper"))


def test_the_draws_that_are_said_are_those_that_are_drawn() -> None:
    assert summary._DRAWS == DRAWS


def test_contrasts_are_said_to_compare_the_pruned_models() -> None:
    rows = [*TESTED, {**TESTED[0], "arm": "ranked - random"}, {**TESTED[1], "arm": "ranked - highest"}]
    said = note_on_tests(record(cell(1), cell(1, "random"), statistics=rows), "contrast")
    assert "difference between the two arms' pruned models" in said
    assert "over the 2 test(s)" in said
    assert note_on_controls(record()) == ""


def rows(table: str) -> list[list[str]]:
    return [[field.strip() for field in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_scores_by_seed_with_mean_and_deviation() -> None:
    assert seed_table(record()) == ""
    table = rows(seed_table(record(cell(1, gain=0.5), cell(2, gain=1.5), cell(3, chosen=0))))
    assert table[:5] == [
        ["ud/de_gsd", "1", "50.00", "50.50", "+0.50", "2"],
        ["ud/de_gsd", "2", "50.00", "51.50", "+1.50", "2"],
        ["ud/de_gsd", "3", "50.00", "50.00", "+0.00", "0"],
        ["ud/de_gsd", "mean", "50.00", "50.67", "+0.67", ""],
        ["ud/de_gsd", "standard deviation", "0.00", "0.76", "0.76", ""],
    ]
    assert [row[0] for row in table[-5:]] == ["mean over targets"] * 5
    assert table[-5][2:5] == ["45.00", "46.00", "+1.00"]


def test_the_learning_rate_used_is_shown() -> None:
    given = {"seeds": [1, 2], "train": {"learning_rate": None, "seed": 42, "epochs": 3}}
    assert "- learning rate: by the encoder's width" in provenance(record(**given))
    text = provenance({**record(**given), "learning_rate": 3e-4})
    assert "- learning rate: 0.0003 (by the encoder's width)" in text
    assert "'seed'" not in text
    assert "- learning rate: 5e-05\n" in provenance({**record(train={"learning_rate": 5e-5}), "learning_rate": 5e-5})


def test_a_search_that_could_choose_nothing_is_not_said_to_have_found_all_heads_best() -> None:
    only = record(cell(1, chosen=0), search={"max_pruned": 0})
    assert "k = 0 was the only number allowed" in headline(only)
    assert "dev score was best" in headline(record(cell(1, chosen=0), search={"max_pruned": 2}))


def test_columns_and_metrics_are_explained() -> None:
    assert "words beginning with a lone ▁" in data_table(record())
    assert all(part in note_on_data(record()) for part in ("Sentences in windows:", "Words without a piece:", "Words cut short:"))
    assert "macro-F1: mean of the F1 of single tags" in note_on_metrics(record())
    assert "chunk-F1" not in note_on_metrics(record())
    assert "macro-F1: mean of" in page(record())


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["de=a/dev.conllu:a/test.conllu", "nl=b/test.conllu"], ["de: test.conllu", "nl: test.conllu"]),
        (["de=a/x.conllu:a/test.conllu", "de=b/y.conllu:b/test.conllu"], ["de=x.conllu:test.conllu", "de=y.conllu:test.conllu"]),
        (["de=a/test.conllu", "de=b/test.conllu"], ["de=a/test.conllu", "de=b/test.conllu"]),
    ],
)
def test_targets_are_named_by_the_file_that_is_scored(names: list[str], shown: list[str]) -> None:
    assert list(shown_names(names).values()) == shown


def test_heads_are_coloured_by_place(tmp_path: Path) -> None:
    scores = [[0.001, 0.002, 9.0], [0.003, None, float("nan")]]
    assert places(scores) == {(0, 0): 1, (0, 1): 2, (1, 0): 3, (0, 2): 4}
    path = head_picture(scores, tmp_path / "heads.svg", pruned=["0.0"])
    if path is not None:
        text = path.read_text()
        assert text.count("×") >= 1
        assert "place in ranking" in text
        fills = {part.split('"')[0] for part in text.split('fill="#')[1:]}
        assert len(fills) >= 4  # heads with nearly equal scores have colours of their own
