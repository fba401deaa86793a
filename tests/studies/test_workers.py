"""The loop of a worker: what it tries, skips, waits for, gives up and says."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sleeping_jobs import SleepingJob, all_stages, jobs, recorded

from polyhead.core.errors import Busy, LeaseLost, Missing, WriteError
from polyhead.core.leases import Leases
from polyhead.core.records import read_records, record_bytes, record_names
from polyhead.studies.failures import read_failures
from polyhead.studies.workers import check_records, each, start_order, work


class Simple:
    """A job that does one thing and then writes its record."""

    def __init__(self, name: str, store: Path, do: Callable[[], None] = lambda: None) -> None:
        self.name, self.group, self._store, self._do = name, name, store, do
        self.times = 0

    def advance(self) -> None:
        self.times += 1
        self._do()
        (self._store / "cells").mkdir(exist_ok=True)
        (self._store / "cells" / f"{self.name}.json").write_bytes(record_bytes({}, schema=1))


class Counting:
    """A progress that counts."""

    total, done = 0, 0

    def start(self, total: int, what: str) -> None:
        self.total = total

    def advance(self, n: int) -> None:
        self.done += n

    def stop(self) -> None:
        pass


@contextmanager
def leases_of(store: Path, worker: str = "w1") -> Iterator[Leases]:
    with Leases(store / "leases", worker, beat=0.05, patience=3) as leases:
        yield leases


def raising(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


def test_all_jobs_are_done_once_and_nothing_is_left_of_the_work(tmp_path: Path) -> None:
    progress = Counting()
    with leases_of(tmp_path) as leases:
        outcome = work(jobs(tmp_path, leases, 7), tmp_path, leases, progress=progress)
    assert (outcome.done, outcome.found, outcome.failed, outcome.discarded) == (7, 0, (), 0)
    assert (progress.total, progress.done) == (7, 7)
    assert recorded(tmp_path) == all_stages(7)
    assert [list((tmp_path / name).iterdir()) for name in ("leases", "workers")] == [[], []]


def test_done_jobs_are_skipped_without_a_look_at_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = [Simple(f"job-{place}", tmp_path) for place in range(20)]
    with leases_of(tmp_path) as leases:
        work(tried[:19], tmp_path, leases)
        looks: list[str] = []
        stat = Path.exists
        monkeypatch.setattr(Path, "exists", lambda path: looks.append(path.name) or stat(path))
        outcome = work(tried, tmp_path, leases)
    assert (outcome.done, outcome.found) == (1, 19)
    assert [job.times for job in tried] == [1] * 20
    assert [name for name in looks if name.startswith("job-")] == ["job-19.json"]


def test_orders_differ_by_worker_but_stay_near_the_study(tmp_path: Path) -> None:
    many = [Simple(str(place), tmp_path) for place in range(1000)]
    one, other = start_order(many, "w1"), start_order(many, "w2")
    assert one != other
    assert one == start_order(many, "w1")
    assert sorted(one, key=many.index) == many
    assert max(abs(place - int(job.name)) for place, job in enumerate(one)) <= 64


def test_a_worker_finishes_a_group_before_it_opens_another(tmp_path: Path) -> None:
    with leases_of(tmp_path) as leases:
        many = jobs(tmp_path, leases, 45)
        many = [*many[::2], *many[1::2]]  # the jobs of a group are not neighbours in the study
        orders = [start_order(many, worker) for worker in ("w1", "w2")]
    assert orders[0][0].group != orders[1][0].group
    for order in orders:
        opened = [
            job.group for job, before in zip(order, [None, *order], strict=False) if before is None or job.group != before.group
        ]
        assert len(opened) == len(set(opened)) == 15


def test_a_failing_job_is_kept_and_stops_nothing(tmp_path: Path) -> None:
    bad = Simple("bad", tmp_path, raising(RuntimeError("out of memory")))
    tried = [Simple("one", tmp_path), bad, Simple("two", tmp_path)]
    for start in range(5):
        with leases_of(tmp_path) as leases:
            outcome = work(tried, tmp_path, leases, retries=2)
        assert [failure.name for failure in outcome.failed] == ["bad"]
        assert bad.times == outcome.failed[0].times == min(start + 1, 3)
    assert record_names(tmp_path / "cells") == {"one", "two"}
    assert read_failures(tmp_path / "failures")["bad"].what == "RuntimeError: out of memory"


def test_a_result_that_does_not_fit_ends_the_worker_and_is_no_failure_of_the_job(tmp_path: Path) -> None:
    large = Simple(
        "large", tmp_path, raising(WriteError("weights: cannot be written (No space left on device); free some space"))
    )
    with leases_of(tmp_path) as leases, pytest.raises(WriteError, match=r"^weights: cannot be written"):
        work([large], tmp_path, leases)
    assert read_failures(tmp_path / "failures") == {}
    assert list((tmp_path / "workers").iterdir()) == []


def test_a_job_that_works_at_last_leaves_no_failure(tmp_path: Path) -> None:
    job = Simple("job", tmp_path, raising(RuntimeError()))
    with leases_of(tmp_path) as leases:
        work([job], tmp_path, leases)
        job._do = lambda: None
        assert work([job], tmp_path, leases).done == 1
    assert list((tmp_path / "failures").iterdir()) == []


def test_a_job_that_failed_in_another_workers_hands_is_left_to_the_next_start(tmp_path: Path) -> None:
    bad = Simple("bad", tmp_path, raising(RuntimeError()))

    def fails_elsewhere() -> None:
        with leases_of(tmp_path, "w2") as other:
            work([bad], tmp_path, other)

    with leases_of(tmp_path) as leases:
        first = Simple("first", tmp_path, fails_elsewhere)
        worker_order = start_order([first, bad], "w1")
        outcome = work([first, bad] if worker_order[0] is first else [bad, first], tmp_path, leases)
    assert [failure.name for failure in outcome.failed] == ["bad"]
    assert bad.times == 1


def test_a_worker_waits_for_what_others_hold(tmp_path: Path) -> None:
    with leases_of(tmp_path, "other") as other, leases_of(tmp_path) as leases:
        held = other.acquire("group-0-source")
        assert held is not None
        timer = threading.Timer(0.4, held.release)
        timer.start()
        began = time.monotonic()
        outcome = work(jobs(tmp_path, leases, 3), tmp_path, leases)
        timer.join()
    assert outcome.done == 3
    assert time.monotonic() - began >= 0.4


def test_only_one_of_the_jobs_that_wait_for_a_stage_is_tried_again(tmp_path: Path) -> None:
    wait = [True]

    def busy() -> None:
        if wait[0]:
            raise Busy("source")

    tried = [Simple(f"job-{place}", tmp_path, busy) for place in range(9)]
    timer = threading.Timer(0.5, lambda: wait.__setitem__(0, False))
    timer.start()
    with leases_of(tmp_path) as leases:
        assert work(tried, tmp_path, leases).done == 9
    timer.join()
    times = sorted(job.times for job in tried)
    assert times[:8] == [2] * 8
    assert times[8] > 4


def test_two_workers_share_the_sweep_of_one_job(tmp_path: Path) -> None:
    outcomes = []

    def start(worker: str) -> None:
        with leases_of(tmp_path, worker) as leases:
            outcomes.append(work([SleepingJob("job", "group", tmp_path, leases, (0.2, 0.3))], tmp_path, leases))

    threads = [threading.Thread(target=start, args=(worker,)) for worker in ("w1", "w2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcome.done for outcome in outcomes) >= 1
    assert [len(recorded(tmp_path)), len(set(recorded(tmp_path)))] == [5, 5]
    assert len([file for file in tmp_path.glob("recorded-by-*.txt") if file.read_text()]) == 2


def test_each_tries_all_and_says_what_is_missing() -> None:
    tried = []

    def do(k: int) -> int:
        tried.append(k)
        if k in signals:
            raise signals[k]
        return k * k

    signals: dict[int, Exception] = {}
    assert each(range(4), do) == [0, 1, 4, 9]
    signals = {1: Missing("one"), 3: Missing("three", "four")}
    with pytest.raises(Missing, match="one, three, four: not done yet") as missing:
        each(range(5), do)
    assert missing.value.stages == ("one", "three", "four")
    signals |= {2: LeaseLost("two"), 4: Busy("four")}
    with pytest.raises(LeaseLost, match="two"):
        each(range(5), do)
    assert tried == [*range(4), *range(5), *range(5)]
    signals = {2: ValueError("broken")}
    with pytest.raises(ValueError, match="broken"):
        each(range(5), do)


def test_damaged_cells_are_found_and_done_again(tmp_path: Path) -> None:
    tried = [Simple(f"job-{place}", tmp_path) for place in range(5)]
    with leases_of(tmp_path) as leases, leases_of(tmp_path, "other") as other:
        work(tried, tmp_path, leases)
        assert check_records(tmp_path, leases, schema=1) == []
        damaged = tmp_path / "cells" / "job-3.json"
        damaged.write_bytes(damaged.read_bytes()[:-5])
        with other.holding("check-records"):
            assert check_records(tmp_path, leases, schema=1) == []
        assert len(check_records(tmp_path, leases, schema=1)) == 1
        assert work(tried, tmp_path, leases).done == 1
    assert [job.times for job in tried] == [1, 1, 1, 2, 1]


def test_an_interrupt_says_what_is_kept_and_gives_the_stage_back(tmp_path: Path) -> None:
    def interrupted() -> None:
        with leases.holding("stage"):
            raise KeyboardInterrupt

    with leases_of(tmp_path) as leases, pytest.raises(KeyboardInterrupt) as stop:
        work([Simple("job", tmp_path, interrupted)], tmp_path, leases)
    assert stop.value.__notes__ == [f"unfinished work is kept in {tmp_path}: start it again to continue"]
    with leases_of(tmp_path, "next") as other:
        assert other.acquire("stage") is not None


class FullDisk:
    """The n-th write to the disk fails, and all after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
        self.left = n
        for module, name in ((os, "fsync"), (os, "link"), (os, "replace"), (os, "mkdir"), (os, "open"), (os, "fdopen")):
            monkeypatch.setattr(module, name, self.limited(getattr(module, name), name))

    def limited(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is threading.main_thread() and (name != "open" or arguments[1] & os.O_CREAT):
                self.left -= 1
                if self.left < 0:
                    if name == "fdopen":  # the file was created, its content does not fit
                        os.close(arguments[0])
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments, **named)

        return wrapped


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_loses_nothing(tmp_path: Path) -> None:
    caught: list[WriteError] = []
    for n in range(1000):
        store = tmp_path / str(n)
        with pytest.MonkeyPatch.context() as monkeypatch, leases_of(store) as leases:
            FullDisk(monkeypatch, n)
            try:
                work(jobs(store, leases, 2), store, leases)
            except WriteError as error:
                caught.append(error)
        with leases_of(store, "next") as leases:
            assert check_records(store, leases, schema=1) == []
            outcome = work(jobs(store, leases, 2), store, leases)
        assert (outcome.done + outcome.found, outcome.failed) == (2, ())
        assert recorded(store) == all_stages(2)
        for name in ("cells", "fits"):
            assert read_records(store / name, schema=1).damaged == ()
            assert [path.name for path in (store / name).iterdir() if path.suffix != ".json"] == []
        if len(caught) == n:  # this time the disk was large enough
            break
    assert len(caught) > 50
    assert all("No space left on device" in str(error) and "\n" not in str(error) for error in caught)


def test_a_small_disk_that_fills_up_is_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=256k tmpfs {disk} 2>/dev/null") != 0:
        pytest.skip("needs a right to mount")
    try:
        with pytest.raises(OSError, match="No space left"):
            (disk / "ballast").write_bytes(b"x" * 2**20)
        with (
            leases_of(disk) as leases,
            pytest.raises(WriteError, match=r"cannot be written \(No space left on device.* free some"),
        ):
            work(jobs(disk, leases, 2), disk, leases)
        (disk / "ballast").unlink()
        with leases_of(disk) as leases:
            assert work(jobs(disk, leases, 2), disk, leases).done == 2
        assert recorded(disk) == all_stages(2)
    finally:
        os.system(f"umount {disk}")
