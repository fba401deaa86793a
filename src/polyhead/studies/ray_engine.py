"""The engine for clusters: Ray starts workers and replaces those that die; the store alone knows what has been done.

A driver keeps the books (`study_schedule.py`) and gives each idle worker one step: a replay of a cell under the lease of one
stage. A worker is an actor, not a task, so that corpora, encoders and the GPU it was given stay with it from step to step. The
driver replays nothing, and never has more steps outstanding than workers. Plain workers may use the store at the same time.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from polyhead.core.errors import StoreError, note_kept
from polyhead.core.leases import Leases
from polyhead.core.progress import Progress, tracking
from polyhead.core.records import record_names
from polyhead.studies.failures import Failure, read_failures, record_failure
from polyhead.studies.ray_crew import RESTARTS, Cluster, Crew, connected
from polyhead.studies.ray_worker import Answer, Opener, OpenStudies, StudyTask, Task
from polyhead.studies.study_check import check_studies
from polyhead.studies.study_folder import studies_of
from polyhead.studies.study_jobs import sharing_of
from polyhead.studies.study_run import check_cells
from polyhead.studies.study_schedule import Schedule, Step
from polyhead.studies.text_memory import Texts
from polyhead.studies.worker_status import worker_name
from polyhead.studies.workers import WorkDone

logger = logging.getLogger(__name__)
_WAIT: Final = 1.0  # seconds, at most, before the driver looks up
_FIRST_LOOK: Final = 1 / 16  # of a heartbeat


def work_on_ray(
    tasks: Sequence[Task],
    store: Path,
    opener: Opener,
    cluster: Cluster,
    *,
    progress: Progress | None = None,
    beat: float = 15.0,
    retries: int = 2,
) -> WorkDone:
    """Do every task that is not done with the workers of a Ray cluster; returns when all are done or have failed.

    Failures are treated as in `workers.work`; a step whose worker's process dies is taken again, at most twice. An interrupt
    ends all workers at once; finished stages stay, and unfinished fine-tunings continue from their last state. Ray is not even
    started if nothing is left to do.

    Args:
        tasks: In the order of the study; a worker needs nothing else to know them.
        store: The store's folder, which every node sees at the same path.
        opener: A function of a module that every node has, or a `functools.partial` of one.
        cluster: Where, and with how much for each worker.
        progress: Told of each task that is done or has failed.
        beat: Seconds between two signs of life.
        retries: How often a task that failed in earlier runs is tried again.

    Raises:
        SettingError: Ray is not installed or cannot be reached, or no worker fits on this machine.
        StoreError: A node does not see the store or the data, or cannot write to it.
    """
    store = store.absolute()
    finished, known = record_names(store / "cells"), read_failures(store / "failures")
    given_up = [known[task.name] for task in tasks if task.name in known and known[task.name].times > retries]
    left_out = finished.union(failure.name for failure in given_up)
    left = [task for task in tasks if task.name not in left_out]
    n_found = sum(task.name in finished for task in tasks)
    given_up = [failure for failure in given_up if failure.name not in finished]
    with tracking(progress, len(tasks), "cells") as advance:
        advance(len(tasks) - len(left))
        if not left:
            return WorkDone(0, n_found, tuple(given_up), 0)
        try:
            with (
                connected(cluster) as ray,
                Leases(store / "leases", worker_name(), beat=beat) as leases,
                contextlib.closing(Crew(ray, cluster, store, opener, beat)) as crew,
            ):
                found = _Driver(left, store, leases, crew, advance).run()
        except KeyboardInterrupt as stop:
            note_kept(stop, store)
            raise
    return replace(found, found=found.found + n_found, failed=(*given_up, *found.failed))


class _Driver:
    """Gives steps to workers, and answers their answers."""

    def __init__(self, tasks: Sequence[Task], store: Path, leases: Leases, crew: Crew, advance: Callable[[int], None]) -> None:
        self._tasks, self._failures, self._leases, self._crew, self._advance = tasks, store / "failures", leases, crew, advance
        self._schedule = Schedule(len(tasks))
        self._later: list[tuple[float, float, Step, str]] = []  # when to look again, after which wait, at whose stage
        self._outcome = WorkDone(0, 0, (), 0)

    def run(self) -> WorkDone:
        while self._schedule.n_open:
            while self._crew.free and (step := self._schedule.next()) is not None:
                self._crew.give(self._tasks[step.cell], step)
            self._crew.fit(self._schedule.n_ready)
            for step, answer in self._crew.answers(self._patience()):
                self._take(step, answer)
            self._look()
        return self._outcome

    def _take(self, step: Step, answer: Answer) -> None:
        self._outcome = replace(self._outcome, discarded=self._outcome.discarded + answer.discarded)
        match answer.how:
            case "missing":
                self._schedule.missing(step, answer.stages)
            case "busy":
                wait = _FIRST_LOOK * self._leases.beat
                self._later.append((time.monotonic() + wait, wait, step, answer.stages[0]))
            case "failed":
                failure = self._said(answer.failure) if answer.failure else self._lost(step, answer.why)
                if self._schedule.close(step):
                    self._outcome = replace(self._outcome, failed=(*self._outcome.failed, failure))
                    self._advance(1)
            case "done" | "found":
                if self._schedule.close(step):
                    is_done = answer.how == "done"
                    done, found = self._outcome.done + is_done, self._outcome.found + (not is_done)
                    self._outcome = replace(self._outcome, done=done, found=found)
                    self._advance(1)
            case _:
                raise StoreError(answer.why)

    def _said(self, failure: Failure) -> Failure:
        """A failure that a worker has recorded, logged here too: nobody reads the worker's log."""
        logger.warning("%s failed (%s), traceback in %s", failure.name, failure.what, self._failures / failure.trace)
        return failure

    def _lost(self, step: Step, why: str) -> Failure:
        """The failure of a cell whose workers died."""
        error = StoreError(f"the worker's process died {1 + RESTARTS} times: {why}")
        return record_failure(self._failures, self._tasks[step.cell].name, error, worker=self._leases.worker)

    def _look(self) -> None:
        """Look at stages that other processes hold: for all workers, since one observer needs several looks at a holder."""
        now = time.monotonic()
        due = [one for one in self._later if one[0] <= now]
        self._later = [one for one in self._later if one[0] > now]
        for _, wait, step, stage in due:
            if (lease := self._leases.acquire(stage)) is not None:
                lease.release()
                self._schedule.again(step)
            else:
                wait = min(2 * wait, self._leases.beat)
                self._later.append((now + wait, wait, step, stage))

    def _patience(self) -> float:
        return max(0.0, min([_WAIT, *(until - time.monotonic() for until, *_ in self._later)]))


def run_on_ray(
    store: Path,
    cluster: Cluster,
    *,
    names: Sequence[str] = (),
    data: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    beat: float = 15.0,
) -> WorkDone:
    """Work on a store's studies with the workers of a Ray cluster, until every cell is done or has failed.

    The store, the corpora and models that are folders have to be at the same paths on every node. Otherwise as `work_study`,
    which may work on the same store at the same time; with as many threads as a worker has processors the numbers are the same.

    Args:
        store: Folder that `add_study` made.
        cluster: Where, and with how much for each worker.
        names: Of studies; all unless given.
        data: Folder of the corpora, if it is not where the study was started.
        device: As in `run`.
        progress: Told of each cell.
        beat: Seconds between two signs of life.

    Raises:
        FileFaultsError: Data or models cannot be read as declared, or a search cannot prune that many heads: a line for each.
        SettingError: Ray is not installed or cannot be reached, or no worker fits on this machine.
        StoreError: The data are not those that the store's results were made from, or a node cannot use the store.
    """
    tasks: dict[str, StudyTask] = {}
    with Leases(store / "leases", worker_name(), beat=beat) as leases:
        check_cells(store, leases)
    studies = [*studies_of(store, names, data=data).values()]
    check_studies(store, [(study, Texts()) for study in studies])
    for study in studies:
        for cell, sharing in zip(study.cells, sharing_of(study.cells), strict=True):
            tasks.setdefault(cell.fingerprint, StudyTask(cell, sharing, study.options))
    if device == "cpu" and cluster.gpus is None:
        cluster = replace(cluster, gpus=0.0)
    return work_on_ray(list(tasks.values()), store, OpenStudies(device), cluster, progress=progress, beat=beat)
