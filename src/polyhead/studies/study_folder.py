"""The studies of a store: their files and options, which every worker finds there."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic, write_text_atomic
from polyhead.core.records import read_records, retired
from polyhead.core.store_kind import check_store, open_store
from polyhead.core.values import counted
from polyhead.report.study_record import CELLS, StudyCellRecord
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_file import StudySpec, expand_study, parse_study, read_study
from polyhead.studies.study_store import KIND, SCHEMA, KeepWeights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyOptions:
    """How a study is worked on; kept in the store, so that every worker does it alike.

    Attributes:
        file: The study file itself, whose folder relative paths start from; None if the store does not know it.
        data: Folder of the corpora; None if the study needs none.
        keep_weights: Which fine-tuned models stay on disk: `none`, the `chosen` one of every cell, or `all`.
        test_every_k: Whether every k that is tried is tested, for rules that choose another one.
    """

    file: str | None = None
    data: str | None = None
    keep_weights: KeepWeights = "none"
    test_every_k: bool = False


@dataclass(frozen=True)
class StoredStudy:
    """A study of a store.

    Attributes:
        options: How it is worked on.
        spec: Its grids.
        cells: All its cells.
        text: Its file.
        called: What errors call the file: the user's own, or the store's copy if the user's has changed since.
    """

    options: StudyOptions
    spec: StudySpec
    cells: tuple[StudyCell, ...]
    text: str
    called: Path


def add_study(
    path: Path, store: Path, *, data: Path | None = None, keep_weights: KeepWeights = "none", test_every_k: bool = False
) -> str:
    """Copy a study file into the store, so that workers find it; returns the study's name.

    A study of the same name is replaced: cells that both have are not run again, unless every k is to be tested and was not.

    Args:
        path: The study file.
        store: Folder of the results; made if it is missing.
        data: Folder of the corpora, if it is not the one that the file names; a relative one starts from the current folder.
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
    options = StudyOptions(str(path.expanduser().absolute()), place, keep_weights, test_every_k)
    write_json_atomic(folder / f"{study.name}.json", {"schema": SCHEMA, **asdict(options)})
    write_text_atomic(folder / f"{study.name}.toml", path.expanduser().read_text(encoding="utf-8-sig"))
    if test_every_k:
        say_renewed(_untested(store / CELLS, expand_study(study)), "untested", "not tested at every k that was tried")
    return study.name


def studies_of(store: Path, names: Sequence[str] = (), *, data: Path | None = None) -> dict[str, StoredStudy]:
    """The studies of a store, or those of these names.

    Args:
        store: Its folder.
        names: Of studies; all unless given.
        data: Folder of the corpora on this machine, if it is not where the study was started.

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
        text, kept = there[name].read_text(encoding="utf-8"), there[name].with_suffix(".json")
        facts = read_json(kept) if kept.is_file() else {}
        options = StudyOptions(**{item.name: facts[item.name] for item in fields(StudyOptions) if item.name in facts})
        folder = None if options.file is None else str(Path(options.file).parent)
        spec = parse_study(text, there[name], folder=folder)
        corpora = options.data if data is None else str(data.absolute())
        cells = tuple(replace(cell, data=corpora) for cell in expand_study(spec))
        found[name] = StoredStudy(options, spec, cells, text, _called(options.file, text) or there[name])
    return found


def _called(file: str | None, text: str) -> Path | None:
    """The user's study file as seen from the current folder, if it still has this text."""
    if file is None:
        return None
    path = Path(file)
    try:
        same = path.read_text(encoding="utf-8-sig") == text
    except (OSError, UnicodeDecodeError):
        return None
    near = path.is_relative_to(Path.cwd())
    return (path.relative_to(Path.cwd()) if near else path) if same else None


def _untested(folder: Path, cells: Iterable[StudyCell]) -> list[Path]:
    """The finished cells that have k without test counts."""
    found = read_records(folder, schema=StudyCellRecord.schema_number, names=[cell.fingerprint for cell in cells]).good
    return [record.path for record in found if not set(map(int, record.content["dev"])) <= set(record.content["tested"])]


def say_renewed(records: Iterable[Path], ending: str, why: str) -> None:
    """Rename records of cells, so that the cells are made again, and log one line about all of them."""
    if found := retired(records, ending):
        logger.warning("%s: %s: made again, the old records end in .%s", counted(len(found), "cell"), why, ending)
