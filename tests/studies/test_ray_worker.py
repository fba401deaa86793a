"""A worker of a Ray cluster in this process, without Ray: steps of real cells, and nodes that cannot work."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import save_encoder, study_text, tiny_data

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.store_kind import open_store
from polyhead.core.values import fingerprint
from polyhead.studies.ray_worker import MakeJob, Opener, OpenStudies, RayWorker, StudyTask
from polyhead.studies.stages import versions
from polyhead.studies.study_folder import add_study, studies_of
from polyhead.studies.study_jobs import sharing_of
from polyhead.studies.study_schedule import Schedule
from polyhead.studies.study_store import KIND, SCHEMA, Only


def worker_of(store: Path, opener: Opener) -> RayWorker:
    return RayWorker(store, opener, cwd=os.getcwd(), threads=torch.get_num_threads(), beat=15.0)


def steps_of(store: Path, path: Path) -> list[tuple[str, bool]]:
    """Run a study with one worker; how each step ended, and whether it might work on a stage."""
    name = add_study(path, store)
    (study,) = studies_of(store, [name]).values()
    options, cells = study.options, study.cells
    tasks = [StudyTask(cell, sharing, options) for cell, sharing in zip(cells, sharing_of(cells), strict=True)]
    worker, schedule = worker_of(store, OpenStudies("cpu")), Schedule(len(tasks))
    found: list[tuple[str, bool]] = []
    while (step := schedule.next()) is not None:
        answer = worker.step(tasks[step.cell], step.stage)
        found.append((answer.how, step.stage is not None))
        if answer.how == "missing":
            schedule.missing(step, answer.stages)
        else:
            schedule.close(step)
        assert len(found) < 100, found
    worker.close()
    assert schedule.n_open == 0
    assert list((store / "workers").glob("*.json")) == list((store / "leases").iterdir()) == []
    return found


@pytest.mark.slow
def test_a_cell_takes_a_step_for_each_fine_tuning_and_works_on_nothing_else(tmp_path: Path) -> None:
    folder, store, path = tiny_data(tmp_path), tmp_path / "store", tmp_path / "study.toml"
    path.write_text(study_text(folder, prune="after"))
    found = steps_of(store, path)
    assert found[0] == ("missing", False)
    assert found[-1] == ("done", True)
    assert [how for how, works in found if works][:4] == ["missing"] * 4, "the fine-tuning and k = 1..3"

    # Its weights are gone, and a longer search needs them: the step for k = 4 makes them again itself.
    assert list(store.glob("fits/*/model")) == []
    path.write_text(study_text(folder, prune="after", max_pruned=4))
    assert steps_of(store, path) == [("missing", False), ("done", True)]
    assert [how for how, _ in steps_of(store, path)] == ["found"]


def open_blind(store: Path, access: Only) -> MakeJob:
    """A node that does not see the data."""
    raise StoreError("no such folder: /corpora")


def test_a_worker_says_why_its_node_cannot_work(tmp_path: Path) -> None:
    store = tmp_path / "store"
    open_store(store, kind=KIND, schema=SCHEMA)
    assert "no such folder: /corpora" in worker_of(store, open_blind).start(versions()).why
    assert "check the path" in worker_of(store / "elsewhere", open_blind).start(versions()).why
    assert not (store / "elsewhere").exists(), "a folder that the node does not see is not made"
    answer = worker_of(store, open_blind).start({"training": 0})
    assert answer.how == "unusable"
    assert "another version of polyhead" in answer.why


def test_a_node_without_the_device_is_unusable_and_each_model_is_compared_with_the_stores(tmp_path: Path) -> None:
    folder, store, path = tiny_data(tmp_path), tmp_path / "store", tmp_path / "study.toml"
    path.write_text(study_text(folder))
    (study,) = studies_of(store, [add_study(path, store)]).values()
    options, cell = study.options, study.cells[0]
    answer = worker_of(store, OpenStudies("cuda:77")).step(StudyTask(cell, (cell.fingerprint,), options), None)
    assert (answer.how, "device 'cuda:77' is not on this machine" in answer.why) == ("unusable", True)
    assert not (store / "failures").exists()

    worker = worker_of(store, OpenStudies("cpu"))
    assert worker.step(StudyTask(cell, (cell.fingerprint,), options), None).how == "missing"
    other = save_encoder(tmp_path / "other", layers=1)
    before = read_json(next((store / "models").iterdir()))["sha256"]
    elsewhere = replace(cell, model=str(other))
    named = store / "models" / f"{fingerprint([str(other), None])}.json"
    write_json_atomic(named, {"schema": SCHEMA, "model": str(other), "revision": None, "sha256": before})
    answer = worker.step(StudyTask(elsewhere, (elsewhere.fingerprint,), options), None)
    assert (answer.how, "has changed since this store began" in answer.why) == ("unusable", True)
    worker.close()
