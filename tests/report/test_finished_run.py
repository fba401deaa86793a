"""Runs read back: what is refused, with the file and the fault in one line, and how runs of one name are told apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report.page_case import write_many, write_run

from polyhead.errors import StoreError
from polyhead.report.finished_run import finished_run, finished_runs


def test_reads_the_record_and_the_profile(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path / "one"))
    assert (run.name, run.shape, run.first["seed"]) == ("one", (6, 8), 42)
    assert run.heads is not None
    assert finished_run(write_run(tmp_path / "two", profile=False)).heads is None
    (also,) = finished_runs([tmp_path / "one" / "result.json"])
    assert also.record == run.record


def test_names_are_as_long_as_they_must_be(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "a" / "demo"), write_run(tmp_path / "b" / "demo"), write_run(tmp_path / "c")]
    assert [run.name for run in finished_runs(paths)] == ["a/demo", "b/demo", f"{tmp_path.name}/c"]
    assert [run.name for run in finished_runs(write_many(tmp_path, 2))] == ["run-0", "run-1"]


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such folder"):
        finished_run(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="holds no run"):
        finished_run(tmp_path)
    (tmp_path / "fits").mkdir()
    with pytest.raises(StoreError, match="is not finished: run the same command again"):
        finished_run(tmp_path)
    with pytest.raises(StoreError, match="given twice"):
        finished_runs([write_run(tmp_path / "x"), tmp_path / "y" / ".." / "x"])


def spoil(record: dict[str, Any], *keys: Any, value: Any) -> dict[str, Any]:
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return record


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: [r], "should be a valid dictionary"),
        (lambda r: spoil(r, "schema", value=7), "schema: Input should be 1"),
        (lambda r: spoil(r, "settings", "task", value="poetry"), "settings.task: Input should be 'pos', 'ner' or 'slots'"),
        (lambda r: spoil(r, "settings", "sources", value="en"), "settings.sources"),
        (lambda r: spoil(r, "cells", value=[]), "cells: List should have at least 1"),
        (lambda r: spoil(r, "cells", 0, "trials", value=None), "cells.0.trials: Field required"),
        (lambda r: spoil(r, "cells", 0, "trials", 1, "dev", value="x"), "cells.0.trials.1.dev"),
        (lambda r: spoil(r, "cells", 1, "scores", value=[[1, 2], [3]]), "scores of seed 43: not 6 layers of 8 heads"),
        (lambda r: spoil(r, "cells", 0, "scores", value="x"), "cells.0.scores"),
        (lambda r: spoil(r, "cells", 0, "targets", value=[]), "cells.0.targets"),
        (lambda r: spoil(r, "cells", 0, "targets", 2, "unpruned", value={"macro_f1": 3}), "has no accuracy"),
        (lambda r: spoil(r, "statistics", value="x"), "statistics"),
        (lambda r: spoil(r, "statistics", 0, "interval", value=[1.0]), "statistics.0.interval"),
        (lambda r: r | {"cells": [cell | {"arm": "random"} for cell in r["cells"]]}, "no cell is of the ranked arm"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    path = write_run(tmp_path) / "result.json"
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(StoreError, match=said) as caught:
        finished_run(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: spoil(h, "schema", value=2), "schema: Input should be 1"),
        (lambda h: spoil(h, "left_out", value=None), "left_out: Field required"),
        (lambda h: spoil(h, "languages", 0, "effects", value=None), "languages.0.effects: Field required"),
        (lambda h: spoil(h, "languages", 0, "scores", value={}), "languages.0.scores"),
        (lambda h: spoil(h, "languages", 1, "effects", "low", value=[[1.0]]), "6 layers of 8 heads"),
        (lambda h: spoil(h, "languages", 1, "attention", "relations", "obj", "to_head", "shares", value=[[1.0]]), "6 layers"),
        (lambda h: spoil(h, "languages", 1, "attention", "even", value={}), "shares and even"),
        (lambda h: spoil(h, "languages", 1, "attention", "even", "next", value=7.0), "languages.1.attention.even.next"),
        (lambda h: spoil(h, "languages", 2, "examples", 0, "weights", value=[[[[1.0]]]]), "weights are not those of its 8 words"),
        (lambda h: spoil(h, "model_hash", value="b" * 64), "another encoder"),
    ],
)
def test_a_damaged_profile_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    path = write_run(tmp_path) / "heads.json"
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(StoreError, match=said) as caught:
        finished_run(tmp_path)
    assert str(path) in str(caught.value)
