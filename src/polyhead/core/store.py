"""Results on disk: a folder per run, atomic JSON files, and no result written over that of other settings."""

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from filelock import FileLock, Timeout

from polyhead.core.errors import StoreError, note_kept
from polyhead.core.files import cannot_write, read_json, remove_leftovers, write_json_atomic
from polyhead.core.values import differences, fingerprint, jsonable

SCHEMA: Final = 1
MODEL: Final = "model"
RECORD: Final = "record.json"
_SETTINGS, _LOCK = "settings.json", ".lock"
_PATIENCE = 0.2  # seconds: enough for another process to finish releasing its lock


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Locks `target`, a file or a folder, against other callers of `writing`, and removes what killed processes left of it.

    The lock file `.NAME.lock` beside the target is removed when the block ends.

    Raises:
        StoreError: Another process, named in the message, holds the lock; or nothing can be written there.
    """
    target = target.absolute()
    lock = _locked(target.with_name(f".{target.name}{_LOCK}"), target)
    try:
        remove_leftovers(target)
        yield
    finally:
        _unlock(lock)


def _locked(path: Path, target: Path) -> FileLock:
    # The system frees the lock when the process ends, however it ends.
    lock = FileLock(path, timeout=_PATIENCE, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = ""
        with suppress(OSError):  # Windows lets nobody else read it
            holder = path.read_text(encoding="utf-8", errors="replace")[:200].strip()
        raise StoreError(
            f"{target}: {holder or 'another process'} is writing here: wait for it, stop it, or choose another folder"
        ) from None
    except OSError as error:
        raise cannot_write(target, error) from None
    with suppress(OSError):
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    return lock


def _unlock(lock: FileLock) -> None:
    # Removed while still locked: filelock ensures that nobody locks a removed file.
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()


@dataclass(frozen=True)
class Record:
    """The settings of some work, which name it, and its result; both plain JSON values."""

    settings: Mapping[str, Any]
    result: Mapping[str, Any] = field(compare=False)

    @property
    def fingerprint(self) -> str:
        """Name of its folder, the same for equal settings."""
        return fingerprint(self.settings)


class RunStore:
    """A folder with one folder per record, named by the fingerprint of its settings; locked until it is closed.

    Args:
        folder: The run folder; made if it is missing.
        settings: Settings of the whole run, kept in `settings.json`; a folder of other settings is refused. None skips this.
        name: What messages call it; by default the folder.

    Raises:
        StoreError: Another process writes here, or the folder holds other settings' results.
    """

    def __init__(self, folder: Path, settings: object = None, *, name: Path | None = None) -> None:
        self.folder = Path(folder)
        self._name = name or self.folder
        self._lock: FileLock | None = _locked(self.folder / _LOCK, self._name)
        try:
            remove_leftovers(self.folder)
            if settings is not None:
                self._claim(jsonable(settings))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and any(self.folder.glob(f"*/{RECORD}")):
            note_kept(error, self._name)
        self.close()

    def close(self) -> None:
        """Release the folder's lock; may be called twice."""
        if self._lock is not None:
            _unlock(self._lock)
            self._lock = None

    def working(self, name: str) -> AbstractContextManager[None]:
        """Held while work on a record goes on; always granted, because the whole folder is locked."""
        return nullcontext()

    def check(self, name: str) -> None:
        """Nothing: nobody can take a record over."""

    def each(self, items: Sequence[int], work: Callable[[int], object]) -> None:
        """Nothing: nobody else works here, so items are worked on when they are asked for."""

    def forget(self, folders: Iterable[Path]) -> None:
        """Remove the weights in these records' folders."""
        for folder in folders:
            shutil.rmtree(folder / MODEL, ignore_errors=True)

    def folder_of(self, name: str) -> Path:
        """The folder of the record with this fingerprint, for data too large for JSON; not created here."""
        return self.folder / name

    def get(self, name: str) -> Record | None:
        """The record with this fingerprint, or None if that work has not been done.

        Raises:
            StoreError: Its file is corrupt or not a record.
        """
        path = self.folder_of(name) / RECORD
        return read_fit_record(path) if path.is_file() else None

    def put(self, record: Record) -> Path:
        """Write a record and return its folder; an earlier result of the same settings is replaced.

        Raises:
            StoreError: The store is not open for writing, or the folder holds a file that is corrupt or not a record.
        """
        if self._lock is None:
            raise StoreError(f"{self.folder}: not open for writing")
        folder = self.folder_of(record.fingerprint)
        self.get(record.fingerprint)
        write_json_atomic(folder / RECORD, record_form(record))
        return folder

    def records(self) -> Iterator[Record]:
        """All records, ordered by fingerprint."""
        for path in sorted(self.folder.glob(f"*/{RECORD}")):
            yield read_fit_record(path)

    def _claim(self, settings: Any) -> None:
        path = self.folder / _SETTINGS
        if not path.is_file():
            write_json_atomic(path, {"schema": SCHEMA, "fingerprint": fingerprint(settings), "settings": settings})
            return
        found = read_json(path)
        held = found.get("settings") if isinstance(found, dict) else None
        if not isinstance(held, dict) or found.get("fingerprint") != fingerprint(held):
            raise StoreError(f"{path}: damaged: it does not hold settings with their fingerprint: delete it and run again")
        if changed := "; ".join(differences(held, settings)):
            raise StoreError(
                f"{path}: {self._name} holds results of other settings ({changed}): run with those, choose another folder, or "
                "delete this one"
            )


def record_form(record: Record) -> dict[str, Any]:
    """The content of a record's file."""
    return {"schema": SCHEMA, "fingerprint": record.fingerprint, "settings": record.settings, "result": record.result}


def read_fit_record(path: Path) -> Record:
    """The record in a file.

    Raises:
        StoreError: It is damaged, or not a record of this schema.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"settings", "result"} <= content.keys() or content.get("schema") != SCHEMA:
        raise StoreError(f"{path}: not a record of schema {SCHEMA}: delete it and run again")
    record = Record(content["settings"], content["result"])
    if record.fingerprint != path.parent.name:
        raise StoreError(f"{path}: its settings have fingerprint {record.fingerprint}, its folder is named {path.parent.name}")
    return record
