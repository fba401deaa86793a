"""What is checked before a study's work begins: its data, models and searches, and that they are those of its store."""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyhead.core.errors import FileFaultsError, PolyheadError, StoreError
from polyhead.core.exclusive import write_exclusively
from polyhead.core.files import json_text, read_json
from polyhead.core.toml_lines import Path as TomlPath
from polyhead.core.values import fingerprint
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import task as find_task
from polyhead.models.devices import PrecisionChoice, placement
from polyhead.models.environment import model_hash
from polyhead.models.loading import load_config, load_tokenizer
from polyhead.models.model_heads import recorded_heads
from polyhead.selection.ranking import check_search
from polyhead.studies.run_data import RunData, checked_data, how_read
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_file import file_faults, place_in_file, study_grids
from polyhead.studies.study_folder import StoredStudy
from polyhead.studies.study_grid import Grid
from polyhead.studies.study_store import SCHEMA
from polyhead.studies.text_memory import Texts
from polyhead.studies.worker_status import worker_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CellFault:
    """Something that keeps cells from being worked on.

    Attributes:
        cell: The first of them.
        key: What it is about in the study file: `sources`, `targets`, `models`, `train_limit` or, in `[search]`, `max_pruned`.
        value: The source, target or model.
        said: What is wrong.
    """

    cell: StudyCell
    key: str
    value: str
    said: str


@dataclass(frozen=True)
class Found:
    """What the cells of a study read, as far as it can be read.

    Attributes:
        splits: By the name of their facts in the store.
        models: Hash by model and revision.
        faults: Everything that is wrong.
    """

    splits: Mapping[str, Dataset]
    models: Mapping[tuple[str, str | None], str]
    faults: Sequence[CellFault]


def check_studies(store: Path, studies: Iterable[tuple[StoredStudy, Texts]]) -> None:
    """Read every split and find every model that studies need, and compare them with what the store's results are made from.

    Args:
        store: Their folder.
        studies: Each with the texts that keep what is read.

    Raises:
        FileFaultsError: Some cannot be read as declared, or a search cannot prune that many heads: a line for each, of the study
            file.
        StoreError: A file or a model has changed since.
    """
    found = [(study, _found(study.cells, texts)) for study, texts in studies]
    if faulty := [(study, own.faults) for study, own in found if own.faults]:
        raise FileFaultsError("\n".join(str(_in_file(study, faults)) for study, faults in faulty))
    for _, own in found:
        _compare_all(store, own)


def check_data(store: Path, cells: Sequence[StudyCell], texts: Texts) -> None:
    """As `check_studies`, for cells without their file.

    Raises:
        FileFaultsError: Some data cannot be read as declared, or a search cannot prune that many heads: a line for each.
        StoreError: A file or a model has changed since.
    """
    found = _found(cells, texts)
    if found.faults:
        raise FileFaultsError("\n".join(dict.fromkeys(fault.said for fault in found.faults)))
    _compare_all(store, found)


def _found(cells: Sequence[StudyCell], texts: Texts) -> Found:
    splits: dict[str, Dataset] = {}
    faults: list[CellFault] = []
    for cell in _first_of_each(cells, data_of):
        settings = cell.settings()
        read = checked_data(settings, texts)
        if not isinstance(read, RunData):
            faults += [CellFault(cell, fault.key, fault.reference, str(fault.error)) for fault in read]
            continue
        for split in read.every:
            splits[fingerprint([how_read(settings)[3:], settings.task, split.name, split.split])] = split
    models: dict[tuple[str, str | None], str] = {}
    for one in _first_of_each(cells, lambda cell: (cell.model, cell.revision, cell.task, cell.search)):
        key = "models"
        try:
            config = load_config(one.encoder, kind=find_task(one.task).kind, revision=one.revision)
            if (one.model, one.revision) not in models:
                load_tokenizer(one.encoder, revision=one.revision)
                models[one.model, one.revision] = model_hash(one.encoder, revision=one.revision)
            key = "search.max_pruned"
            check_search(one.search, recorded_heads(config))
        except PolyheadError as error:
            said = str(error) if key == "models" else f"model {one.model!r}: {error}"
            faults.append(CellFault(one, key, one.model, said))
    return Found(splits, models, faults)


def _first_of_each(cells: Iterable[StudyCell], kind: Callable[[StudyCell], Hashable]) -> list[StudyCell]:
    found: dict[Hashable, StudyCell] = {}
    for cell in cells:
        found.setdefault(kind(cell), cell)
    return [*found.values()]


def _in_file(study: StoredStudy, faults: Sequence[CellFault]) -> FileFaultsError:
    """The faults with file and line: that of the source, target, model or setting in the first grid that has the cell."""
    names = [{cell.fingerprint for cell in own} for _, own in study_grids(study.spec)]

    def line(fault: CellFault) -> tuple[TomlPath, str]:
        place = next(n for n, own in enumerate(names) if fault.cell.fingerprint in own)
        return place_in_file(study.text, place, _in_grid(study.spec.grids[place], fault)), f"{fault.key}: {fault.said}"

    return file_faults(study.called, study.text, map(line, faults))


def _in_grid(grid: Grid, fault: CellFault) -> TomlPath:
    """The path inside a grid; a target that a multi-lingual cell is trained on is among the targets."""
    lists = {"sources": grid.sources, "targets": grid.targets or (), "models": grid.models}
    if fault.key not in lists:
        return tuple(fault.key.split("."))
    for key in (fault.key, *lists):
        if fault.value in lists[key]:
            return key, lists[key].index(fault.value)
    return (fault.key,)


def data_of(cell: StudyCell) -> str:
    """A name for what a cell reads: the same for cells that read the same splits in the same way."""
    settings = cell.settings()
    part = [settings.sources, settings.targets, settings.select_on, settings.target_tenths, settings.train_limit]
    return fingerprint([how_read(settings), *part, settings.unseen_labels, settings.protocol])


def _compare_all(store: Path, found: Found) -> None:
    """Compare what was read with the store's own facts, and log what was repaired."""
    for key, split in found.splits.items():
        for repair, count in split.notes.items():
            logger.info("note: %s %s: %d x %s", split.name, split.split, count, repair)
        what = f"data {split.name!r}: its {split.split} file"
        _compare(store / "data" / f"{key}.json", what, {"name": split.name, "split": split.split, "sha256": split.sha256})
    for named, sha256 in found.models.items():
        facts = {"model": named[0], "revision": named[1], "sha256": sha256}
        _compare(store / "models" / f"{fingerprint(named)}.json", f"model {named[0]!r}: it", facts)


def check_precision(store: Path, wanted: PrecisionChoice, *, device: str) -> None:
    """Return if this machine has the device, and computes in the precision in which the store's results were made.

    Raises:
        SettingError: There is no such device.
        StoreError: `auto` means another precision here than where the store began: figures of both are not comparable.
    """
    _, here = placement(device=device, precision=wanted)
    if wanted == "auto":
        then = _first(store / "precision.json", {"auto": here})["auto"]
        if then != here:
            raise StoreError(
                f"precision auto is {here} on this machine, and was {then} where {store} began: work on machines alike, or set "
                f'precision = "fp32" in the study\'s [train] and begin another store'
            )


def _compare(path: Path, what: str, facts: Mapping[str, str | None]) -> None:
    """Compare the sha256 among these facts with that of the store's file."""
    then, now = str(_first(path, facts).get("sha256")), str(facts["sha256"])
    if then != now:
        changed = f"sha256 {now[:12]}…, was {then[:12]}…"
        raise StoreError(f"{what} has changed since this store began ({changed}): restore it, or choose another store")


def _first(path: Path, facts: Mapping[str, str | None]) -> dict[str, Any]:
    """The facts that the first worker wrote there, which are these unless another was first."""
    if not path.is_file():
        content = json_text(path, {"schema": SCHEMA, **facts}).encode()
        write_exclusively(path, content, temporary=path.with_name(f".{worker_name()}.tmp"))
    kept: dict[str, Any] = read_json(path)
    return kept
