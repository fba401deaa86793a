"""A worker of a Ray cluster: one process that replays cells, each under the lease of one stage, as its driver says."""

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from polyhead.core.errors import Busy, Missing, PolyheadError, WriteError
from polyhead.core.leases import Leases
from polyhead.core.store_kind import check_store
from polyhead.studies.failures import Failure, forget_failure, record_failure
from polyhead.studies.stages import versions
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_check import check_data, check_precision, data_of
from polyhead.studies.study_folder import StudyOptions
from polyhead.studies.study_jobs import Bench, CellJob
from polyhead.studies.study_store import KIND, SCHEMA, Only, StudyStore
from polyhead.studies.worker_status import reporting, worker_name
from polyhead.studies.workers import Job


class Task(Protocol):
    """A job before it has reached its worker: plain values that can be sent there."""

    @property
    def name(self) -> str:
        """Name of its record in `cells/`."""


MakeJob = Callable[[Any], Job]
Opener = Callable[[Path, Only], MakeJob]
"""Opens a store in a worker's process, which may work on what the access names; returns what makes tasks into jobs there."""


@dataclass(frozen=True)
class Answer:
    """How a step ended, as its worker says.

    Attributes:
        how: `unusable` if the worker cannot work here on any cell.
        stages: Those that are missing next, or the one that is busy.
        failure: What failed.
        why: What makes the worker unusable, in one line.
        discarded: Results that came too late.
    """

    how: Literal["ready", "done", "found", "missing", "busy", "failed", "unusable"]
    stages: tuple[str, ...] = ()
    failure: Failure | None = None
    why: str = ""
    discarded: int = 0


class RayWorker:
    """One process of the cluster that takes steps, one at a time; Ray makes it, wherever it has room.

    Args:
        store: The store's folder, the same on every node.
        opener: Opens it.
        cwd: Folder that relative paths start from.
        threads: Of torch.
        beat: Seconds between two signs of life.
    """

    def __init__(self, store: Path, opener: Opener, *, cwd: str, threads: int, beat: float) -> None:
        self._store, self._opener, self._beat = store, opener, beat
        self._open = contextlib.ExitStack()
        self._make: MakeJob | None = None
        torch.set_num_threads(threads)
        with contextlib.suppress(OSError):
            os.chdir(cwd)

    def start(self, stages: dict[str, int]) -> Answer:
        """Open the store; `stages` are the driver's versions, and so this worker's if both have the same polyhead."""
        if stages != versions():
            return Answer("unusable", why=f"node {socket.gethostname()}: has another version of polyhead: install the same one")
        return self._answer(self._started) or Answer("ready")

    def step(self, task: Task, stage: str | None) -> Answer:
        """Advance the task's job, working on this stage alone, and record the job if it fails."""
        jobs: list[Job] = []
        if refusal := self._answer(lambda: jobs.append(self._started()(task))):
            return refusal
        if (self._store / "cells" / f"{task.name}.json").is_file():
            return Answer("found")
        before = self._leases.discarded
        self._access.names = frozenset(() if stage is None else (stage,))
        self._status.says(job=task.name, done=self._status.status.done, failed=self._status.status.failed)
        answer = self._advanced(jobs[0])
        done, failed = self._status.status.done + (answer.how == "done"), self._status.status.failed + (answer.how == "failed")
        self._status.says(job="", done=done, failed=failed)
        return replace(answer, discarded=self._leases.discarded - before)

    def close(self) -> None:
        """Give back what is held and remove the sign of life."""
        self._open.close()

    def _started(self) -> MakeJob:
        if self._make is None:
            check_store(self._store, kind=KIND, schema=SCHEMA)
            self._leases = Leases(self._store / "leases", worker_name(), beat=self._beat)
            self._open.enter_context(self._leases)
            self._status = self._open.enter_context(reporting(self._store / "workers", self._leases))
            self._access = Only(self._leases)
            self._make = self._opener(self._store, self._access)
        return self._make

    def _answer(self, open_: Callable[[], object]) -> Answer | None:
        """A refusal if this worker cannot work here: it does not see the store or sees other data."""
        try:
            open_()
        except PolyheadError as error:
            return Answer("unusable", why=f"node {socket.gethostname()}: {error}")
        return None

    def _advanced(self, job: Job) -> Answer:
        failures = self._store / "failures"
        try:
            job.advance()
        except Missing as missing:
            return Answer("missing", missing.stages)
        except Busy as busy:
            return Answer("busy", (busy.stage,))
        except WriteError as error:  # of the store, and not of this job
            return Answer("unusable", why=f"node {socket.gethostname()}: {error}")
        except Exception as error:
            return Answer("failed", failure=record_failure(failures, job.name, error, worker=self._leases.worker))
        forget_failure(failures, job.name)
        return Answer("done")


@dataclass(frozen=True)
class StudyTask:
    """A cell of a study on its way to a worker.

    Attributes:
        cell: The cell, with the folder of its corpora.
        sharing: Names of the cells that share its unpruned fine-tuning.
        options: How its study is worked on.
    """

    cell: StudyCell
    sharing: Sequence[str]
    options: StudyOptions

    @property
    def name(self) -> str:
        """Name of its record."""
        return self.cell.fingerprint


class _StudyBenches:
    """What a worker's process keeps from step to step: the benches of the store's studies."""

    def __init__(self, store: Path, access: Only, *, device: str) -> None:
        self._store, self._access, self._device = store, access, device
        self._benches: dict[StudyOptions, Bench] = {}
        self._checked: set[tuple[str, str, str | None]] = set()

    def job(self, task: StudyTask) -> Job:
        """The job of a cell, once its data and its model have been found to be the store's.

        Raises:
            PolyheadError: They are not, or this node does not have the device or computes in another precision.
        """
        options, cell = task.options, task.cell
        check_precision(self._store, cell.train.precision, device=self._device)
        if options not in self._benches:
            own = StudyStore(self._store, self._access, keep_weights=options.keep_weights)
            self._benches[options] = Bench(own, device=self._device, test_every_k=options.test_every_k)
        bench = self._benches[options]
        if (read := (data_of(cell), cell.model, cell.revision)) not in self._checked:
            check_data(self._store, [cell], bench.texts)
            self._checked.add(read)
        return CellJob(cell, bench, task.sharing)


@dataclass(frozen=True)
class OpenStudies:
    """Opens a store of studies in a worker's process; `device` as in `run`."""

    device: str

    def __call__(self, store: Path, access: Only) -> MakeJob:
        """Returns what makes a task into a job."""
        return _StudyBenches(store, access, device=self.device).job
