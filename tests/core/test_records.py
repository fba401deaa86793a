"""Records in one folder: damage of any kind is found, said and set aside; nothing is parsed to find it."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead.core import records
from polyhead.core.errors import StoreError
from polyhead.core.records import read_record, read_records, record_bytes, record_names, set_aside

CONTENT = {"cell": {"task": "pos"}, "points": [90.5, 1e-7], "name": "ä\u2028", "counts": np.arange(3)}


def written(folder: Path, n: int = 3) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{place:03}.json" for place in range(n)]
    for path in paths:
        path.write_bytes(record_bytes({"place": path.name}, schema=1))
    return paths


def test_a_record_is_plain_json_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(record_bytes(CONTENT, schema=1))
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["schema", *CONTENT, "sha256"]
    record = read_record(path, schema=1)
    assert record is not None
    assert record.name == "one"
    assert record.content == CONTENT | {"counts": [0, 1, 2]}
    assert read_record(tmp_path / "other.json", schema=1) is None
    with pytest.raises(StoreError, match="a record has no JSON form"):
        record_bytes({"what": object()}, schema=1)


def test_records_are_listed_without_the_files_beside_them(tmp_path: Path) -> None:
    written(tmp_path)
    for name in ("000.safetensors", ".001.json.0a1b2c3d.tmp", ".hidden.json", "002.json.damaged", "notes.txt"):
        (tmp_path / name).write_text("")
    assert record_names(tmp_path) == {"000", "001", "002"}
    assert record_names(tmp_path / "missing") == set()
    assert [record.content["place"] for record in read_records(tmp_path, schema=1).good] == ["000.json", "001.json", "002.json"]
    assert [record.name for record in read_records(tmp_path, schema=1, names=["001", "7"]).good] == ["001"]


@given(data=st.data())
def test_any_changed_byte_or_missing_end_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = record_bytes(CONTENT, schema=1)
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    path = tmp_path_factory.mktemp("records") / "one.json"
    for damaged in (whole[:place], whole[:place] + bytes([byte]) + whole[place + 1 :], whole + bytes([byte])):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"one\.json: damaged \(half written, or changed since\): delete it and run again$"):
            read_record(path, schema=1)


def test_damaged_records_are_set_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = written(tmp_path)
    paths[1].write_bytes(paths[1].read_bytes()[:20])
    (tmp_path / "empty.json").write_bytes(b"")
    found = read_records(tmp_path, schema=1)
    assert [record.name for record in found.good] == ["000", "002"]
    assert [path.name for path in found.damaged] == ["001.json", "empty.json"]
    lines = set_aside(found.damaged)
    assert lines[0] == (
        f"{paths[1]}: damaged (half written, or changed since): set aside as 001.json.damaged; its work is done again"
    )
    assert caplog.messages == lines
    assert record_names(tmp_path) == {"000", "002"}
    assert (tmp_path / "001.json.damaged").stat().st_size == 20
    assert set_aside(found.damaged) == []


def test_a_record_that_is_being_written_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = written(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:9])
    monkeypatch.setattr(records.time, "sleep", lambda _: path.write_bytes(whole))
    assert [record.name for record in read_records(tmp_path, schema=1).good] == ["000"]


@pytest.mark.parametrize(("schema", "do"), [(2, "update polyhead"), (0, "read it with the polyhead that wrote it")])
def test_a_record_of_another_schema_is_one_line(tmp_path: Path, schema: int, do: str) -> None:
    (tmp_path / "one.json").write_bytes(record_bytes({}, schema=schema))
    with pytest.raises(StoreError, match=rf"one\.json: a record of schema {schema}; this polyhead reads schema 1: {do}"):
        read_records(tmp_path, schema=1)


def test_a_folder_that_cannot_be_listed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file: cannot be listed \(Not a directory\)"):
        record_names(tmp_path / "file")
    (tmp_path / "one.json").mkdir()
    with pytest.raises(StoreError, match=r"one\.json: cannot be read \(Is a directory\)"):
        read_records(tmp_path, schema=1)


def test_two_readers_set_a_file_aside_once(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 1)
    path.write_bytes(b"{")
    lines: list[str] = []
    threads = [threading.Thread(target=lambda: lines.extend(set_aside([path]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines) == 1
