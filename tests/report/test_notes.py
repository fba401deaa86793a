"""The lines under the tables say how figures were made, from the record, and only where the figures stand."""

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import cell, record

from polyhead.report import score_table
from polyhead.report.notes import (
    DRAWS,
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
from polyhead.selection.statistics import bootstrap_gains
from polyhead.studies import summary


def stat(arm: str, name: str | None, p: float | None = 0.02, **rest: Any) -> dict[str, Any]:
    holm = None if p is None else p * 2
    facts = {"arm": arm, "name": name, "language": "de", "gain": 0.5, "interval": [-0.1, 1.1], "p": p, "p_holm": holm}
    return {**facts, **rest}


def both(arm: str) -> list[dict[str, Any]]:
    mean = stat(arm, None, None, language="mean")
    return [stat(arm, "ud/de_gsd"), stat(arm, "ud/a|b"), mean]


def two_seeds(*statistics: dict[str, Any], **settings: Any) -> RunRecord:
    cells = [cell(seed, arm) for seed in (1, 2) for arm in ("ranked", "random")]
    return record(*cells, statistics=list(statistics), controls=("random",), **settings)


def test_p_and_interval_are_explained_from_the_record() -> None:
    note = note_on_tests(two_seeds(*both("ranked"), *both("random")))
    for said in (
        "paired approximate randomisation of the mean gain over seeds, R shuffles",
        "one swap bit a sentence, which all seeds share",
        "/ (R + 1).",
        "about these fine-tuned models on other sentences; of other seeds the interval speaks",
        "Holm's correction over the 2 test(s) of this table",
        "bootstrap, 1,000 draws, 2.5th to 97.5th percentile",
        "2 seeds with replacement and, inside, sentences of the test set with replacement",
        "the same ones for all its seeds and for both models",
        "the seeds once for all targets",
    ):
        assert said in note
    assert note in page(two_seeds(*both("ranked")))


def test_one_seed_is_not_said_to_be_drawn() -> None:
    note = note_on_tests(record(statistics=both("ranked")))
    assert "there is one seed, so no seeds are drawn" in note
    assert "seeds with replacement" not in note


def test_as_many_draws_as_the_study_takes() -> None:
    assert DRAWS == summary._DRAWS == inspect.signature(bootstrap_gains).parameters["draws"].default


def test_contrasts_have_their_own_line_and_family() -> None:
    case = two_seeds(*both("ranked"), *both("ranked - random"), stat("ranked - highest", "ud/de_gsd"))
    note = note_on_tests(case, "contrast")
    assert "the two arms' pruned models" in note
    assert "over the 3 test(s)" in note
    assert note.endswith("95 % interval: made as under the test scores.")
    assert f"\n{note}\n" in page(case)
    alone = note_on_tests(two_seeds(*both("ranked - random")), "contrast")
    assert "bootstrap, 1,000 draws" in alone, "nothing above explains it"


@pytest.mark.parametrize("statistics", [None, [stat("ranked", "ud/de_gsd", None, interval=None)]])
def test_nothing_is_explained_where_there_are_no_such_columns(statistics: Any) -> None:
    case = record(statistics=statistics)
    assert note_on_tests(case) == note_on_tests(case, "contrast") == ""
    assert "p (Holm)" not in score_table(case)
    assert "randomisation" not in page(case)
    assert "bootstrap" not in page(case)


def test_only_the_interval_is_explained_where_no_p_is_given() -> None:
    note = note_on_tests(two_seeds(*both("ranked"), protocol="paper"))
    assert note.startswith("95 % interval: ")
    assert "shuffle" not in note


def test_intervals_of_controls_are_explained_once() -> None:
    assert note_on_controls(record()) == ""
    assert "95 %" not in note_on_controls(two_seeds())
    assert "made as under the test scores" in note_on_controls(two_seeds(*both("ranked"), *both("random")))
    assert "bootstrap" in note_on_controls(two_seeds(*both("random")))


def test_how_noise_was_drawn_is_said_where_there_is_any() -> None:
    row = stat("ranked", "ud/de_gsd") | {"gain_minus_noise": {"value": 0.1, "interval": [0.1, 0.2]}}
    pool = {"noise": {"seeds": list(range(12)), "dev": [], "tests": {}}}
    case = record(statistics=[row], facts=pool)
    note = note_on_noise(case)
    assert "takes n of 12 unpruned fine-tunings" in note
    assert f"\n{note}\n" in page(case)
    assert note_on_noise(record()) == ""
    assert "unpruned fine-tunings" not in page(record(facts=pool))


def test_when_heads_were_cut_and_how_that_was_repaired_is_said_where_it_was_after_training() -> None:
    assert "cut after" not in note_on_trials(record())
    case = record(search={"prune": "after", "repair": "refit"})
    assert "Heads were cut after fine-tuning, without training again; repair: refit." in note_on_trials(case)
    assert "repair: refit" in page(case)


def test_metrics_are_defined_as_they_are_computed() -> None:
    note = note_on_metrics(record())
    assert "macro-F1: mean of the F1 of single tags" in note
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
    for column in ("words beginning with a lone ▁", "sentences in windows", "words without a piece", "words cut short"):
        assert f"| {column} |" in header
        assert f"{column}:" in note.replace(column.capitalize(), column)
    assert "| windowed |" not in header
    assert "\n" not in note
    assert "labelled at its next piece" in note
    assert "labelled at that piece" in note_on_data(record(train={"anchor": "first"}))
    assert note_on_data(record(facts={"data": []})) == "Words are surface tokens in all languages."
