"""Leases: workers that share only a folder divide work among themselves, and no result is recorded twice.

A lease on a stage is a file `STAGE.GENERATION`, created exclusively. Its holder changes a counter in it at every heartbeat. An
observer takes the holder for gone when the counter has stayed the same over several looks, each at least a heartbeat after the
one before: no clock is compared with another host's, and an observer that was itself suspended counts one look only. It then
creates the next generation: of several observers exactly one succeeds. The old holder, should it wake, finds the higher one.
A holder on the same host whose process has ended is replaced at once (`core/processes.py`). A wrong judgement of either kind
costs only work done twice, because results are committed exclusively. A holder that hangs but still beats keeps its lease.
"""

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from polyhead.core.errors import Busy, LeaseLost, PolyheadError, StoreError, WriteError
from polyhead.core.exclusive import write_exclusively
from polyhead.core.files import cannot_write
from polyhead.core.lease_files import HELD, RELEASED, Watch, lease_file, lease_files, newest_generation
from polyhead.core.processes import this_process

logger = logging.getLogger(__name__)


class Lease:
    """A stage held by this worker; made by `Leases.acquire`.

    Attributes:
        stage: The stage.
        generation: Fencing token: the next holder of an unfinished stage has a higher one.
    """

    def __init__(self, leases: "Leases", stage: str, generation: int) -> None:
        self.stage, self.generation = stage, generation
        self._leases, self._path = leases, lease_file(leases.folder, stage, generation)
        self._token, self._count = secrets.token_hex(8), 0
        self._lock, self._lost, self._released = threading.Lock(), False, False

    def check(self) -> None:
        """Return if the lease is still held; costs one listing of the folder, so call it before a write, not at every step.

        Raises:
            LeaseLost: Another worker has taken the stage over.
        """
        try:
            self._lost = self._lost or self._is_newer() or not self._is_mine()
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be read ({error.strerror}); check the folder and run again") from None
        if self._lost or self._released:
            raise LeaseLost(self.stage, "released" if self._released else "another worker took it over from this one")

    def commit(self, path: Path, content: bytes) -> None:
        """Record a result: write a file that must not exist yet, if the lease is still held.

        Raises:
            LeaseLost: The stage was taken over or the file is there: the result is discarded, which is logged and counted.
            WriteError: The file cannot be written; nothing is recorded.
        """
        try:
            self.check()
            try:
                is_first = write_exclusively(path, content, temporary=self._path.with_name(f"{self._path.name}.tmp"))
            except WriteError:
                self.check()  # the next holder removes the temporary file
                raise
            if not is_first:
                raise LeaseLost(self.stage, f"another worker has recorded {path.name}")
        except LeaseLost as late:
            self._leases.discarded += 1
            logger.warning(
                "a late result was discarded: %s (worker %s, generation %d)", late, self._leases.worker, self.generation
            )
            raise

    def release(self, *, finished: bool = False) -> None:
        """Give the stage back; harmless if it was lost or released before.

        Args:
            finished: Its result is recorded: nothing is left of the lease. Otherwise the next holder gets the next generation.
        """
        with self._lock:
            if self._released:
                return
            self._released = True
            self._leases._forget(self)
            with suppress(OSError):
                if not finished:
                    self._write(RELEASED)
                elif self._is_mine():
                    self._path.unlink()

    def _create(self) -> bool:
        """Whether its file could be created and is the newest."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._content(HELD))
            # The listing that gave the generation may have been old, above all on a network's file system.
            newer = self._is_newer()
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        if newer:
            self._path.unlink(missing_ok=True)
        return not newer

    def _is_newer(self) -> bool:
        return newest_generation(self._leases.folder, self.stage) > self.generation

    def _is_mine(self) -> bool:
        try:
            return self._token.encode() in self._path.read_bytes()
        except FileNotFoundError:
            return False

    def _beat(self) -> None:
        with self._lock:
            if self._released:
                return
            self._count += 1
            try:
                self._lost = not self._write(HELD) or self._lost
            except OSError as error:
                logger.warning("%s: no heartbeat (%s)", self._path, error.strerror)

    def _write(self, state: str) -> bool:
        """Write in place, so that a file that another worker has removed does not come back; False if it is not there."""
        try:
            with self._path.open("r+b") as file:
                if self._token.encode() not in file.read():
                    return False
                file.seek(0)
                file.write(self._content(state))
        except FileNotFoundError:
            return False
        return True

    def _content(self, state: str) -> bytes:
        """A JSON object, as long in every state and at every count."""
        facts = {"schema": 1, "stage": self.stage, "token": self._token, "worker": self._leases.worker}
        facts |= {"process": self._leases.process, "beat": self._leases.beat}
        return f'{json.dumps(facts)[:-1]}, "state": {json.dumps(state):<10}, "count": {self._count:>12}}}\n'.encode()


class Leases:
    """The leases of one worker in a folder that many share; a context that gives back what is still held.

    Args:
        folder: Where the files are; made if it is missing.
        worker: Name of this worker, unlike every other's.
        beat: Seconds between heartbeats.
        patience: Heartbeats missed after which a holder is taken for gone.
        clock: Seconds that never go back.

    Attributes:
        discarded: Results of this worker that came too late.
        on_beat: Functions called at every heartbeat, in another thread.
    """

    def __init__(
        self, folder: Path, worker: str, *, beat: float = 15.0, patience: int = 4, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.worker, self.beat, self.patience = Path(folder), worker, beat, patience
        self.process = this_process()
        self.discarded = 0
        self.on_beat: list[Callable[[], None]] = []
        self._held: dict[str, Lease] = {}
        self._taking: Lease | None = None  # the latest one, whose creation may be interrupted before it is held
        self._watch = Watch(self.folder, beat=beat, patience=patience, clock=clock)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, stage: str) -> Lease | None:
        """Take the stage if nobody holds it or its holder is gone; None if another worker holds it. Does not wait.

        After this, look for the stage's result again: its last holder may have finished since this worker looked.

        Raises:
            WriteError: The folder cannot be written to.
        """
        if stage in self._held:
            return None
        try:
            newest = newest_generation(self.folder, stage)
            if newest and not self._watch.is_free(stage, newest):
                return None
            self._watch.forget(stage)
            lease = self._taking = Lease(self, stage, newest + 1)
            if not lease._create():
                return None
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        self._held[stage] = lease
        self.start()
        if newest:
            for generation, path in lease_files(self.folder, stage):
                if generation < lease.generation:
                    with suppress(OSError):
                        path.unlink()
        return lease

    @property
    def holds_any(self) -> bool:
        """Whether this worker holds a stage."""
        return bool(self._held)

    @contextmanager
    def holding(self, stage: str) -> Iterator[Lease]:
        """The stage, held during the block; a block that ends without an error has finished the stage.

        Raises:
            Busy: Another worker holds it.
            WriteError: The folder cannot be written to.
        """
        lease = self.acquire(stage)
        if lease is None:
            raise Busy(stage)
        finished = False
        try:
            yield lease
            finished = True
        finally:
            lease.release(finished=finished)

    def start(self) -> None:
        """Start the heartbeat; the first lease does it too."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the heartbeat and give back what is still held; may be called twice."""
        self._stopping.set()
        for lease in [*self._held.values(), *([self._taking] if self._taking else [])]:
            lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forget(self, lease: Lease) -> None:
        if self._held.get(lease.stage) is lease:
            del self._held[lease.stage]

    def _run(self) -> None:
        while not self._stopping.wait(self.beat):
            for lease in list(self._held.values()):
                lease._beat()
            for call in self.on_beat:
                try:
                    call()
                except (PolyheadError, OSError) as error:
                    logger.warning("%s", error)
