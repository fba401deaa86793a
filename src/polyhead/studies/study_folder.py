"""The studies of a store: their files and options, which every worker finds there."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic, write_text_atomic
from polyhead.core.records import read_records, retired
from polyhead.core.store_kind import check_store, open_store
from polyhead.core.values import counted
from polyhead.report.study_record import CELLS, StudyCellRecord
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_file import expand_study, parse_study, read_study
from polyhead.studies.study_store import KIND, SCHEMA, KeepWeights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyOptions:
    """How a study is worked on; kept in the store, so that every worker does it alike.

    Attributes:
        data: Folder of the corpora; None if the study needs none.
        keep_weights: Which fine-tuned models stay on disk: `none`, the `chosen` one of every cell, or `all`.
        test_every_k: Whether every k that is tried is tested, for rules that choose another one.
    """

    data: str | None = None
    keep_weights: KeepWeights = "none"
    test_every_k: bool = False


def add_study(
    path: Path, store: Path, *, data: Path | None = None, keep_weights: KeepWeights = "none", test_every_k: bool = False
) -> str:
    """Copy a study file into the store, so that workers find it; returns the study's name.

    A study of the same name is replaced: cells that both have are not run again, unless every k is to be tested and was not.

    Args:
        path: The study file.
        store: Folder of the results; made if it is missing.
        data: Folder of the corpora, if it is not the one that the file names.
        keep_weights: Which fine-tuned models stay on disk.
        test_every_k: Whether every k that is tried is tested.

    Raises:
        FileFaultsError: The file has faults.
        StoreError: The folder holds something else or cannot be written to.
    """
    study = read_study(path)
    open_store(store, kind=KIND, schema=SCHEMA)
    folder, corpora = store / "studies", data or study.data
    place = None if corpora is None else str(Path(corpora).absolute())
    options = {"schema": SCHEMA, "data": place, "keep_weights": keep_weights, "test_every_k": test_every_k}
    write_json_atomic(folder / f"{study.name}.json", options)
    write_text_atomic(folder / f"{study.name}.toml", path.read_text(encoding="utf-8-sig"))
    if test_every_k:
        say_renewed(_untested(store / CELLS, expand_study(study)), "untested", "not tested at every k that was tried")
    return study.name


def studies_of(store: Path, names: Sequence[str] = ()) -> dict[str, tuple[StudyOptions, tuple[StudyCell, ...]]]:
    """The studies of a store, or those of these names: their options and cells.

    Raises:
        StoreError: It is not a store, it has no study, or none of a name.
    """
    check_store(store, kind=KIND, schema=SCHEMA)
    there = {path.stem: path for path in sorted((store / "studies").glob("*.toml"))}
    if unknown := [name for name in names if name not in there]:
        raise StoreError(f"{store}: has no study {unknown[0]!r}; it has {', '.join(there) or 'none'}")
    if not there:
        raise StoreError(f"{store}: has no study yet; start one with polyhead study run FILE --out {store}")
    found = {}
    for name in names or there:
        study, kept = parse_study(there[name].read_text(encoding="utf-8"), there[name]), there[name].with_suffix(".json")
        facts = read_json(kept) if kept.is_file() else {}
        options = StudyOptions(facts.get("data"), facts.get("keep_weights", "none"), bool(facts.get("test_every_k")))
        cells = expand_study(study)
        found[name] = (options, cells)
    return found


def _untested(folder: Path, cells: Iterable[StudyCell]) -> list[Path]:
    """The finished cells that have k without test counts."""
    found = read_records(folder, schema=StudyCellRecord.schema_number, names=[cell.fingerprint for cell in cells]).good
    return [record.path for record in found if not set(map(int, record.content["dev"])) <= set(record.content["tested"])]


def say_renewed(records: Iterable[Path], ending: str, why: str) -> None:
    """Rename records of cells, so that the cells are made again, and log one line about all of them."""
    if found := retired(records, ending):
        logger.warning("%s: %s: made again, the old records end in .%s", counted(len(found), "cell"), why, ending)
