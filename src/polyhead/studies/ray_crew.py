"""The workers that Ray runs for one driver: hired, given steps, replaced and let go."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from polyhead.core.errors import SettingError, StoreError
from polyhead.studies.ray_worker import Answer, Opener, RayWorker, Task
from polyhead.studies.stages import versions
from polyhead.studies.study_schedule import Step

logger = logging.getLogger(__name__)
LOCAL: Final = "local"
RESTARTS: Final = 2  # of one step whose worker's process dies
_STARTS: Final = 3  # workers in succession that may fail to start
_IDLE: Final = 60.0  # seconds after which a worker without work gives its place back to the cluster
_OBJECTS: Final = 100 * 2**20  # bytes of Ray's object store on this machine, which is hardly used


@dataclass(frozen=True)
class Cluster:
    """Where Ray runs, and what one worker takes of it.

    Attributes:
        address: `local` starts Ray on this machine; `auto` joins the one that runs here, `HOST:PORT` any other.
        gpus: GPUs of a worker, or a part of one such as 0.25; by default 1 if the cluster has any now.
        cpus: Processors of a worker, which it uses as many threads on.
        workers: Workers at most; by default as many as the cluster has room for now.
    """

    address: str = LOCAL
    gpus: float | None = None
    cpus: float = 1.0
    workers: int | None = None


class Crew:
    """The workers of one driver: hired while there are steps for them, let go when there are none."""

    def __init__(self, ray: Any, cluster: Cluster, store: Path, opener: Opener, beat: float) -> None:
        gpus, self._most = _share(ray, cluster)
        threads = max(1, int(cluster.cpus))
        kind = ray.remote(num_cpus=cluster.cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=RESTARTS)(RayWorker)
        self._ray = ray
        self._make = lambda: kind.remote(store, opener, cwd=os.getcwd(), threads=threads, beat=beat)
        self._idle: dict[Any, float] = {}  # workers, and since when
        self._starting: dict[Any, Any] = {}  # what each of them has promised
        self._working: dict[Any, tuple[Any, Step]] = {}
        self._failed_starts = 0
        self._asked_at: float | None = time.monotonic()

    @property
    def free(self) -> int:
        """Workers that wait for a step."""
        return len(self._idle)

    def give(self, task: Task, step: Step) -> None:
        """Let an idle worker take a step: the one that worked last, so that others may go."""
        worker, _ = self._idle.popitem()
        self._working[worker.step.remote(task, step.stage)] = worker, step

    def fit(self, n_steps: int) -> None:
        """Hire workers for so many steps that nobody is free for, and let go those that have long had nothing to do."""
        places = self._most - len(self._idle) - len(self._starting) - len(self._working)
        for _ in range(min(places, n_steps - len(self._starting))):
            worker = self._make()
            self._starting[worker.start.remote(versions())] = worker
        now = time.monotonic()
        for worker in [worker for worker, since in self._idle.items() if now - since > _IDLE]:
            del self._idle[worker]
            self._dismiss([worker])

    def answers(self, patience: float) -> Iterator[tuple[Step, Answer]]:
        """The steps that have ended, after at most so many seconds.

        Raises:
            StoreError: Workers cannot be started.
        """
        promises = [*self._starting, *self._working]
        if not promises:
            time.sleep(patience)
            return
        ready, _ = self._ray.wait(promises, num_returns=1, timeout=patience)
        if not ready:
            self._say_if_nobody_comes()
        for promise in ready:
            self._asked_at = None
            worker, step = self._working.pop(promise, None) or (self._starting.pop(promise), None)
            try:
                answer = self._ray.get(promise)
            except self._ray.exceptions.RayError as error:
                with contextlib.suppress(Exception):
                    self._ray.kill(worker)
                why = " ".join(str(getattr(error, "cause", error)).split())  # the worker's own error, if it raised one
                self._failed_starts += step is None
                if self._failed_starts >= _STARTS:
                    raise StoreError(f"Ray's workers do not start: {why}") from None
                answer = Answer("failed", why=why)
            else:
                self._failed_starts = 0
                self._idle[worker] = time.monotonic()
            if step is not None:
                yield step, answer
            elif answer.how == "unusable":
                raise StoreError(answer.why)

    def close(self) -> None:
        """End all workers: those at rest give back what they hold, the others are stopped at once."""
        for worker, _ in self._working.values():
            self._ray.kill(worker)
        for worker in self._starting.values():
            self._ray.kill(worker)
        self._dismiss(list(self._idle))

    def _dismiss(self, workers: Sequence[Any]) -> None:
        if workers:
            self._ray.wait([worker.close.remote() for worker in workers], num_returns=len(workers), timeout=5)
        for worker in workers:
            self._ray.kill(worker)

    def _say_if_nobody_comes(self) -> None:
        if self._asked_at is not None and time.monotonic() - self._asked_at > _IDLE:
            self._asked_at = None
            logger.warning("no worker has started in %.0f s: the cluster has no room for one yet (see ray status)", _IDLE)


def _share(ray: Any, cluster: Cluster) -> tuple[float, int]:
    """GPUs of a worker, and workers at most."""
    for name, share in (("cpus_per_task", cluster.cpus), ("gpus_per_task", cluster.gpus or 0.0)):
        if share > 1 and share != int(share):
            raise SettingError(f"{name} {share:g}: give a whole number, or less than 1")
    there = ray.cluster_resources()
    gpus = cluster.gpus if cluster.gpus is not None else min(1.0, float(there.get("GPU", 0.0)))
    wanted = {"CPU": cluster.cpus, "GPU": gpus}
    room = min(int(there.get(name, 0.0) / share + 1e-9) for name, share in wanted.items() if share)
    if not room and cluster.address == LOCAL:
        has = " and ".join(f"{there.get(name, 0.0):g} {name}s" for name in wanted)
        needs = " and ".join(f"{share:g} {name}s" for name, share in wanted.items())
        raise SettingError(f"a worker needs {needs}, and this machine has {has}: give less, as cpus_per_task and gpus_per_task")
    return gpus, cluster.workers or max(1, room)


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """Ray, started or joined, and left again; one that this process has started before stays."""
    try:
        import ray
    except ImportError:
        raise SettingError('--ray needs the extra "ray": pip install "polyhead[ray]"') from None
    if "://" in cluster.address:
        raise SettingError(f"--ray {cluster.address}: run the command on a node of the cluster, with --ray auto or HOST:PORT")
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = signal.getsignal(signal.SIGTERM)
    here: dict[str, Any] = {}
    if cluster.address == LOCAL:
        here = {"include_dashboard": False, "object_store_memory": _OBJECTS}
    # Ray prints what it has to say of workers on stdout, where a command's result goes.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False, **here)
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            why = str(error).strip().partition("\n")[0]
            raise SettingError(f"--ray {cluster.address}: Ray says: {why or type(error).__name__}") from None
        try:
            if before is not None and signal.getsignal(signal.SIGTERM) is not before:
                signal.signal(signal.SIGTERM, before)
            yield ray
        finally:
            ray.shutdown()
