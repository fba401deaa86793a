"""`result.json` as it is written and read: what is wrong with it is said by its place, in one short line."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import record

from polyhead.core.errors import StoreError
from polyhead.report.document import document_json, read_document, write_document
from polyhead.report.record import RunRecord


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_document(path, record())
    assert read_document(path, RunRecord) == record()
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["schema"] == 2
    assert written == document_json(record())
    path.write_text(json.dumps(written, indent=7, sort_keys=True), encoding="utf-8")
    assert read_document(path, RunRecord) == record(), "the layout of the file says nothing"


def put(value: object, *keys: Any) -> Callable[[dict[str, Any]], object]:
    """A change of a document at one place; without a value the place goes."""

    def change(whole: dict[str, Any]) -> object:
        inner = whole
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        if value is None:
            del inner[keys[-1]]
        return whole

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda whole: [whole], "expected a JSON object, found a list"),
        (put(None, "schema"), "schema is None, expected 2"),
        (put("2", "schema"), "schema is '2', expected 2"),
        (put(1, "schema"), "schema is 1, expected 2"),
        (put(None, "cells", 0, "trials"), "cells.0.trials is missing"),
        (put("2", "cells", 0, "chosen"), "cells.0.chosen should be a valid integer, found '2'"),
        (put(True, "cells", 0, "chosen"), "cells.0.chosen should be a valid integer, found True"),
        (put(1.0, "extra"), "extra is not a field of this file"),
        (put(1.0, "settings", "search", "extra"), "settings.search.extra is not a field of this file"),
        (put("x", "settings", "search", "objective"), "settings.search.objective should be best, or within:X"),
        (put("x" * 5000 + "\n", "cells", 0, "trials", 0, "dev"), "cells.0.trials.0.dev should be a valid number, found 'xxx"),
        (put(51.5, "cells", 0, "targets", 0, "pruned", "accuracy"), "changed after it was written: sha256 is '"),
        (put("0" * 64, "sha256"), "changed after it was written: sha256 is '000"),
        (put(float("nan"), "seconds"), "Out of range float values"),
    ],
)
def test_the_first_fault_is_named_by_its_place(tmp_path: Path, change: Callable[[Any], object], said: str) -> None:
    path = tmp_path / "result.json"
    write_document(path, record())
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(StoreError) as caught:
        read_document(path, RunRecord)
    text = str(caught.value)
    assert text.startswith(f"{path}: not the result of a run, or damaged ({said}")
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize("content", ["", "{", '{"schema": 2', "[" * 10000, '{"schema": 2, "a": "\\ud800"}'])
def test_what_is_no_json_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(StoreError) as caught:
        read_document(path, RunRecord)
    assert "\n" not in str(caught.value)
