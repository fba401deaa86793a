"""Records on disk: whole or not at all, never another setting's, one writer at a time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic, write_text_atomic
from polyhead.core.specs import TrainSpec
from polyhead.core.store import Record, RunStore, writing
from polyhead.core.values import fingerprint


def test_a_record_comes_back_by_the_fingerprint_of_its_settings(tmp_path: Path) -> None:
    record = Record({"train": TrainSpec(), "k": 3}, {"score": np.float64(90.5), "counts": np.arange(3), "lost": float("nan")})
    with RunStore(tmp_path / "run") as store:
        assert store.get(fingerprint({"train": TrainSpec(), "k": 3})) is None
        folder = store.put(record)
        assert folder == store.folder_of(record.fingerprint)
        back = store.get(record.fingerprint)
    assert back is not None
    assert back.result == {"score": 90.5, "counts": [0, 1, 2], "lost": None}
    assert back.settings["train"]["seed"] == 42
    assert json.loads((folder / "record.json").read_text(encoding="utf-8"))["schema"] == 1


def test_records_are_listed_in_a_fixed_order(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        for k in range(5):
            store.put(Record({"k": k}, {"score": float(k)}))
        found = list(store.records())
    assert sorted(record.settings["k"] for record in found) == [0, 1, 2, 3, 4]
    assert [record.fingerprint for record in found] == sorted(record.fingerprint for record in found)


def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="not open for writing"):
        store.put(Record({}, {}))


def test_the_same_settings_replace_their_own_result_and_leave_no_other_file(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.put(Record({"k": 1}, {"score": 1.0}))
        folder = store.put(Record({"k": 1}, {"score": 2.0}))
        assert [record.result for record in store.records()] == [{"score": 2.0}]
    assert os.listdir(folder) == ["record.json"]


def test_a_folder_of_other_settings_is_refused_and_both_are_named(tmp_path: Path) -> None:
    first, second = {"search": {"max_pruned": 12}, "seed": 42}, {"search": {"max_pruned": 8}, "seed": 42}
    RunStore(tmp_path, first).close()
    RunStore(tmp_path, first).close()
    with pytest.raises(StoreError) as caught:
        RunStore(tmp_path, second)
    assert str(caught.value) == (
        f"{tmp_path / 'settings.json'}: {tmp_path} holds results of other settings (search.max_pruned was 12, is 8): run with "
        "those, choose another folder, or delete this one"
    )
    RunStore(tmp_path / "long", first | {"labels": [f"l{i}" for i in range(99)]}).close()
    with pytest.raises(StoreError, match=r"\(labels was \['l0', .*'l5', \.\.\.\], is None; search.max_pruned was"):
        RunStore(tmp_path / "long", second)
    RunStore(tmp_path, first).close()


@pytest.mark.parametrize(
    "content", ["[]", '{"settings": {"k": 1}}', '{"fingerprint": 3}', '{"settings": {"k": 2}, "fingerprint": "x"}']
)
def test_damaged_settings_are_not_called_other_settings(tmp_path: Path, content: str) -> None:
    RunStore(tmp_path, {"k": 1}).close()
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(StoreError, match=r"settings\.json: damaged: .*: delete it and run again$"):
        RunStore(tmp_path, {"k": 1})
    (tmp_path / "settings.json").unlink()
    RunStore(tmp_path, {"k": 1}).close()


def test_an_interrupt_says_what_is_kept_only_if_something_is(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, RunStore(tmp_path):
        raise KeyboardInterrupt
    assert not hasattr(caught.value, "__notes__")
    with RunStore(tmp_path) as store:
        store.put(Record({"k": 1}, {}))
    with pytest.raises(KeyboardInterrupt) as caught, RunStore(tmp_path, name=Path("run")):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["unfinished work is kept in run: start it again to continue"]


def test_a_foreign_record_is_neither_read_nor_overwritten(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        folder = store.put(Record({"k": 1}, {"score": 1.0}))
        content = read_json(folder / "record.json")
        (folder / "record.json").write_text(json.dumps(content | {"settings": {"k": 2}}), encoding="utf-8")
        with pytest.raises(StoreError, match="its settings have fingerprint"):
            store.get(folder.name)
        with pytest.raises(StoreError, match="its settings have fingerprint"):
            store.put(Record({"k": 1}, {"score": 1.0}))


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 2, "settings": {}, "result": {}}', '{"schema": 1}', "", "\x00"])
def test_a_corrupt_record_names_its_file(tmp_path: Path, content: str) -> None:
    with RunStore(tmp_path) as store:
        folder = store.put(Record({"k": 1}, {}))
        (folder / "record.json").write_text(content, encoding="utf-8")
        with pytest.raises(StoreError, match=r"record\.json"):
            store.get(folder.name)


def test_corrupt_json_gives_path_and_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{\n"a": 1,\n"b" 2}', encoding="utf-8")
    with pytest.raises(StoreError, match=r"x\.json:3: not JSON"):
        read_json(path)
    path.write_bytes(b'"\xff"')
    with pytest.raises(StoreError, match=r"x\.json: not JSON \('utf-8' codec can't decode byte 0xff in position 1"):
        read_json(path)
    with pytest.raises(StoreError, match="cannot be read"):
        read_json(tmp_path / "none.json")
    with pytest.raises(StoreError, match="cannot be read"):
        read_json(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_json_atomic(path, {"a": 1})

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(StoreError, match="No space left"):
        write_json_atomic(path, {"a": 2})
    monkeypatch.undo()
    assert read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]
    with pytest.raises(StoreError, match=r"x\.json: object has no JSON form"):
        write_json_atomic(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        write_text_atomic(tmp_path / "file" / "x.json", "x")
    with pytest.raises(StoreError, match="choose another folder"):
        RunStore(tmp_path / "file")


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a" / "b.txt", "ä\r\n\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "ä\r\n\n".encode()


def test_two_writers_exclude_each_other(tmp_path: Path) -> None:
    with RunStore(tmp_path), pytest.raises(StoreError, match=f"process {os.getpid()} on .* is writing here"):
        RunStore(tmp_path)
    RunStore(tmp_path).close()
    assert os.listdir(tmp_path) == []


def test_a_killed_writer_leaves_the_folder_free(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from polyhead.core.store import RunStore; "
        "store = RunStore(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(StoreError, match=f"process {other.pid} on"):
            RunStore(tmp_path)
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (tmp_path / ".lock").exists()
    RunStore(tmp_path).close()


def test_two_processes_do_not_write_one_target(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "tagger"
    with writing(target):
        (target.parent / ".other.abcd1234.tmp").touch()
        with (
            pytest.raises(StoreError, match=f"tagger: process {os.getpid()} on .* is writing here: wait for it"),
            writing(target),
        ):
            pass
        with writing(tmp_path / "deep" / "other"):
            pass
    assert os.listdir(tmp_path / "deep") == []
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"tagger: cannot be written"), writing(tmp_path / "file" / "tagger"):
        pass


def test_what_a_killed_writer_left_unfinished_is_removed_by_the_next(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run") as store:
        folder = store.put(Record({"k": 1}, {}))
    (folder / ".record.json.abcd1234.tmp").write_text("{")
    (folder / ".model.abcd1234.tmp" / "new").mkdir(parents=True)
    RunStore(tmp_path / "run").close()
    assert os.listdir(folder) == ["record.json"]
