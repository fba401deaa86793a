"""`polyhead study run --dry-run`: the plan of a study, and every fault of its file."""

import json
from pathlib import Path

import pytest
from studies.study_case import cells, study_text

from polyhead.cli.main import main
from polyhead.cli.parsing import parse
from polyhead.cli.study_requests import StudyRunRequest
from polyhead.cli.study_run import cluster_of
from polyhead.core.store_kind import open_store
from polyhead.core.values import duration
from polyhead.studies.ray_crew import Cluster
from polyhead.studies.study_presets import study_preset
from polyhead.studies.study_store import KIND, SCHEMA


def test_a_dry_run_says_what_a_study_needs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, store = tmp_path / "small.toml", tmp_path / "store"
    path.write_text(study_preset("small"), encoding="utf-8")
    assert main(["study", "run", str(path), "--out", str(store), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Study small: 32 cells, 0 finished" in said
    assert "| needed, at most | 34 | 12 of them with all heads |" in said
    assert "| several sources | 4 | multi-source |" in said
    assert not store.exists()


def test_as_json_it_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, store = tmp_path / "s.toml", tmp_path / "store"
    path.write_text(study_text(search='{ how = "nested" }'), encoding="utf-8")
    (cell, *_) = cells(search='{ how = "nested" }')
    open_store(store, kind=KIND, schema=SCHEMA)
    (store / "cells").mkdir()
    (store / "cells" / f"{cell.fingerprint}.json").write_text(
        json.dumps({"data": [{"name": "phrases/en", "split": "train", "sentences": 300}]}), encoding="utf-8"
    )
    fit = store / "fits" / "0123"
    fit.mkdir(parents=True)
    record = {
        "settings": {"model": "polyhead/tiny", "train": {"batch_size": 16}},
        "result": {"seconds": 10.0, "fit": {"steps": 100}},
    }
    (fit / "record.json").write_text(json.dumps(record), encoding="utf-8")
    (store / "fits" / "4567").mkdir()
    (store / "fits" / "4567" / "record.json").write_text('{"half', encoding="utf-8")
    assert main(["study", "run", str(path), "--out", str(store), "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    plan = document["plan"]
    assert (document["study"], document["grids"]) == ("small", {"grid 1": 2})
    assert (plan["cells"], plan["finished"], plan["trainings"], plan["there"], plan["guesses"]) == (2, 1, 4, 2, [])
    assert plan["seconds"] == pytest.approx(2 * 300 * 3 / 160 * 1.44)


def test_a_folder_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.toml"
    path.write_text(study_text(), encoding="utf-8")
    for more in ([], ["--dry-run"]):
        assert main(["study", "run", str(path), "--out", str(tmp_path), *more]) == 2
        assert "not a polyhead study store" in capsys.readouterr().err


def test_a_study_runs_and_the_same_command_finds_it_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, store = tmp_path / "s.toml", tmp_path / "store"
    keys = {"seeds": "[1]", "targets": '["phrases/de"]', "train_limit": "32", "train": "{ epochs = 1 }"}
    path.write_text(study_text(**keys, search='{ how = "sweep", max_pruned = 0 }'), encoding="utf-8")
    command = ["study", "run", str(path), "--out", str(store)]
    assert main(command) == 0
    assert "study small:" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] == 1
    assert main([*command, "--dry-run"]) == 0
    assert "Every cell is finished: nothing is left to train." in capsys.readouterr().out


def test_the_folder_of_the_data_may_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.toml"
    path.write_text(study_text(), encoding="utf-8")
    assert main(["study", "run", str(path), "--out", str(tmp_path / "x"), "--dry-run", "--data", str(tmp_path)]) == 0


def test_all_faults_are_named_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(study_text(tasks='["pso"]', seeds="[-1]", methods='["fisher"]'), encoding="utf-8")
    assert main(["study", "run", str(path), "--out", str(tmp_path / "store")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "polyhead: error: 2 faults:",
        f"{path}:2: tasks: task 'pso': did you mean 'pos'? Expected one of pos, ner, slots, nli, classification, mlm",
        f"{path}:6: seeds = -1: should be at least 0",
    ]
    assert not (tmp_path / "store").exists()


def test_one_fault_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(study_text(seeds="[-1]"), encoding="utf-8")
    assert main(["study", "run", str(path), "--out", str(tmp_path / "store")]) == 2
    assert capsys.readouterr().err == f"polyhead: error: {path}:6: seeds = -1: should be at least 0\n"


@pytest.mark.parametrize(
    ("name", "said"), [("none.toml", "cannot be read (No such file or directory)"), (".", "cannot be read (Is a directory)")]
)
def test_a_file_that_is_not_there(name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "run", str(tmp_path / name), "--out", str(tmp_path / "store")]) == 2
    assert said in capsys.readouterr().err


def test_durations_are_in_the_largest_unit_that_fits() -> None:
    assert [duration(seconds) for seconds in (0, 119, 7199, 7200, 2 * 86400)] == [
        "1 second",
        "119 seconds",
        "120 minutes",
        "2.0 hours",
        "2.0 days",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["s.toml", "--gpus-per-task", "0.25"], "--cpus-per-task and --gpus-per-task: give them with --ray"),
        (
            ["s.toml", "--ray", "--threads", "2"],
            "--threads: a worker of --ray has as many as processors: give --cpus-per-task",
        ),
        (["s.toml", "--ray", "--cpus-per-task", "0"], "--cpus-per-task = 0.0: should be greater than 0"),
        (["--ray", "s.toml"], "missing argument FILE.toml: --ray took 's.toml'; write polyhead study run FILE.toml first"),
    ],
)
def test_options_of_ray_are_checked(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(study_text(), encoding="utf-8")
    assert main(["study", "run", *arguments, "--out", "store"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("store").exists()


def test_ray_starts_here_or_joins_a_cluster() -> None:
    def cluster(*arguments: str) -> Cluster | None:
        request = parse(StudyRunRequest, ["s.toml", "--out", "store", *arguments], name="study run")
        assert request is not None
        return cluster_of(request)

    assert cluster("--workers", "2") is None
    assert cluster("--ray") == Cluster("local", gpus=None, cpus=1.0, workers=None)
    assert cluster("--ray", "auto", "--gpus-per-task", "0.25", "--cpus-per-task", "4", "--workers", "8") == Cluster(
        "auto", gpus=0.25, cpus=4.0, workers=8
    )
