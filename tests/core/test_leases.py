"""Leases: one holder, judged by its heartbeat alone; a result is recorded once, and a late one is discarded and said."""

import errno
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polyhead.core import exclusive, lease_files
from polyhead.core.errors import Busy, LeaseLost, WriteError
from polyhead.core.leases import Lease, Leases


class Clock:
    """Seconds that a test sets."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def elsewhere(folder: Path, worker: str, clock: Clock | None = None) -> Leases:
    """A worker whose process others cannot see, as on another host."""
    leases = Leases(folder, worker, beat=1.0, patience=4, clock=clock or Clock())
    leases.process = ""
    return leases


def taken(leases: Leases, stage: str = "stage") -> Lease:
    lease = leases.acquire(stage)
    assert lease is not None
    return lease


def looks(leases: Leases, clock: Clock, n: int, *, apart: float = 1.0) -> list[Lease | None]:
    """What each of so many attempts found."""
    found = []
    for _ in range(n):
        found.append(leases.acquire("stage"))
        clock.now += apart
    return found


def test_one_worker_holds_a_stage_and_the_next_gets_it_after(tmp_path: Path) -> None:
    first, second = elsewhere(tmp_path, "first"), elsewhere(tmp_path, "second")
    lease = taken(first)
    assert lease.generation == 1
    assert second.acquire("stage") is None
    assert first.acquire("stage") is None
    with pytest.raises(Busy, match=r"^stage: another worker holds it$"), second.holding("stage"):
        pass
    lease.release()
    assert taken(second).generation == 2
    assert [path.name for path in tmp_path.iterdir()] == ["stage.2"]
    lease.release()
    with pytest.raises(LeaseLost):
        lease.check()


def test_a_finished_stage_leaves_no_file_and_a_failed_one_is_free_at_once(tmp_path: Path) -> None:
    first, second = elsewhere(tmp_path, "first"), elsewhere(tmp_path, "second")
    with pytest.raises(RuntimeError), first.holding("stage"):
        raise RuntimeError
    with second.holding("stage") as lease:
        assert lease.generation == 2
        lease.check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["fits/a1.scores", "ä b", "a.1", "a.1.tmp", "%"])
def test_any_name_is_a_stage_of_its_own(tmp_path: Path, stage: str) -> None:
    leases = elsewhere(tmp_path, "worker")
    lease, other = taken(leases, stage), taken(leases, "a")
    lease.check()
    other.check()
    assert (lease.generation, other.generation) == (1, 1)


def test_a_holder_that_beats_keeps_its_stage_and_one_that_does_not_loses_it(tmp_path: Path) -> None:
    clock = Clock()
    first, second = elsewhere(tmp_path, "first"), elsewhere(tmp_path, "second", clock)
    lease = taken(first)
    for _ in range(50):
        assert second.acquire("stage") is None
        lease._beat()
        clock.now += 1
    lease.check()
    found = looks(second, clock, 6)
    # The last heartbeat came after the last look: the first look only sees it.
    assert [lease is not None for lease in found] == [False] * 4 + [True, False]
    assert found[4] is not None
    assert found[4].generation == 2
    with pytest.raises(LeaseLost, match=r"^stage: another worker took it over from this one$"):
        lease.check()


def test_an_observer_that_was_suspended_or_looks_too_often_does_not_judge_sooner(tmp_path: Path) -> None:
    clock = Clock()
    taken(elsewhere(tmp_path, "first"))
    second = elsewhere(tmp_path, "second", clock)
    assert looks(second, clock, 1, apart=3600.0) == [None]
    assert looks(second, clock, 3, apart=3600.0) == [None] * 3
    third = elsewhere(tmp_path, "third", clock)
    assert looks(third, clock, 39, apart=0.1) == [None] * 39
    assert any(looks(third, clock, 20, apart=0.1))


def test_a_slow_holder_is_judged_by_its_own_beat(tmp_path: Path) -> None:
    clock = Clock()
    slow = Leases(tmp_path, "slow", beat=60.0)
    slow.process = ""
    taken(slow)
    assert looks(elsewhere(tmp_path, "second", clock), clock, 239) == [None] * 239
    assert looks(elsewhere(tmp_path, "third", clock), clock, 5, apart=60.0)[-1] is not None


def test_clocks_of_the_day_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1e9)
    lease = taken(elsewhere(tmp_path, "first"))
    second = elsewhere(tmp_path, "second", clock)
    for skew in (-3600, 3600, -1e6, 1e6):
        monkeypatch.setattr(time, "time", lambda skew=skew: 1.7e9 + skew)
        os.utime(tmp_path / "stage.1", (1.7e9 + skew,) * 2)
        assert second.acquire("stage") is None
    lease._beat()
    os.utime(tmp_path / "stage.1", (0, 0))
    assert looks(second, clock, 4) == [None] * 4
    lease.check()


def test_a_killed_process_of_this_host_is_replaced_at_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib; from polyhead.core.leases import Leases\n"
        "Leases(pathlib.Path(sys.argv[1]), 'killed').acquire('stage'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    other = Leases(tmp_path, "other")
    if not other.process:
        pytest.skip("this system does not tell that a process has ended")
    assert taken(other).generation == 2
    assert [path.name for path in tmp_path.iterdir()] == ["stage.2"]


@pytest.mark.parametrize(
    "content", [b"", b'{"schema": 1, "st', b"[]", b"\x00" * 40, b'{"beat": 1e300, "process": 3}', b"[" * 9999]
)
def test_a_half_written_lease_lapses_as_any_other(tmp_path: Path, content: bytes) -> None:
    clock = Clock()
    (tmp_path / "stage.7").write_bytes(content)
    found = looks(elsewhere(tmp_path, "worker", clock), clock, 5)
    assert found[:4] == [None] * 4
    assert found[4] is not None
    assert found[4].generation == 8
    assert [path.name for path in tmp_path.iterdir()] == ["stage.8"]


def test_a_result_is_recorded_once_and_the_late_one_is_discarded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    first, second = elsewhere(tmp_path / "leases", "first"), elsewhere(tmp_path / "leases", "second", clock)
    slow = taken(first)
    fast = looks(second, clock, 5)[-1]
    assert fast is not None
    path = tmp_path / "cells" / "one.json"
    with caplog.at_level(logging.WARNING), pytest.raises(LeaseLost):
        slow.commit(path, b"late")
    assert not path.exists()
    fast.commit(path, b"first")
    assert (path.read_bytes(), first.discarded, second.discarded) == (b"first", 1, 0)
    assert caplog.messages == [
        "a late result was discarded: stage: another worker took it over from this one (worker first, generation 1)"
    ]
    with pytest.raises(LeaseLost, match=r"another worker has recorded one\.json"):
        fast.commit(path, b"again")
    assert path.read_bytes() == b"first"
    assert [file.name for file in (tmp_path / "leases").iterdir()] == ["stage.2"]


def test_a_holder_that_lost_its_stage_neither_beats_nor_releases_the_files_of_others(tmp_path: Path) -> None:
    clock = Clock()
    first, second = elsewhere(tmp_path, "first"), elsewhere(tmp_path, "second", clock)
    slow = taken(first)
    fast = looks(second, clock, 5)[-1]
    assert fast is not None
    slow._beat()
    slow.release(finished=True)
    assert [path.name for path in tmp_path.iterdir()] == ["stage.2"]
    fast.release(finished=True)
    again = taken(elsewhere(tmp_path, "third"))
    assert again.generation == 1  # the file of the first one's name
    slow._released = False
    slow._beat()
    slow.release(finished=True)
    again.check()


def test_without_hard_links_one_writer_still_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(exclusive.os, "link", refuse)
    lease = taken(elsewhere(tmp_path, "worker"))
    lease.commit(tmp_path / "one", b"first")
    with pytest.raises(LeaseLost):
        lease.commit(tmp_path / "one", b"second")
    assert (tmp_path / "one").read_bytes() == b"first"


def test_a_link_whose_answer_was_lost_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def repeated(one: Path, other: Path) -> None:
        link(one, other)
        link(one, other)

    monkeypatch.setattr(exclusive.os, "link", repeated)
    lease = taken(elsewhere(tmp_path, "worker"))
    lease.commit(tmp_path / "one", b"first")
    assert lease._leases.discarded == 0


def test_a_folder_that_takes_no_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"^\S*file/leases: cannot be written \(Not a directory\); choose another folder$"):
        elsewhere(tmp_path / "file" / "leases", "worker").acquire("stage")
    opened = os.open

    def read_only(path: Path, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(WriteError, match="Read-only file system"):
        elsewhere(tmp_path, "worker").acquire("stage")


def test_an_old_listing_does_not_make_a_second_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = elsewhere(tmp_path, "first"), elsewhere(tmp_path, "second")
    taken(first).release()
    held = taken(first)
    listed = lease_files.os.scandir
    stale = [tmp_path / "nothing"]
    stale[0].mkdir()
    monkeypatch.setattr(lease_files.os, "scandir", lambda folder: listed(stale.pop() if stale else folder))
    assert second.acquire("stage") is None
    held.check()
    assert not (tmp_path / "stage.1").exists()


def test_closing_gives_back_what_is_held_and_ends_the_heartbeat(tmp_path: Path) -> None:
    with Leases(tmp_path, "first", beat=0.02) as leases:
        lease = taken(leases)
        before = (tmp_path / "stage.1").read_bytes()
        deadline = time.monotonic() + 30
        while (tmp_path / "stage.1").read_bytes() == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert json.loads((tmp_path / "stage.1").read_bytes())["count"] > 0
        lease.check()
    assert json.loads((tmp_path / "stage.1").read_bytes())["state"] == "released"
    assert leases._thread is not None
    leases._thread.join(30)
    assert not leases._thread.is_alive()


def test_a_stage_whose_holder_is_interrupted_while_it_is_taken_is_free_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(lease: Lease) -> bool:
        raise KeyboardInterrupt

    first = elsewhere(tmp_path, "first")
    with monkeypatch.context() as patched:
        patched.setattr(Lease, "_is_newer", interrupt)
        with pytest.raises(KeyboardInterrupt):
            first.acquire("stage")
    first.close()
    assert taken(elsewhere(tmp_path, "second")).generation == 2
