"""A folder says what it is, and no other folder is taken for a store."""

import json
from pathlib import Path

import pytest

from polyhead.core.errors import StoreError, WriteError
from polyhead.core.store_kind import check_store, open_store

KIND = "polyhead study store"


def check(folder: Path) -> None:
    check_store(folder, kind=KIND, schema=1)


def opened(folder: Path) -> Path:
    open_store(folder, kind=KIND, schema=1)
    return folder


def test_a_new_or_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    check(opened(tmp_path / "deep" / "store"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").write_text("")
    check(opened(tmp_path / "empty"))
    (tmp_path / "empty" / "cells").mkdir()
    check(opened(tmp_path / "empty"))
    assert json.loads((tmp_path / "empty" / "store.json").read_text()) == {"schema": 1, "kind": KIND}


def test_another_folder_is_neither_read_nor_changed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"is not a polyhead study store and not empty: choose a new or empty folder$"):
        opened(tmp_path)
    with pytest.raises(StoreError, match=r"not a polyhead study store \(it has no store\.json\): check the path$"):
        check(tmp_path)
    with pytest.raises(StoreError, match="not a folder; expected a polyhead study store"):
        check(tmp_path / "missing")
    with pytest.raises(StoreError, match="is not a polyhead study store and not empty"):
        opened(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"schema": 2, "kind": KIND}, "schema 2; this polyhead knows up to 1: update polyhead"),
        ({"schema": "new", "kind": KIND}, "schema 'new'"),
        ({"schema": 1, "kind": "other"}, "not of a polyhead study store: choose another folder"),
        ([], "not of a polyhead study store"),
    ],
)
def test_a_newer_or_foreign_store_is_refused_for_both(tmp_path: Path, content: object, said: str) -> None:
    (tmp_path / "store.json").write_text(json.dumps(content))
    for use in (check, opened):
        with pytest.raises(StoreError, match=said):
            use(tmp_path)


def test_a_damaged_file_of_a_store_is_written_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (opened(tmp_path) / "cells").mkdir()
    (tmp_path / "store.json").write_text('{"schema"')
    with pytest.raises(StoreError, match=r"store\.json: damaged: run the study in .* again, which writes this file anew$"):
        check(tmp_path)
    check(opened(tmp_path))
    assert caplog.messages == [f"{tmp_path / 'store.json'}: damaged; written again"]


def test_a_place_that_takes_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        opened(tmp_path / "file" / "store")
