"""Each worker says what it does, until it ends."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from polyhead.core.files import write_json_atomic
from polyhead.core.leases import Leases
from polyhead.studies.worker_status import read_workers, reporting, worker_name


def test_a_worker_has_a_file_while_it_works(tmp_path: Path) -> None:
    with Leases(tmp_path / "leases", "w1", beat=0.02) as leases, reporting(tmp_path / "workers", leases) as file:
        (status,) = read_workers(tmp_path / "workers")
        assert (status.worker, status.job, status.is_gone) == ("w1", "", False)
        leases.discarded = 1
        file.says(job="cell", done=3, failed=1)
        deadline = time.monotonic() + 30
        while (found := read_workers(tmp_path / "workers"))[0].job != "cell" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [(status.job, status.done, status.failed, status.discarded) for status in found] == [("cell", 3, 1, 1)]
    assert list((tmp_path / "workers").iterdir()) == []
    file.write()
    assert read_workers(tmp_path / "workers") == []


def test_files_of_killed_workers_go_and_damaged_ones_are_left_out(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "leases", "w1")
    where, pid, started = leases.process.split()
    with reporting(tmp_path, leases) as file:
        for name, process in (("killed", f"{where} {pid} {int(started) - 1}"), ("far", "host/boot/namespace 1 1")):
            write_json_atomic(tmp_path / f"{name}.json", replace(file.status, worker=name, process=process))
        (tmp_path / "half.json").write_text("{")
        assert [(status.worker, status.is_gone) for status in read_workers(tmp_path)] == [
            ("far", False),
            ("killed", True),
            ("w1", False),
        ]
        with reporting(tmp_path, Leases(tmp_path / "leases", "w2")):
            assert [status.worker for status in read_workers(tmp_path)] == ["far", "w1", "w2"]
    leases.close()


def test_worker_names_are_file_names_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node/7 ü.cluster")
    one, other = worker_name(), worker_name()
    assert one.startswith("node-7-cluster-")
    assert one != other
