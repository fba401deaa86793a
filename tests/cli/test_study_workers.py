"""`study run --workers` and `study work`: several processes share a store."""

import json
from pathlib import Path

import pytest

from polyhead.cli.main import main
from polyhead.studies.study_folder import add_study

STUDY = """
name = "few"
tasks = ["pos"]
models = ["polyhead/tiny"]
sources = ["phrases/en"]
targets = ["phrases/de"]
seeds = [1, 2, 3]
train_limit = 40
[search]
how = "nested"
max_pruned = 2
[train]
epochs = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "few.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.mark.slow
def test_workers_of_one_command_share_the_cells(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    assert main(["study", "run", str(file), "--out", str(store), "--workers", "2", "--threads", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["done"] + found["found"], found["failed"]) == (3, [])
    assert len(list((store / "cells").glob("*.json"))) == 3
    assert not list((store / "workers").glob("*.json")), "nobody works there any more"
    assert main(["study", "work", str(store)]) == 0
    assert "0 cells run, 3 already there or by others, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "not a folder; expected a polyhead study store"),
        (["store", "--study", "other"], "has no study 'other'; it has few"),
    ],
)
def test_a_store_that_is_none_is_refused(
    arguments: list[str],
    message: str,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    add_study(file, tmp_path / "store")
    assert main(["study", "work", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
