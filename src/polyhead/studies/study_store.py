"""The store of a study, which many workers share: fine-tunings by fingerprint, each under a lease while somebody works on it."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

from polyhead.core.errors import Busy, LeaseLost, Missing, StoreError
from polyhead.core.files import json_text
from polyhead.core.leases import Lease, Leases
from polyhead.core.store import MODEL, RECORD, Record, read_fit_record, record_form
from polyhead.core.store_kind import open_store
from polyhead.studies.kept import drop_damaged_in, is_whole
from polyhead.studies.workers import each

KIND: Final = "polyhead study store"
SCHEMA: Final = 1
ENCODED: Final = "encoded"
"""Folder of encoded splits in a store."""
KeepWeights = Literal["none", "chosen", "all"]


class Access(Protocol):
    """Who may work on a fine-tuning."""

    def acquire(self, name: str, *, tidying: bool = False) -> Lease:
        """The lease on it, or a refusal; `tidying` if only weights are to be removed that nobody needs.

        Raises:
            Busy: Another worker holds it.
            Missing: This process does not work on it.
        """
        ...


class Leased:
    """Works on whatever nobody else works on."""

    def __init__(self, leases: Leases) -> None:
        self.leases = leases

    def acquire(self, name: str, *, tidying: bool = False) -> Lease:
        """The lease on it."""
        lease = self.leases.acquire(name)
        if lease is None:
            raise Busy(name)
        return lease


class Only(Leased):
    """Works on some fine-tunings alone: those that a scheduler has given to this process, and what their work itself needs.

    Attributes:
        names: Fine-tunings that may be begun; a scheduler changes them from step to step.
    """

    def __init__(self, leases: Leases, names: Iterable[str] = ()) -> None:
        super().__init__(leases)
        self.names = frozenset(names)

    def acquire(self, name: str, *, tidying: bool = False) -> Lease:
        """The lease on one of them, or on any while one is held: pruning after training needs the weights of another."""
        if not (tidying or name in self.names or self.leases.holds_any):
            raise Missing(name)
        return super().acquire(name)


class StudyStore:
    """The folder of a study's results, for one worker; made if it is missing.

    A fine-tuning's folder is read without a lease and written under one. The first time that this worker reads one, its files
    are compared with their hashes; damaged ones are deleted, and made again when they are needed.

    Args:
        folder: The store.
        access: Who may work on a fine-tuning.
        keep_weights: `all`, or what `forget` removes.

    Raises:
        StoreError: The folder holds something else, or a store of a newer polyhead.
    """

    def __init__(self, folder: Path, access: Access, *, keep_weights: KeepWeights = "none") -> None:
        self.folder = folder
        self.keep_weights: KeepWeights = keep_weights
        self._access = access
        self._held: dict[str, tuple[Lease, int]] = {}
        self._checked: set[str] = set()
        self._failed: dict[str, str] = {}  # fine-tunings and why: cells that share one do not each try it
        open_store(folder, kind=KIND, schema=SCHEMA)

    @property
    def cells(self) -> Path:
        """Folder of the finished cells."""
        return self.folder / "cells"

    def folder_of(self, name: str) -> Path:
        """The folder of a fine-tuning; not created here."""
        return self.folder / "fits" / name

    def get(self, name: str) -> Record | None:
        """The record of a fine-tuning, or None if it has not finished."""
        folder = self.folder_of(name)
        if name not in self._checked and folder.is_dir():
            if not is_whole(folder):
                with self.working(name):  # which drops what is damaged
                    pass
            self._checked.add(name)
        path = folder / RECORD
        return read_fit_record(path) if path.is_file() else None

    def put(self, record: Record) -> Path:
        """Write the record of a fine-tuning that this worker holds, if nobody has written it.

        Raises:
            LeaseLost: Another worker took the fine-tuning over.
        """
        folder = self.folder_of(record.fingerprint)
        lease, _ = self._held[folder.name]
        lease.commit(folder / RECORD, json_text(folder / RECORD, record_form(record)).encode())
        return folder

    def records(self) -> Iterator[Record]:
        """The records of all finished fine-tunings."""
        for path in sorted((self.folder / "fits").glob(f"*/{RECORD}")):
            yield read_fit_record(path)

    def working(self, name: str) -> AbstractContextManager[None]:
        """Held while something is computed from or written to a fine-tuning; the same worker may enter again.

        Raises:
            Busy: Another worker holds it.
            Missing: This process does not work on it.
            LeaseLost: Another worker took it over meanwhile.
        """
        return self._holding(name)

    @contextmanager
    def _holding(self, name: str, *, tidying: bool = False) -> Iterator[None]:
        if name in self._failed and not self._is_recorded(name):
            raise StoreError(f"{self.folder_of(name)}: this fine-tuning has failed for another cell ({self._failed[name]})")
        lease, depth = self._held.get(name) or (self._access.acquire(name, tidying=tidying), 0)
        self._held[name] = lease, depth + 1
        finished = False
        try:
            if not (depth or tidying):
                drop_damaged_in(self.folder_of(name))
                self._checked.add(name)
            try:
                yield
            except Exception as error:
                lease.check()  # what fails because the next holder works here is no failure of this work
                if not isinstance(error, Busy | Missing) and not self._is_recorded(name):
                    self._failed[name] = f"{type(error).__name__}: {error}"
                raise
            lease.check()
            finished = True
        finally:
            if depth:
                self._held[name] = lease, depth
            else:
                del self._held[name]
                lease.release(finished=finished)

    def check(self, name: str) -> None:
        """Return if this worker, which holds a fine-tuning, has not lost it.

        Raises:
            LeaseLost: Another worker took it over.
        """
        self._held[name][0].check()

    def _is_recorded(self, name: str) -> bool:
        return (self.folder_of(name) / RECORD).is_file()

    def each(self, items: Sequence[int], work: Callable[[int], object]) -> None:
        """Work on items that do not wait for one another, past those that others hold.

        Raises:
            Busy: Another worker holds one; the others are done.
            Missing: Some are not for this process.
        """
        each(items, work)

    def forget(self, folders: Iterable[Path]) -> None:
        """Remove the weights of these fine-tunings, except those that somebody works on; figures, counts and scores stay."""
        if self.keep_weights == "all":
            return
        for folder in folders:
            model = folder / MODEL
            if not model.is_dir():
                continue
            try:
                with self._holding(folder.name, tidying=True):
                    # a reader without a lease finds the whole folder or none
                    gone = folder / f".{MODEL}.gone"
                    shutil.rmtree(gone, ignore_errors=True)
                    model.rename(gone)
                    shutil.rmtree(gone, ignore_errors=True)
            except (Busy, Missing, LeaseLost):
                continue
