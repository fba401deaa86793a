"""The lines under the tables say how figures were made, from the record, and only where the figures stand."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import DATA, cell, record, statistic

from polyhead.report.notes import (
    note_on_controls,
    note_on_data,
    note_on_metrics,
    note_on_noise,
    note_on_tests,
    note_on_trials,
)
from polyhead.report.page import page
from polyhead.report.record import RunRecord
from polyhead.report.tables import data_table


def both(arm: str, n_seeds: int) -> list[dict[str, Any]]:
    p = 0.02 if n_seeds > 4 else None
    return [statistic(name, 0.5, arm=arm, n_seeds=n_seeds, p=p) for name in ("ud/de_gsd", "ud/a|b", None)]


def case_of(n_seeds: int, *arms: str, **settings: Any) -> RunRecord:
    cells = [cell(seed, arm) for seed in range(n_seeds) for arm in ("ranked", "random")]
    rows = [row for arm in arms for row in both(arm, n_seeds)]
    return record(*cells, statistics=rows, controls=("random",), **settings)


def test_p_and_interval_are_explained_from_the_record() -> None:
    case = case_of(5, "ranked", "random")
    note = note_on_tests(case)
    for said in (
        "95 % interval and p (two-sided): for other fine-tunings on other sentences",
        "the variance over the 5 seeds with that over resampled sentences (1,000 draws, shared by all seeds)",
        "degrees of freedom by Satterthwaite",
        "Detectable gain: the smallest that 5 such seeds detect with power 0.8",
        "corrected for the 3 tests of this table",
    ):
        assert said in note
    assert note in page(case)


def test_which_test_sets_are_resampled_together_is_said() -> None:
    sizes = {"xsid/de": 500, "xsid/nl": 500, "xsid/ja": 250, "ud/de_gsd": 977}
    data = [{**DATA, "name": name, "split": "test", "sentences": n} for name, n in sizes.items()]
    case = case_of(5, "ranked")
    assert "ranslation" not in note_on_tests(case)
    note = note_on_tests(RunRecord.model_validate({**case.model_dump(), "data": data}))
    assert "Translations, resampled by row together: xsid/de, xsid/nl." in note
    assert "xsid/ja is resampled independently: it has another number of sentences than its translations" in note
    assert "ud/de_gsd" not in note


def test_as_much_is_explained_as_there_is() -> None:
    assert "no claim, because the effect of pruning cannot be separated" in note_on_tests(case_of(2, "ranked"))
    four = note_on_tests(case_of(4, "ranked"))
    assert "95 % interval: for other" in four
    assert "No p value below 5 seeds." in four
    assert "Holm" not in four
    paper = record(*(cell(seed) for seed in range(5)), statistics=[statistic(None, 0.5)], protocol="paper")
    assert note_on_tests(paper).startswith("No interval and no p value: a gain is a maximum")
    assert note_on_tests(record()) == note_on_tests(record(), "contrast") == ""
    assert "Student" not in page(record())


@pytest.mark.parametrize(
    ("words", "source", "said"),
    [("surface", "de=a/@words.conllu", "Words are surface tokens"), ("syntactic", "ud/de_gsd", "Words are syntactic words")],
)
def test_the_kind_of_words_is_that_of_the_record(words: str, source: str, said: str) -> None:
    assert note_on_data(record(cell(1), words=words, sources=(source,))).startswith(said)


def test_contrasts_have_their_own_line_and_family() -> None:
    case = case_of(5, "ranked", "ranked - random", "ranked - highest")
    note = note_on_tests(case, "contrast")
    assert note.startswith("Pruned models of the two arms, paired by seed;")
    assert "computed as for the test scores." in note
    assert note.endswith("for the 6 tests of this table.")
    assert f"\n{note}\n" in page(case)
    assert "Student's t" in note_on_tests(case_of(5, "ranked - random"), "contrast"), "nothing above explains it"


def test_intervals_of_controls_are_explained_once() -> None:
    assert "Same trial budget" not in page(record())
    assert "nterval" not in note_on_controls(case_of(3))
    assert "computed as for the test scores" in note_on_controls(case_of(3, "ranked", "random"))
    assert "Student's t" in note_on_controls(case_of(3, "random"))


def test_how_noise_was_drawn_is_said_where_there_is_any() -> None:
    noise = {"noise": {"mean": 0.1, "standard_error": 0.1}, "gain_minus_noise": {"value": 0.4, "interval": [0.1, 0.2]}}
    pool = {"noise": {"seeds": list(range(12)), "dev": [], "tests": {}}}
    case = record(cell(1), cell(2), cell(3), statistics=[statistic("ud/de_gsd", 0.5, n_seeds=3, **noise)], facts=pool)
    note = note_on_noise(case)
    assert "n of 12 unpruned fine-tunings that differ only in their seed are drawn without replacement" in note
    assert f"\n{note}\n" in page(case)
    assert note_on_noise(record()) == ""


def test_pruning_after_training_and_its_repair_are_named() -> None:
    assert "pruned after" not in note_on_trials(record())
    case = record(search={"prune": "after", "repair": "refit"})
    assert "Heads were pruned after fine-tuning, without retraining; repair: refit." in note_on_trials(case)
    assert "repair: refit" in page(case)


def test_metrics_are_defined_as_they_are_computed() -> None:
    note = note_on_metrics(record())
    assert "macro-F1: unweighted mean of the tags' F1" in note
    assert "tags in the target's gold labels or in the model's predictions" in note
    assert "chunk-F1" not in note, "this record has none"
    own = cell(42)
    for target in own["targets"]:
        target["unpruned"]["chunk_f1"] = target["pruned"]["chunk_f1"] = 30.0
    case = record(own)
    assert "seqeval 0.0.12 reads bare tags" in note_on_metrics(case)
    assert "Ma et al. 2021, for comparison only" in note_on_metrics(case)
    (line,) = [line for line in page(case).splitlines() if line.startswith("accuracy: ")]
    assert line == note_on_metrics(case)


def test_columns_of_the_data_table_are_named_and_explained() -> None:
    header, note = data_table(record()).splitlines()[0], note_on_data(record())
    for column in ("words beginning with a lone ▁", "sentences in windows", "words without a subword", "truncated words"):
        assert f"| {column} |" in header
        assert f"{column}:" in note.replace(column.capitalize(), column)
    assert "| windowed |" not in header
    assert "\n" not in note
    assert "labelled at its next subword" in note
    assert "labelled at that subword" in note_on_data(record(train={"anchor": "first"}))
    assert note_on_data(record(facts={"data": []})) == "Words are surface tokens in all languages."
