"""A worker: does the jobs of a store that nobody else does, until every one is done or has failed.

Any number of workers run this at the same time, on one host or on many that share the folder, without a server between them.
Jobs take leases on their stages (`core/leases.py`); this loop decides what to try next and what to do about failures.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from polyhead.core.errors import Busy, Missing, WriteError, note_kept
from polyhead.core.leases import Leases
from polyhead.core.progress import Progress, tracking
from polyhead.core.records import read_records, record_names, set_aside
from polyhead.studies.failures import Failure, forget_failure, read_failure, read_failures, record_failure
from polyhead.studies.worker_status import StatusFile, reporting

logger = logging.getLogger(__name__)
_SPREAD: Final = 64  # places that a job may move in a worker's order, and a group of jobs as a whole
_FIRST_WAIT: Final = 1 / 128  # of a heartbeat; doubled at each try
_AT_ONCE: Final = 1000  # records in memory while they are checked
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Job(Protocol):
    """Work that ends with the record `cells/NAME.json`."""

    @property
    def name(self) -> str:
        """Name of its record, unique in the store."""

    @property
    def group(self) -> str:
        """The same for jobs that share large files, which can be removed when the last of them is done."""

    def advance(self) -> None:
        """Do what is not done yet and write the record; returns at once if it is there.

        Raises:
            Busy: Another worker holds a stage that is needed.
        """


@dataclass(frozen=True)
class WorkDone:
    """How a worker's run ended.

    Attributes:
        done: Jobs that this worker finished.
        found: Jobs that were finished before, or by others meanwhile.
        failed: Jobs that are not done because they failed, here or elsewhere.
        discarded: Results of this worker that came too late.
        waited: Seconds that this worker waited because others held everything left.
    """

    done: int
    found: int
    failed: tuple[Failure, ...]
    discarded: int
    waited: float = 0.0


def work(jobs: Sequence[Job], store: Path, leases: Leases, *, progress: Progress | None = None, retries: int = 2) -> WorkDone:
    """Do every job that is not done, except those that other workers do; returns when all are done or have failed.

    A job that fails is recorded in `failures/` and does not stop the others. It is tried again when a worker starts, at most
    `retries` times. While everything left is held by others, the worker waits. An interrupt ends it at once; finished stages
    stay. Costs one listing of `cells/`, and for each job that is tried two looks at files.

    Args:
        jobs: The jobs in the order of the study; each worker begins somewhere else but keeps near it, a group after another.
        store: The store's folder, with `cells/`, `failures/` and `workers/`.
        leases: This worker's leases.
        progress: Told of each job that is done or has failed.
        retries: How often a failed job is tried again.

    Raises:
        WriteError: The store cannot be written to, for example because the disk is full.
    """
    try:
        with reporting(store / "workers", leases) as status, tracking(progress, len(jobs), "cells") as advance:
            return _Worker(store, leases, status, advance, retries).run(jobs)
    except KeyboardInterrupt as stop:
        note_kept(stop, store)
        raise


def each(items: Iterable[_Item], do: Callable[[_Item], _Result]) -> list[_Result]:
    """Do independent stages of one job: goes on past those that others hold, so that several workers share the job.

    Args:
        items: What the stages are of, for example the numbers of pruned heads.
        do: Does one stage, or returns what was done.

    Returns:
        The result of each item, in their order.

    Raises:
        Busy: Another worker holds a stage; the others are done.
        Missing: Stages are not done and not this process's to do; it names all of them.
    """
    found: list[_Result] = []
    signals: list[Busy | Missing] = []
    for item in items:
        try:
            found.append(do(item))
        except (Busy, Missing) as signal:
            signals.append(signal)
    if busy := next((signal for signal in signals if isinstance(signal, Busy)), None):
        raise busy
    if signals:
        raise Missing(*(stage for signal in signals if isinstance(signal, Missing) for stage in signal.stages))
    return found


def check_records(store: Path, leases: Leases, *, schema: int) -> list[str]:
    """Set damaged records of `cells/` aside, unless another worker does so now; logs and returns a line for each.

    Reads every record: 10,000 small ones in about a second.

    Raises:
        StoreError: A record is of another schema or cannot be read or renamed.
    """
    cells, lines = store / "cells", list[str]()
    if (lease := leases.acquire("check-records")) is None:
        return []
    try:
        names = sorted(record_names(cells))
        for start in range(0, len(names), _AT_ONCE):
            lines += set_aside(read_records(cells, schema=schema, names=names[start : start + _AT_ONCE]).damaged)
    finally:
        lease.release(finished=True)
    return lines


def start_order(jobs: Sequence[Job], worker: str) -> list[Job]:
    """The jobs group by group, nearly in their order, but differently for each worker.

    So workers begin with different groups, and each finishes one before it opens another. Inside a group the order differs too,
    for workers that meet there.
    """
    rng = random.Random(worker)
    groups: dict[str, float] = {}
    places = []
    for place, job in enumerate(jobs):
        if job.group not in groups:
            groups[job.group] = place + _SPREAD * rng.random()
        places.append((groups[job.group], place + _SPREAD * rng.random()))
    return [jobs[place] for place in sorted(range(len(jobs)), key=places.__getitem__)]


@dataclass
class _Queue:
    """Jobs that wait for one stage: only the first is tried while the stage stays busy."""

    jobs: deque[Job]
    wait: float
    until: float


class _Worker:
    def __init__(self, store: Path, leases: Leases, status: StatusFile, advance: Callable[[int], None], retries: int) -> None:
        self._cells, self._failures = store / "cells", store / "failures"
        self._leases, self._status, self._advance, self._retries = leases, status, advance, retries
        self._known = read_failures(self._failures)
        self._done = self._found = 0
        self._waited = 0.0
        self._failed: list[Failure] = []
        self._queues: dict[str, _Queue] = {}
        self._rng = random.Random()

    def run(self, jobs: Sequence[Job]) -> WorkDone:
        done = record_names(self._cells)
        ready = deque(job for job in start_order(jobs, self._leases.worker) if job.name not in done)
        self._found = len(jobs) - len(ready)
        self._advance(self._found)
        while ready or self._queues:
            now = time.monotonic()
            stage, queue = min(self._queues.items(), key=lambda item: item[1].until, default=("", None))
            if queue is not None and queue.until <= now:
                job, rest = queue.jobs[0], queue
                if (busy := self._try(job)) == stage:
                    rest.wait = min(2 * rest.wait, self._leases.beat)
                    rest.until = self._later(rest.wait)
                    continue
                del self._queues[stage]
                rest.jobs.popleft()
                ready.extendleft(reversed(rest.jobs))
            elif ready:
                job = ready.popleft()
                busy = self._try(job)
            else:
                assert queue is not None
                self._says("")
                time.sleep(queue.until - now)
                self._waited += time.monotonic() - now
                continue
            if busy is not None:
                first = _FIRST_WAIT * self._leases.beat
                self._queues.setdefault(busy, _Queue(deque(), first, self._later(first))).jobs.append(job)
        return WorkDone(self._done, self._found, tuple(self._failed), self._leases.discarded, self._waited)

    def _try(self, job: Job) -> str | None:
        """Try one job; the stage that another worker holds, or None if the job is done or has failed."""
        if (self._cells / f"{job.name}.json").exists():
            self._found += 1
        elif (failure := self._given_up(job.name)) is not None:
            self._failed.append(failure)
        else:
            self._says(job.name)
            try:
                job.advance()
            except Busy as busy:
                return busy.stage
            except WriteError:  # of the store, and not of this job
                raise
            except Exception as error:
                self._failed.append(record_failure(self._failures, job.name, error, worker=self._leases.worker))
            else:
                self._done += 1
                if job.name in self._known:
                    forget_failure(self._failures, job.name)
        self._advance(1)
        return None

    def _given_up(self, name: str) -> Failure | None:
        """The failure of a job that failed too often, or since this worker started."""
        failure, before = read_failure(self._failures, name), self._known.get(name)
        if failure is not None and failure.times > min(self._retries, before.times if before else 0):
            return failure
        return None

    def _later(self, wait: float) -> float:
        return time.monotonic() + wait * self._rng.uniform(0.5, 1.5)

    def _says(self, job: str) -> None:
        self._status.says(job=job, done=self._done, failed=len(self._failed))
