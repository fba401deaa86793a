"""Records of a study's finished cells: all that tables need, two files a cell; written atomically, damaged ones skipped."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import PrivateAttr, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load, save

from polyhead.core.errors import StoreError
from polyhead.core.files import write_bytes_atomic
from polyhead.core.records import read_record, record_bytes
from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.data.tasks import TASKS
from polyhead.report.document import Document, Form, fault_text, unusable
from polyhead.report.record import CellRecord, DataRecord

logger = logging.getLogger(__name__)

CELLS: Final = "cells"
NOISE: Final = "noise"
_THEN: Final = "start the study again to make it anew from its finished stages"

Counts = NDArray[np.int64]
"""`[sentences, columns]`, as `sentence_counts` gives them."""


class StudyCellFacts(Form):
    """The fields of a study's cell as plain values."""

    task: str
    model: str
    revision: str | None
    setting: str
    sources: list[str]
    targets: list[str]
    method: str
    normalisation: str
    protocol: str
    rank_on: str
    combine: str
    target_tenths: int | None
    train_limit: int | None
    search: SearchSpec
    select_on: str
    train: TrainSpec
    arm: str
    data: str | None
    columns: str | None
    scheme: str | None
    strict: bool
    unseen_labels: str | None


class StageSeconds(Form):
    """One stage that the cell used, by its folder; several cells may have used it."""

    stage: str
    kind: str
    seconds: float


class StudyCellRecord(Document):
    """A finished cell of a study; its name is the fingerprint of its settings.

    Attributes:
        cell: Its settings.
        language: BCP-47 code by corpus.
        result: Scores, ranking, trials and targets; None of the arm `noise`, which ranks nothing.
        dev: Dev score in points by k (as text) and corpus, of every trial.
        tested: The k whose test counts are kept, rising.
        data: The splits that were read.
        model_hash: Of the pre-trained weights.
        stages: Version of the code of each stage.
        environment: Versions and machine.
        seconds: By kind of work: fine-tuning, pruning of a trained model, ranking, screening, testing.
        made_in: The stages used, so that those that cells share are counted once.
        counts_sha256: Of the file of counts.
    """

    what: ClassVar[str] = "the record of a study's cell"

    cell: StudyCellFacts
    language: dict[str, str]
    result: CellRecord | None
    dev: dict[str, dict[str, float]]
    tested: list[int]
    data: list[DataRecord]
    model_hash: str
    stages: dict[str, int]
    environment: dict[str, str | int]
    seconds: dict[str, float]
    made_in: list[StageSeconds]
    counts_sha256: str
    _path: Path | None = PrivateAttr(default=None)
    _counts: dict[str, Counts] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.cell.task not in TASKS:
            raise ValueError(f"cell.task is {self.cell.task!r}; expected one of {', '.join(TASKS)}")
        if (self.result is None) != (self.cell.arm == NOISE):
            raise ValueError(f"cell.arm is {self.cell.arm!r}, but there is {'no' if self.result is None else 'a'} result")
        if nameless := sorted({*self.cell.sources, *self.cell.targets} - set(self.language)):
            raise ValueError(f"language lacks {nameless[0]}")
        return self

    @property
    def name(self) -> str:
        """The fingerprint that names its two files."""
        return self._where.stem

    @property
    def seed(self) -> int:
        """Seed of its fine-tunings."""
        return self.cell.train.seed

    def counts(self, corpus: str, k: int, *, kind: str = "test") -> Counts:
        """Counts of a corpus with k heads pruned; the file is read once, at the first call.

        Args:
            corpus: A target.
            k: 0 is the ordinary fine-tuning with all heads.
            kind: `test`, or `nested` for the nested model (k = 0: with all heads).

        Raises:
            StoreError: The file of counts is missing or damaged, or has no such counts.
        """
        held, key = self._all_counts(), counts_key(corpus, k, kind=kind)
        if key not in held:
            raise StoreError(
                f"{_counts_file(self._where, self.counts_sha256)}: has no counts {key!r}; it has {', '.join(sorted(held))}"
            )
        return held[key]

    def has_counts(self, corpus: str, k: int, *, kind: str = "test") -> bool:
        """Whether these counts are kept.

        Raises:
            StoreError: The file of counts is missing or damaged.
        """
        return counts_key(corpus, k, kind=kind) in self._all_counts()

    def check_counts(self) -> None:
        """Read the counts now.

        Raises:
            StoreError: Their file is missing or damaged.
        """
        self._all_counts()

    @property
    def _where(self) -> Path:
        if self._path is None:
            raise StoreError("this record is not in a store: write it with write_cell, and read it with read_cells")
        return self._path

    def _all_counts(self) -> dict[str, Counts]:
        if self._counts is None:
            self._counts = _read_counts(_counts_file(self._where, self.counts_sha256), self.counts_sha256)
        return self._counts


def counts_key(corpus: str, k: int, *, kind: str = "test") -> str:
    """The name of counts in a cell's file.

    >>> counts_key("ud/de_gsd", 12)
    'test/ud/de_gsd/12'
    """
    return f"{kind}/{corpus}/{k}"


def write_cell(folder: Path, name: str, record: StudyCellRecord, counts: Mapping[str, ArrayLike]) -> StudyCellRecord:
    """Write a finished cell as NAME.HASH.safetensors and then NAME.json, each atomically; returns the record as written.

    A cell without its JSON file is not finished, so a crash between the two leaves none.

    Args:
        folder: `cells/` of the store; made if it is missing.
        name: Fingerprint of the cell.
        record: Its record; `counts_sha256` is filled in here and may be empty.
        counts: `[sentences, columns]` by `counts_key`, kept in the smallest unsigned type that holds them.

    Raises:
        StoreError: A file cannot be written.
    """
    content = save({key: _narrow(np.ascontiguousarray(own)) for key, own in sorted(counts.items())})
    written = record.model_copy(update={"counts_sha256": hashlib.sha256(content).hexdigest()})
    path = folder / f"{name}.json"
    write_bytes_atomic(_counts_file(path, written.counts_sha256), content)
    write_bytes_atomic(path, record_bytes(written.model_dump(mode="json"), schema=StudyCellRecord.schema_number))
    written._path, written._counts = path, None
    return written


def read_cell(path: Path) -> StudyCellRecord:
    """The record in a cell's JSON file; its counts are read when they are first asked for.

    Raises:
        StoreError: One of its two files is missing, or the record is damaged; the message says where and how.
    """
    try:
        stored = read_record(path, schema=StudyCellRecord.schema_number)
    except StoreError as error:
        raise StoreError(f"{str(error).rpartition(': ')[0]}; {_THEN}") from None
    if stored is None:
        raise StoreError(f"{path}: no such file; {_THEN}")
    try:
        record = StudyCellRecord.model_validate_json(json.dumps(stored.content))
    except ValueError as error:
        raise unusable(path, StudyCellRecord.what, fault_text(error), then=_THEN) from None
    counts = _counts_file(path, record.counts_sha256)
    if not counts.is_file():
        raise StoreError(f"{counts}: no such file, but there is {path.name}; {_THEN}")
    record._path = path
    return record


def read_cells(store: Path, *, on_damaged: Callable[[StoreError], None] | None = None) -> list[StudyCellRecord]:
    """The finished cells of a store, by name.

    Args:
        store: Folder of the store.
        on_damaged: Called with the error of every damaged cell, which is left out; by default it is logged as a warning.

    Raises:
        StoreError: The folder has no cells.
    """
    paths = sorted((store / CELLS).glob("*.json"))
    if not store.is_dir():
        said = "is a file" if store.exists() else "no such folder"
        raise StoreError(f"{store}: {said}; expected the folder of a study, which polyhead study run writes (--out)")
    if not paths:
        raise StoreError(
            f"{store}: no finished cell of a study (cells/*.json); run one with polyhead study run, or check the path"
        )
    found = []
    for path in paths:
        try:
            found.append(read_cell(path))
        except StoreError as error:
            (on_damaged or _log)(error)
    return found


def without_counts(folder: Path) -> list[Path]:
    """The records of a folder whose file of counts is missing or has changed, by name; reads every such file."""
    records, whole = sorted(folder.glob("*.json")), set()  # in this order: others write counts first, and then the record
    for path in folder.glob("*.safetensors"):
        name, _, sha256 = path.stem.partition(".")
        if hashlib.sha256(path.read_bytes()).hexdigest().startswith(sha256 or "-"):
            whole.add(name)
    return [path for path in records if path.stem not in whole]


def _counts_file(path: Path, sha256: str) -> Path:
    """The counts of a record: their hash is in the name, so that no worker overwrites those of another."""
    return path.with_name(f"{path.stem}.{sha256[:12]}.safetensors")


def _log(error: StoreError) -> None:
    logger.warning("left out: %s", error)


def _read_counts(path: Path, sha256: str) -> dict[str, Counts]:
    try:
        content = path.read_bytes()
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise StoreError(f"{path}: changed after it was written: sha256 is {found}, expected {sha256}; {_THEN}")
        return load(content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error}); {_THEN}") from None
    except SafetensorError as error:
        raise StoreError(f"{path}: not a file of counts, or damaged ({error}); {_THEN}") from None


def _narrow(counts: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    largest = int(counts.max(initial=0))
    return counts.astype(np.min_scalar_type(largest))
