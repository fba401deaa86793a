"""Jobs whose stages sleep, as a study's jobs train; run as a program, a worker process that does them."""

import argparse
import json
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from polyhead.cli.failures import guarded
from polyhead.core.leases import Leases
from polyhead.core.records import read_record, record_bytes
from polyhead.studies.workers import each, work

SWEEP = 3


class SleepingJob:
    """One of a group that shares a first stage; then a sweep of independent stages; then the record."""

    def __init__(self, name: str, group: str, store: Path, leases: Leases, seconds: Sequence[float] = (0.0, 0.0)) -> None:
        self.name, self.group, self._store, self._leases, self._seconds = name, group, store, leases, seconds

    def advance(self) -> None:
        stages = [f"{self.group}-source"]
        self._stage(stages[0], self._store / "fits" / f"{stages[0]}.json")
        stages += each(range(SWEEP), self._sweep)
        self._stage(f"{self.name}-cell", self._store / "cells" / f"{self.name}.json")

    def _sweep(self, k: int) -> str:
        stage = f"{self.name}-k{k}"
        self._stage(stage, self._store / "fits" / f"{stage}.json")
        return stage

    def _stage(self, stage: str, path: Path) -> None:
        if read_record(path, schema=1) is not None:
            return
        with self._leases.holding(stage) as lease:
            if read_record(path, schema=1) is None:
                time.sleep(random.uniform(*self._seconds))
                lease.commit(path, record_bytes({"stage": stage, "worker": self._leases.worker}, schema=1))
                with (self._store / f"recorded-by-{self._leases.worker}.txt").open("a") as file:
                    file.write(f"{stage}\n")


def jobs(store: Path, leases: Leases, n: int, seconds: Sequence[float] = (0.0, 0.0)) -> list[SleepingJob]:
    """So many jobs in groups of three."""
    return [SleepingJob(f"job-{place}", f"group-{place // 3}", store, leases, seconds) for place in range(n)]


def all_stages(n: int) -> list[str]:
    """Names of the stages of so many jobs, sorted."""
    sweeps = [f"job-{place}-{part}" for place in range(n) for part in (*(f"k{k}" for k in range(SWEEP)), "cell")]
    return sorted(sweeps + [f"group-{group}-source" for group in range(-(-n // 3))])


def recorded(store: Path) -> list[str]:
    """Stages that workers say they recorded, sorted; one that two of them recorded is there twice."""
    return sorted(line for file in store.glob("recorded-by-*.txt") for line in file.read_text().split())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("worker")
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--beat", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.05, 0.2))
    parser.add_argument("--elsewhere", action="store_true", help="as seen from another host: only heartbeats tell")
    options = parser.parse_args()
    with Leases(options.store / "leases", options.worker, beat=options.beat) as leases:
        if options.elsewhere:
            leases.process = ""
        outcome = work(jobs(options.store, leases, options.jobs, options.seconds), options.store, leases)
    print(json.dumps({"done": outcome.done, "failed": len(outcome.failed), "discarded": outcome.discarded}))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
    raise SystemExit(guarded(main))
