"""Cells, fine-tunings, hours and gigabytes before anything runs."""

from pathlib import Path

import pytest
from fake_study import Fake, write_store
from studies.study_case import cells

from polyhead.core.files import write_json_atomic
from polyhead.core.values import fingerprint
from polyhead.studies.study_estimates import few_cells, stage_times
from polyhead.studies.study_plan import StageTime, plan

NESTED = {"search": '{ how = "nested" }', "train_limit": "100", "train": "{ epochs = 2 }"}


def test_finished_cells_and_their_fine_tunings_are_subtracted() -> None:
    found = cells(**NESTED, controls='["random"]')
    ranked = [cell.fingerprint for cell in found if cell.arm == "ranked"]
    part = plan(found, finished=[*ranked, "of another study"])
    assert (part.cells, part.finished, part.trainings, part.there, part.left) == (4, 2, 6, 4, 2)
    done = plan(found, finished=[cell.fingerprint for cell in found])
    assert (done.left, done.seconds, done.guesses) == (0, 0.0, ())


def test_time_is_estimated_from_the_stores_own_stages() -> None:
    (cell, *_) = found = cells(**NESTED)
    fits = [StageTime("fine-tuning", cell.model, 1000, seconds) for seconds in (5.0, 10.0, 1000.0)]
    others = [StageTime("testing", cell.model, 0, 1015.0)]
    timed = plan(found, times=[*fits, *others], model_gigabytes={cell.model: 0.1})
    assert timed.seconds == pytest.approx(2 * 2 * 100 * 2 / 100 * 2), (
        "4 fine-tunings of 200 at 100 a second; as long again for the rest"
    )
    assert timed.guesses == ()


def test_a_store_knows_the_seconds_of_its_other_stages(tmp_path: Path) -> None:
    write_store(tmp_path, Fake(seeds=(1, 2)))
    name = fingerprint(["ud/en_ewt", 1])
    fit = {"settings": {"model": "polyhead/tiny", "train": {"batch_size": 16}}, "result": {"fit": {"steps": 10}, "seconds": 60.0}}
    write_json_atomic(tmp_path / "fits" / name / "record.json", fit)
    times = stage_times(tmp_path, [*few_cells(tmp_path), {"cell": None, "made_in": [{"kind": "testing"}, "half a stage"]}])
    assert [(one.kind, one.sentences, one.seconds) for one in times if one.kind == "fine-tuning"] == [("fine-tuning", 160, 60.0)]
    assert [one.seconds for one in times if one.kind == "testing"] == [2.0, 2.0], "of two seeds; the arms of a seed share it"


def test_what_is_not_known_is_guessed_and_said() -> None:
    found = plan(cells(search='{ how = "nested" }'))
    assert [guess.split(":")[0] for guess in found.guesses] == ["polyhead/tiny", "phrases/en", "polyhead/tiny"]
    known = plan(cells(search='{ how = "nested" }'), sentences={"phrases/en": 1000}, model_gigabytes={"polyhead/tiny": 0.01})
    assert len(known.guesses) == 1
    assert found.seconds == pytest.approx(5 * 3 * known.seconds), "a fifth of the sentences, and a small encoder"


def test_tenths_and_limits_make_a_fine_tuning_shorter() -> None:
    keys = {"seeds": "[1]", "settings": '["low-resource"]', "targets": '["phrases/de"]', "search": '{ how = "nested" }'}
    sizes = {"phrases/en": 1000, "phrases/de": 1000}
    one, nine = (plan(cells(**keys, target_tenths=f"[{n}]"), sentences=sizes).seconds for n in (1, 9))
    assert nine / one == pytest.approx(1900 / 1100)
    limited = plan(cells(**keys, target_tenths="[9]", train_limit="500"), sentences=sizes).seconds
    assert limited / nine == pytest.approx(1000 / 1900)


def test_weights_that_are_kept_count() -> None:
    found, size = cells(**NESTED, controls='["random"]'), {"polyhead/tiny": 2.0}
    none, chosen, every = (plan(found, keep=keep, model_gigabytes=size) for keep in ("none", "chosen", "all"))
    assert chosen.gigabytes - none.gigabytes == pytest.approx(4 * 2.0)
    assert every.gigabytes - none.gigabytes == pytest.approx(6 * 2.0)
    begun = plan(found, finished=[cell.fingerprint for cell in found if cell.arm == "ranked"], model_gigabytes=size)
    assert begun.working_gigabytes - none.working_gigabytes == pytest.approx(2.0), "two sources begun, whose full models stay"
    assert plan(found, workers=3, model_gigabytes=size).working_gigabytes == pytest.approx(3 * none.working_gigabytes)


def test_no_cell_costs_nothing() -> None:
    assert plan(()).seconds == plan(()).gigabytes == 0
