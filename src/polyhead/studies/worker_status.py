"""What each worker of a store is doing: a small file per worker, renewed at its heartbeat."""

import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.leases import Leases
from polyhead.core.processes import has_ended
from polyhead.core.records import record_names

SCHEMA: Final = 1


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker said last.

    Attributes:
        worker: Its name.
        host: The host it runs on.
        pid: Its process number there.
        process: Its identity (`core/processes.py`).
        job: The job it works on; empty while it waits for other workers.
        done: Jobs that it finished.
        failed: Jobs that failed in its hands.
        discarded: Results of its that came too late.
        at: When it said so, by its own clock.
    """

    worker: str
    host: str
    pid: int
    process: str
    job: str = ""
    done: int = 0
    failed: int = 0
    discarded: int = 0
    at: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended; only known of workers on this host."""
        return has_ended(self.process)


class StatusFile:
    """A worker's own file; made by `reporting`."""

    def __init__(self, path: Path, status: WorkerStatus, leases: Leases) -> None:
        self.status = status
        self._path, self._leases, self._lock, self._is_open = path, leases, threading.Lock(), True

    def says(self, *, job: str, done: int, failed: int) -> None:
        """Take down what the worker does; written at the next heartbeat."""
        self.status = replace(self.status, job=job, done=done, failed=failed)

    def write(self) -> None:
        """Write the file now.

        Raises:
            WriteError: It cannot be written.
        """
        with self._lock:
            if self._is_open:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                status = replace(self.status, discarded=self._leases.discarded, at=now)
                write_json_atomic(self._path, {"schema": SCHEMA, **asdict(status)})

    def remove(self) -> None:
        """Remove the file for good."""
        with self._lock, suppress(OSError):
            self._is_open = False
            self._path.unlink()


def worker_name() -> str:
    """A name for this process that no other worker has, and that says where it runs."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-")[:40] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


@contextmanager
def reporting(folder: Path, leases: Leases) -> Iterator[StatusFile]:
    """A status file in `folder` for the worker of these leases, renewed at each heartbeat and removed at the end of the block.

    Files of workers of this host that were killed are removed too.

    Raises:
        WriteError: The file cannot be written.
    """
    for old in read_workers(folder):
        if old.is_gone:
            with suppress(OSError):
                (folder / f"{old.worker}.json").unlink()
    status = WorkerStatus(leases.worker, socket.gethostname(), os.getpid(), leases.process)
    file = StatusFile(folder / f"{leases.worker}.json", status, leases)
    file.write()
    leases.on_beat.append(file.write)
    leases.start()
    try:
        yield file
    finally:
        leases.on_beat.remove(file.write)
        file.remove()


def read_workers(folder: Path) -> list[WorkerStatus]:
    """The workers that have a file, ordered by name; a damaged file is left out, for its worker renews it."""
    found, known = [], {field.name for field in fields(WorkerStatus)}
    for name in sorted(record_names(folder)):
        with suppress(StoreError, TypeError):
            content = read_json(folder / f"{name}.json")
            found.append(WorkerStatus(**{key: value for key, value in content.items() if key in known}))
    return found
