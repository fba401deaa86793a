"""Real worker processes that are killed, stopped or told to end at any point: nothing is lost or recorded twice."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sleeping_jobs import all_stages, recorded

from polyhead.core.leases import Leases
from polyhead.core.records import read_records
from polyhead.studies.workers import check_records

SCRIPT = Path(__file__).resolve().parents[1] / "sleeping_jobs.py"
Process = subprocess.Popen[str]
PATIENCE = 60.0  # seconds for what happens within one on an idle machine


@contextmanager
def workers(store: Path) -> Iterator[Callable[..., Process]]:
    """Starts worker processes; those that still run at the end are killed."""
    store.mkdir(exist_ok=True)
    started: list[Process] = []

    def start(worker: str, *options: str) -> Process:
        command = [sys.executable, str(SCRIPT), str(store), worker, *options]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def ended(process: Process) -> dict[str, int]:
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    result: dict[str, int] = json.loads(output)
    return result


def check(store: Path, n: int) -> None:
    """Every stage has one good record, and no two workers said that they recorded the same."""
    found = {path.stem: path for name in ("fits", "cells") for path in (store / name).glob("*.json")}
    assert sorted(stage if (stage := name) in all_stages(n) else f"{name}-cell" for name in found) == all_stages(n)
    assert len(recorded(store)) == len(set(recorded(store)))
    holder = {}
    for name in ("fits", "cells"):
        records = read_records(store / name, schema=1)
        assert records.damaged == ()
        holder |= {record.content["stage"]: record.content["worker"] for record in records.good}
    for file in store.glob("recorded-by-*.txt"):
        assert {f"recorded-by-{holder[stage]}.txt" for stage in file.read_text().split()} <= {file.name}
    with Leases(store / "leases", "checker") as leases:
        assert check_records(store, leases, schema=1) == []


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True], ids=["one host", "many hosts"])
def test_workers_killed_at_any_point_lose_only_their_running_stage(tmp_path: Path, elsewhere: bool) -> None:
    options = ("--jobs", "12", *(["--elsewhere"] if elsewhere else []))
    rng = random.Random(elsewhere)
    with workers(tmp_path) as start:
        running = [start(f"w{n}", *options) for n in range(3)]
        until(lambda: recorded(tmp_path))
        for round_ in range(8):
            time.sleep(rng.uniform(0.0, 0.4))
            victim = running.pop(rng.randrange(3))
            assert victim.poll() is None
            victim.kill()
            running.append(start(f"again{round_}", *options))
        outcomes = [ended(process) for process in running]
    assert all(outcome["failed"] == 0 for outcome in outcomes)
    check(tmp_path, 12)


@pytest.mark.slow
def test_a_stopped_worker_that_wakes_after_its_stage_was_taken_is_discarded(tmp_path: Path) -> None:
    options = ("--jobs", "1", "--seconds", "1.0", "1.0")
    with workers(tmp_path) as start:
        slow = start("slow", *options)
        until(lambda: list((tmp_path / "leases").glob("group-0-source.1")))
        slow.send_signal(signal.SIGSTOP)
        fast = start("fast", "--jobs", "1", "--seconds", "0.01", "0.01")
        outcome = ended(fast)
        assert outcome == {"done": 1, "failed": 0, "discarded": 0}
        slow.send_signal(signal.SIGCONT)
        output, errors = slow.communicate(timeout=PATIENCE)
    assert json.loads(output) == {"done": 0, "failed": 0, "discarded": 1}
    assert "a late result was discarded: group-0-source: another worker took it over from this one" in errors
    assert set((tmp_path / "recorded-by-fast.txt").read_text().split()) == set(all_stages(1))
    assert list((tmp_path / "leases").iterdir()) == []
    check(tmp_path, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_told_to_end_gives_its_stage_back_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with workers(tmp_path) as start:
        first = start("first", "--elsewhere", "--jobs", "1", "--beat", "20", "--seconds", "0", "60")
        until(lambda: list((tmp_path / "leases").glob("*")))
        first.send_signal(number)
        _, errors = first.communicate(timeout=PATIENCE)
        assert first.returncode == 130
        assert errors == f"polyhead: interrupted; unfinished work is kept in {tmp_path}: start it again to continue\n"
        assert list((tmp_path / "workers").iterdir()) == []
        ended(start("second", "--elsewhere", "--jobs", "1", "--beat", "20", "--seconds", "0", "0"))
    check(tmp_path, 1)
