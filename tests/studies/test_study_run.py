"""Studies: the same numbers as runs, no work twice, many workers, and nothing lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_run import save_encoder, tiny_data

from polyhead.core.errors import FileFaultsError, Missing, SettingError, StoreError
from polyhead.core.leases import Leases
from polyhead.learning.text_encoder import TextEncoder
from polyhead.models.devices import placement
from polyhead.report.study_record import StudyCellRecord, read_cells
from polyhead.studies import evaluations, finetunes, kept
from polyhead.studies.run import run
from polyhead.studies.stages import STAGES
from polyhead.studies.study_folder import add_study, studies_of
from polyhead.studies.study_jobs import Bench, jobs_of
from polyhead.studies.study_run import work_study
from polyhead.studies.study_store import Only, StudyStore

STUDY = """
name = "{name}"
tasks = ["pos"]
models = ["{folder}/encoder"]
sources = ["en={folder}/en-train.conllu:{folder}/en-dev.conllu:{folder}/en-test.conllu"]
targets = [{targets}]
seeds = {seeds}
controls = {controls}
{more}
[search]
how = "{how}"
max_pruned = 3
[train]
epochs = 1
learning_rate = 1e-2
precision = "fp32"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tiny_data(tmp_path_factory.mktemp("study"))
    lines = (found / "de-test.conllu").read_text(encoding="utf-8").split("\n\n")
    (found / "nl-test.conllu").write_text("\n\n".join(lines[:20]) + "\n\n", encoding="utf-8")
    return found


def study(folder: Path, place: Path, *, targets: tuple[str, ...] = ("de",), more: str = "", **values: Any) -> Path:
    """A study file at `place`, over the tiny data."""
    facts = {"name": "tiny", "seeds": [1, 2], "controls": ["random"], "how": "nested"} | values
    named = ", ".join(f'"{language}={folder}/{language}-test.conllu"' for language in targets)
    controls = "[" + ", ".join(f'"{name}"' for name in facts.pop("controls")) + "]"
    place.write_text(STUDY.format(folder=folder, targets=named, controls=controls, more=more, **facts), encoding="utf-8")
    return place


def worked(file: Path, store: Path, **options: Any) -> list[StudyCellRecord]:
    add_study(file, store, **options)
    outcome = work_study(store, device="cpu", beat=0.2)
    assert outcome.failed == ()
    return read_cells(store)


def nothing(store: Path) -> Only:
    """Works on no fine-tuning, and so finds what a cell needs next."""
    return Only(Leases(store / "leases", "planner"))


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seed of every training from now on."""
    seeds: list[int] = []
    fit = finetunes.fit

    def noted(model: Any, data: Any, spec: Any, **options: Any) -> Any:
        seeds.append(spec.seed)
        return fit(model, data, spec, **options)

    monkeypatch.setattr(finetunes, "fit", noted)
    return seeds


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every data set that a model labels from now on."""
    names: list[str] = []
    evaluate = evaluations.evaluate

    def noted(model: Any, data: Any, *args: Any, **options: Any) -> Any:
        names.extend(data)
        return evaluate(model, data, *args, **options)

    monkeypatch.setattr(evaluations, "evaluate", noted)
    return names


def numbers(cells: list[StudyCellRecord]) -> object:
    def of(cell: StudyCellRecord) -> object:
        assert cell.result is not None
        trials = [(trial.k, trial.dev, trial.heads) for trial in cell.result.trials]
        counts = {name: cell.counts(name, k).tolist() for name in cell.cell.targets for k in (0, cell.result.chosen)}
        return cell.cell.arm, cell.seed, cell.result.chosen, trials, cell.result.targets, counts, cell.dev

    return sorted((cell.cell.arm, cell.seed, of(cell)) for cell in cells)


@pytest.mark.parametrize("how", ["nested", "sweep", "screened"])
def test_a_study_has_the_numbers_of_a_run(folder: Path, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = worked(study(folder, tmp_path / "tiny.toml", how=how), tmp_path / "store")
    assert len(cells) == 4
    own = studies_of(tmp_path / "store")["tiny"].cells
    monkeypatch.setattr("polyhead.studies.run.draw", lambda folder: None)
    record = run(own[0].settings(), out=tmp_path / "run", seeds=[1, 2], controls=["random"], device="cpu", head_analysis=0)
    for cell in record.cells:
        (twin,) = [one for one in cells if (one.seed, one.cell.arm) == (cell.seed, cell.arm)]
        assert twin.result is not None
        assert [(trial.k, trial.dev) for trial in twin.result.trials] == [(trial.k, trial.dev) for trial in cell.trials]
        assert (twin.result.chosen, twin.result.targets) == (cell.chosen, cell.targets)
    assert not list((tmp_path / "store").glob("fits/*/model")), "no weights are left unless asked for"


def test_a_longer_study_pays_the_difference_only(folder: Path, tmp_path: Path, fitted: list[int], evaluated: list[str]) -> None:
    store = tmp_path / "store"
    first = worked(study(folder, tmp_path / "tiny.toml", seeds=[1]), store, keep_weights="all")
    assert fitted == [1, 1, 1], "unpruned, and a nested one for each arm"
    done, before = len(fitted), len(evaluated)
    assert numbers(worked(tmp_path / "tiny.toml", store)) == numbers(first)
    assert (len(fitted), len(evaluated)) == (done, before), "nothing is done twice"
    worked(study(folder, tmp_path / "tiny.toml", seeds=[1, 2]), store, keep_weights="all")
    assert fitted[done:] == [2, 2, 2]
    done, before = len(fitted), len(evaluated)
    more = worked(study(folder, tmp_path / "tiny.toml", targets=("de", "nl"), seeds=[1, 2]), store, keep_weights="all")
    assert len(fitted) == done, "another target needs no fine-tuning"
    assert {name[:2] for name in evaluated[before:]} == {"nl"}, "and no other data"
    assert len(more) == 8
    worked(
        study(folder, tmp_path / "tiny.toml", targets=("de", "nl"), controls=["highest"], seeds=[1, 2]), store, keep_weights="all"
    )
    assert len(fitted) == done + 2


def test_weights_that_are_gone_are_made_again(folder: Path, tmp_path: Path, fitted: list[int]) -> None:
    store = tmp_path / "store"
    worked(study(folder, tmp_path / "tiny.toml", seeds=[1], controls=[]), store)
    n = len(fitted)
    both = worked(study(folder, tmp_path / "tiny.toml", targets=("nl",), seeds=[1], controls=[]), store)
    assert len(fitted) - n <= 2
    assert len(both) == 2
    place = tmp_path / "kept"
    worked(study(folder, tmp_path / "tiny.toml", seeds=[1, 2]), place, keep_weights="chosen")
    assert 0 < len(list(place.glob("fits/*/model"))) <= 4


def test_planning_does_no_work_and_names_what_is_needed_next(folder: Path, tmp_path: Path, fitted: list[int]) -> None:
    store = tmp_path / "store"
    name = add_study(study(folder, tmp_path / "tiny.toml", how="sweep"), store)
    cells = studies_of(store)[name].cells
    plan = StudyStore(store, nothing(store))
    needed = set()
    for job in jobs_of(cells, Bench(plan, device="cpu")):
        with pytest.raises(Missing) as refusal:
            job.advance()
        needed.update(refusal.value.stages)
    assert len(needed) == 2, "the unpruned fine-tunings of two seeds, which their two arms share"
    assert fitted == []
    worked(tmp_path / "tiny.toml", store)
    for job in jobs_of(cells, Bench(plan, device="cpu")):
        job.advance()


def test_data_that_change_are_noticed(folder: Path, tmp_path: Path) -> None:
    store, own = tmp_path / "store", tmp_path / "data"
    own.mkdir()
    for path in [*folder.glob("*.conllu")]:
        (own / path.name).write_bytes(path.read_bytes())
    (own / "encoder").symlink_to(folder / "encoder")
    file = study(own, tmp_path / "tiny.toml", seeds=[1], controls=[])
    worked(file, store)
    text = (own / "de-test.conllu").read_text(encoding="utf-8")
    (own / "de-test.conllu").write_text(text.replace("Hund", "Haus", 1), encoding="utf-8")
    with pytest.raises(StoreError, match=r"its test file has changed since this store began \(sha256 .*\): restore it"):
        work_study(store, device="cpu")
    (own / "de-test.conllu").unlink()
    with pytest.raises(FileFaultsError, match=r"de-test.conllu"):
        work_study(store, device="cpu")


def test_a_model_that_changes_is_noticed(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "data"
    shutil.copytree(folder, own)
    file, store = study(own, tmp_path / "tiny.toml", seeds=[1], controls=[]), tmp_path / "store"
    worked(file, store)
    save_encoder(own / "encoder", heads=2)
    with pytest.raises(StoreError, match=r"^model '.*encoder': it has changed since this store began \(sha256 .*\): restore it"):
        work_study(store, device="cpu")
    shutil.rmtree(own / "encoder")
    with pytest.raises(FileFaultsError, match=r"encoder: no such folder"):
        work_study(store, device="cpu")


def test_a_device_that_is_not_there_is_no_failure_of_cells(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    add_study(study(folder, tmp_path / "tiny.toml"), store)
    with pytest.raises(SettingError, match="device 'cuda:77' is not on this machine"):
        work_study(store, device="cuda:77")
    assert not (store / "failures").exists()


def test_machines_that_compute_differently_do_not_share_a_store(folder: Path, tmp_path: Path) -> None:
    store, path = tmp_path / "store", study(folder, tmp_path / "tiny.toml", seeds=[1], controls=())
    add_study(path, store)
    other = {"bf16": "fp32", "fp32": "bf16"}[placement(device="cpu", precision="auto")[1]]
    (store / "precision.json").write_text(f'{{"schema": 1, "auto": "{other}"}}', encoding="utf-8")
    assert work_study(store, device="cpu").done == 1, "the file says fp32"
    path.write_text(path.read_text(encoding="utf-8").replace('precision = "fp32"', 'precision = "auto"'), encoding="utf-8")
    add_study(path, store)
    with pytest.raises(StoreError, match=f"precision auto is .* on this machine, and was {other} where .* began"):
        work_study(store, device="cpu")


FAULTY = """
name = "faulty"
tasks = ["ner"]
models = ["encoder"]
sources = ["en=train.tsv:dev.tsv"]
targets = [
  "de=de.tsv",
  "nl=nl.tsv",
]
scheme = "iob2"
seeds = [1, 2]
[search]
how = "nested"
max_pruned = 9
[[grid]]
[[grid]]
methods = ["fisher"]
targets = ["de=de.tsv", "fr=fr.tsv", "ja=none.tsv"]
"""


@pytest.fixture
def faulty(folder: Path, tmp_path: Path) -> Path:
    """A study file whose faults are all in what it names, and files beside it."""
    (tmp_path / "encoder").symlink_to(folder / "encoder")
    texts = {
        "train": "dog B-PER|runs O",
        "dev": "cat B-PER|runs O",
        "de": "Hund B-PERS|geht O",
        "nl": "hond B-LOC",
        "fr": "chien E-PER",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.tsv").write_text(text.replace(" ", "\t").replace("|", "\n") + "\n\n", encoding="utf-8")
    file = tmp_path / "faulty.toml"
    file.write_text(FAULTY, encoding="utf-8")
    return file


def test_faults_of_what_a_study_names_have_its_lines_and_come_at_once(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    store = faulty.with_name("store")
    add_study(faulty, store)
    with pytest.raises(FileFaultsError) as caught:
        work_study(store, device="cpu")
    place = f"{faulty.parent}/"
    lines = [line.replace(place, "").removeprefix(f"{faulty.relative_to('/')}:") for line in str(caught.value).splitlines()]
    assert [line.partition(" /")[0].split(": ")[:2] for line in lines] == [
        ["7", "targets"],
        ["8", "targets"],
        ["14", "search.max_pruned"],
        ["18", "targets"],
        ["18", "targets"],
    ]
    assert "labels that no source has: B-PERS (did you mean B-PER?); with unseen_labels keep" in lines[0]
    assert "no source has: B-LOC; with" in lines[1]
    assert "max_pruned 9, min_per_layer 0: 9 heads to prune: expected 0 to 8" in lines[2]
    assert lines[3].startswith("18: targets: fr.tsv:1: ")
    assert "E-PER" in lines[3]
    assert lines[4].startswith("18: targets: none.tsv: no such file")
    assert not (store / "failures").exists()
    assert not (store / "fits").exists()


def test_a_changed_file_is_not_named_for_the_copy_that_is_worked_on(faulty: Path) -> None:
    store = faulty.with_name("store")
    add_study(faulty, store)
    faulty.write_text("\n" + FAULTY, encoding="utf-8")
    with pytest.raises(FileFaultsError, match=rf"^{store}/studies/faulty.toml:7: targets: "):
        work_study(store, device="cpu")


def test_relative_paths_start_from_the_study_file_and_a_moved_folder_redoes_no_work(
    folder: Path, tmp_path: Path, fitted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, store, moved = tmp_path / "here", tmp_path / "store", tmp_path / "elsewhere" / "there"
    shutil.copytree(folder, place)
    (tmp_path / "encoder").mkdir()  # of the current folder, which is not meant
    text = study(folder, place / "tiny.toml", seeds=[1], controls=[]).read_text(encoding="utf-8").replace(f"{folder}/", "")
    (place / "tiny.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (cell,) = worked(Path("here/tiny.toml"), store)
    assert (cell.cell.model, cell.cell.targets) == ("encoder", ["de=de-test.conllu"]), "as the file names them"
    n = len(fitted)
    moved.parent.mkdir()
    place.rename(moved)
    for record in (store / "cells").iterdir():
        record.unlink()  # so that the cell is made again, from what its stages left
    monkeypatch.chdir("/")
    (again,) = worked(moved / "tiny.toml", store, data=None)
    assert (again.name, numbers([again])) == (cell.name, numbers([cell]))
    assert len(fitted) == n
    shutil.rmtree(moved / "encoder")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFaultsError, match=f"tiny.toml:4: models: .*{moved}/encoder: no such folder"):
        work_study(store, device="cpu")


def test_repairs_are_said_and_a_second_process_encodes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    text = (folder / "de-test.conllu").read_text(encoding="utf-8")
    (tmp_path / "de-test.conllu").write_text(text.replace("\n\n", "\n \n", 1), encoding="utf-8")
    path = study(folder, tmp_path / "tiny.toml", seeds=[1], controls=())
    path.write_text(path.read_text(encoding="utf-8").replace(f"{folder}/de-test", f"{tmp_path}/de-test"), encoding="utf-8")
    with caplog.at_level("INFO", logger="polyhead"):
        worked(path, tmp_path / "store")
    assert "de-test.conllu test: 1 x line of white space read as a blank line" in caplog.text
    assert "en, seed 1, ranked: nested masks score" in caplog.text
    for cell in (tmp_path / "store" / "cells").iterdir():
        cell.unlink()
    monkeypatch.setattr(TextEncoder, "labelled", None)  # whatever is not on disk now fails
    assert len(worked(path, tmp_path / "store")) == 1


@pytest.mark.parametrize("how", ["nested", "sweep"])
def test_every_k_is_tested_when_that_is_asked_for_later(folder: Path, tmp_path: Path, how: str) -> None:
    file = study(folder, tmp_path / "tiny.toml", how=how, seeds=[1])
    for cell in worked(file, tmp_path / "store"):
        assert cell.result is not None
        assert cell.tested == sorted({0, cell.result.chosen})
    cells = worked(file, tmp_path / "store", test_every_k=True)
    assert [cell.tested for cell in cells] == [[0, 1, 2, 3]] * 2
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "cells").glob("*.json")}
    worked(file, tmp_path / "store", test_every_k=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "nothing is done again"


def test_cells_of_an_older_stage_are_made_again_from_what_is_still_good(
    folder: Path, tmp_path: Path, fitted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, store = study(folder, tmp_path / "tiny.toml", seeds=[1], controls=[]), tmp_path / "store"
    worked(file, store)
    n = len(fitted)
    monkeypatch.setitem(STAGES, "statistics", replace(STAGES["statistics"], version=99))
    (cell,) = worked(file, store)
    assert cell.stages["statistics"] == 99
    assert len(fitted) == n, "no fine-tuning depends on that stage"


def test_workers_find_the_corpora_where_the_study_was_started(folder: Path, tmp_path: Path) -> None:
    add_study(study(folder, tmp_path / "tiny.toml"), tmp_path / "store", data=tmp_path / "corpora")
    assert studies_of(tmp_path / "store")["tiny"].options.data == str(tmp_path / "corpora")


def test_a_cell_that_fails_does_not_stop_the_others(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = finetunes.fit

    def broken(model: Any, data: Any, spec: Any, **options: Any) -> Any:
        if spec.seed == 1:
            raise RuntimeError("out of memory")
        return fit(model, data, spec, **options)

    monkeypatch.setattr(finetunes, "fit", broken)
    store = tmp_path / "store"
    add_study(study(folder, tmp_path / "tiny.toml"), store)
    outcome = work_study(store, device="cpu", beat=0.2)
    assert (outcome.done, len(outcome.failed)) == (2, 2)
    assert {cell.seed for cell in read_cells(store)} == {2}
    monkeypatch.setattr(finetunes, "fit", fit)
    outcome = work_study(store, device="cpu", beat=0.2)
    assert (outcome.done, outcome.found, outcome.failed) == (2, 2, ())
    assert not list((store / "failures").glob("*.json"))


def test_a_sweep_trains_each_k_once_and_keeps_the_weights_of_few(
    folder: Path, tmp_path: Path, fitted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, most = tmp_path / "store", 0
    save = finetunes.save_pruned

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal most
        found = save(*args, **options)
        most = max(most, len(list(store.glob("fits/*/model"))))
        return found

    monkeypatch.setattr(finetunes, "save_pruned", counted)
    worked(study(folder, tmp_path / "tiny.toml", how="sweep", seeds=[1, 2], controls=[]), store)
    assert len(fitted) == 8, "k = 0..3 of two seeds; the chosen one is not trained again for its tests"
    assert most <= 4, "the unpruned one, the best so far, and the one in work; of the other seed none"


def test_a_study_may_choose_k_without_labels_of_the_targets(folder: Path, tmp_path: Path) -> None:
    file = study(folder, tmp_path / "tiny.toml", seeds=[1], controls=[], more='select_on = "agreement"')
    text = file.read_text(encoding="utf-8").replace("de=", f"de={folder}/de-dev.conllu:")
    file.write_text(text.replace("[search]", '[search]\nobjective = "within:1"'), encoding="utf-8")
    (cell,) = worked(file, tmp_path / "store")
    assert cell.cell.select_on == "agreement"


@pytest.mark.parametrize("fails", [False, True])
def test_a_worker_that_lost_a_fine_tuning_writes_nothing_to_it_and_counts_no_failure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    fit, store, begun = finetunes.fit, tmp_path / "store", list[set[str]]()

    def taken_over(model: Any, data: Any, spec: Any, **options: Any) -> Any:
        begun.append({path.name for path in store.glob("fits/*/*")})
        found = fit(model, data, spec, **options)
        if len(begun) == 1:  # another worker takes the fine-tuning over, and gives it back
            (lease,) = (store / "leases").glob("*.1")
            lease.with_suffix(".2").write_text('{"state": "released"}', encoding="utf-8")
            if fails:
                raise RuntimeError("a file is gone")
        return found

    monkeypatch.setattr(finetunes, "fit", taken_over)
    add_study(study(folder, tmp_path / "tiny.toml", how="sweep", seeds=[1], controls=[]), store)
    outcome = work_study(store, device="cpu", beat=0.2)
    assert (outcome.done, outcome.failed) == (1, ())
    assert not (store / "failures").exists()
    assert begun[1] <= {"state"}, "no weights and no figures"


def test_a_fine_tuning_that_fails_is_tried_once_for_all_cells_that_share_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def broken(model: Any, data: Any, spec: Any, **options: Any) -> Any:
        tries.append(spec.seed)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(finetunes, "fit", broken)
    store = tmp_path / "store"
    add_study(study(folder, tmp_path / "tiny.toml", seeds=[1], controls=["random", "highest"]), store)
    for start in (1, 2):
        outcome = work_study(store, device="cpu", beat=0.2)
        assert len(outcome.failed) == 3
        assert all("RuntimeError: out of memory" in failure.what for failure in outcome.failed)
        assert len(tries) == start, "once at each start"


def test_a_record_that_was_not_noted_is_written_again_while_its_weights_are_there(
    folder: Path, tmp_path: Path, fitted: list[int]
) -> None:
    """A worker killed between the two steps leaves this."""
    store = tmp_path / "store"
    worked(study(folder, tmp_path / "tiny.toml", seeds=[1], controls=[]), store, keep_weights="all")
    fits, n = sorted((store / "fits").iterdir()), len(fitted)
    for fit in fits:
        kept._write(fit, {name: sha for name, sha in kept.noted(fit).items() if name != "record.json"})
    for cell in (store / "cells").iterdir():
        cell.unlink()
    worked(tmp_path / "tiny.toml", store)
    assert len(fitted) == n
    assert all("record.json" in kept.noted(fit) for fit in fits)


@pytest.mark.parametrize(
    ("more", "message"),
    [("", "has no study yet"), ("x", "has no study 'x'; it has tiny")],
)
def test_a_store_without_the_study_is_said_to_be_one(folder: Path, tmp_path: Path, more: str, message: str) -> None:
    store = tmp_path / "store"
    if more:
        add_study(study(folder, tmp_path / "tiny.toml"), store)
    else:
        StudyStore(store, nothing(store))
    with pytest.raises(StoreError, match=message):
        studies_of(store, [more] if more else [])


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_damaged_cell_is_set_aside_and_made_again(folder: Path, tmp_path: Path, fitted: list[int], kind: str) -> None:
    store = tmp_path / "store"
    first = numbers(worked(study(folder, tmp_path / "tiny.toml", seeds=[1], controls=[]), store))
    n = len(fitted)
    (path,) = (store / "cells").glob(f"*.{kind}")
    path.write_bytes(path.read_bytes()[:-20])
    assert numbers(worked(tmp_path / "tiny.toml", store)) == first
    assert len(list((store / "cells").glob("*.json.damaged"))) == 1
    assert len(fitted) == n, "the figures of its fine-tunings are still there"


WORKER = """
import logging, sys
from pathlib import Path
import torch
from polyhead.studies.study_run import work_study
torch.set_num_threads(1)
found = work_study(Path(sys.argv[1]), device="cpu", beat=0.2)
print(found.done, found.found, len(found.failed), found.discarded)
"""


def started(store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def until(what: Callable[[], bool], *, patience: float = 120.0) -> None:
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_workers_share_a_study_and_a_killed_one_loses_only_its_step(folder: Path, tmp_path: Path) -> None:
    file = study(folder, tmp_path / "tiny.toml", how="sweep", more="train_limit = 48", seeds=[1, 2, 3])
    alone = worked(file, tmp_path / "alone")
    store = tmp_path / "shared"
    add_study(file, store)
    first, second = started(store), started(store)
    until(lambda: len(list(store.glob("fits/*/record.json"))) >= 3)
    first.send_signal(signal.SIGKILL)
    out, err = second.communicate(timeout=300)
    first.communicate()
    assert second.returncode == 0, err
    done, found, failed, _ = map(int, out.split()[-4:])
    assert failed == 0
    assert done + found == 6
    assert numbers(read_cells(store)) == numbers(alone)
    assert not [path for path in (store / "leases").iterdir() if not path.name.startswith(".")], "no lease is left"
