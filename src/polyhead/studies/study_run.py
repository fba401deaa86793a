"""Run a study's cells in a store: check its data, then work until every cell is done or has failed."""

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from polyhead.core.errors import Busy, FileFaultsError, PolyheadError, StoreError
from polyhead.core.exclusive import write_exclusively
from polyhead.core.files import json_text, read_json, write_json_atomic, write_text_atomic
from polyhead.core.leases import Leases
from polyhead.core.progress import Progress
from polyhead.core.records import read_records, set_aside
from polyhead.core.store_kind import check_store, open_store
from polyhead.core.values import counted, fingerprint
from polyhead.data.sentences import Dataset
from polyhead.models.devices import placement
from polyhead.models.environment import model_hash
from polyhead.models.loading import load_config, load_tokenizer
from polyhead.report.study_record import CELLS, StudyCellRecord, without_counts
from polyhead.studies.run_data import Texts, how_read, read_data
from polyhead.studies.settings import RunSettings
from polyhead.studies.stages import versions
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_file import expand_study, parse_study, read_study
from polyhead.studies.study_jobs import Bench, jobs_of
from polyhead.studies.study_store import KIND, SCHEMA, KeepWeights, Leased, StudyStore
from polyhead.studies.worker_status import worker_name
from polyhead.studies.workers import Outcome, check_records, work

logger = logging.getLogger(__name__)
_BEAT: Final = 15.0
_STAGES = re.compile(rb'\n "stages": (\{[^{}]*\})')
_NOT_OF_CELLS: Final = "head analysis"  # a stage that no cell of a study has


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
        _renew(_untested(store / CELLS, expand_study(study)), "untested", "not tested at every k that was tried")
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


def work_study(
    store: Path,
    *,
    names: Sequence[str] = (),
    data: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    beat: float = _BEAT,
) -> Outcome:
    """Work on a store's studies until every cell is done or has failed; any number of processes may do so at the same time.

    Reads every corpus once before anything else. Stopped at any moment and started again it continues, with the same numbers.

    Args:
        store: Folder that `add_study` made.
        names: Of studies; all unless given.
        data: Folder of the corpora on this machine, if it is not where the study was started.
        device: As in `run`.
        progress: Told of each cell.
        beat: Seconds between two signs of life.

    Raises:
        FileFaultsError: Corpora cannot be read as declared, a line for each.
        SettingError: There is no such device.
        StoreError: Data or models are not those that the store's results were made from, or the store cannot be used.
    """
    studies = studies_of(store, names)
    for precision in {cell.train.precision for _, cells in studies.values() for cell in cells}:
        placement(device=device, precision=precision)
    found: list[Outcome] = []
    with Leases(store / "leases", worker_name(), beat=beat) as leases:
        check_cells(store, leases)
        access = Leased(leases)
        for options, cells in studies.values():
            folder = options.data if data is None else str(data)
            placed = [replace(cell, data=folder) for cell in cells]
            own = StudyStore(store, access, keep_weights=options.keep_weights)
            bench = Bench(own, device=device, test_every_k=options.test_every_k, progress=progress)
            check_data(store, placed, bench.texts)
            found.append(work(jobs_of(placed, bench), store, leases, progress=progress))
    return Outcome(
        sum(one.done for one in found),
        sum(one.found for one in found),
        tuple(failure for one in found for failure in one.failed),
        leases.discarded,
        sum(one.waited for one in found),
    )


def check_cells(store: Path, leases: Leases) -> None:
    """Set aside damaged cells, and those made by other versions of the stages' code, so that they are made again; logs them.

    What their fine-tunings left is used again, unless its stage has changed too.

    Raises:
        StoreError: A cell is of another schema, or cannot be read or renamed.
    """
    check_records(store, leases, schema=StudyCellRecord.schema_number)
    with suppress(Busy), leases.holding("check-counts"):
        set_aside(without_counts(store / CELLS))
        _renew(_outdated(store / CELLS), "outdated", "made by another version of polyhead")


def _outdated(folder: Path) -> list[Path]:
    """The cells that other versions of the stages made."""

    def deciding(stages: dict[str, int]) -> dict[str, int]:
        return {name: version for name, version in stages.items() if name != _NOT_OF_CELLS}

    now, found = deciding(versions()), []
    for path in sorted(folder.glob("*.json")):
        stages = _STAGES.search(path.read_bytes())
        if stages is not None and deciding(json.loads(stages[1])) != now:
            found.append(path)
    return found


def _untested(folder: Path, cells: Iterable[StudyCell]) -> list[Path]:
    """The finished cells that have k without test counts."""
    found = read_records(folder, schema=StudyCellRecord.schema_number, names=[cell.fingerprint for cell in cells]).good
    return [record.path for record in found if not set(map(int, record.content["dev"])) <= set(record.content["tested"])]


def _renew(paths: Sequence[Path], ending: str, why: str) -> None:
    """Rename the records of cells, so that the cells are made again."""
    for path in paths:
        with suppress(FileNotFoundError):  # another process was faster
            os.replace(path, path.with_name(f"{path.name}.{ending}"))
    if paths:
        logger.warning("%s: %s: made again, the old records end in .%s", counted(len(paths), "cell"), why, ending)


def check_data(store: Path, cells: Sequence[StudyCell], texts: Texts) -> None:
    """Read every split and find every model that the cells need, and compare them with what the store's results are made from.

    Raises:
        FileFaultsError: Some cannot be read as declared: one line for each.
        StoreError: A file or a model has changed since.
    """
    faults: dict[str, None] = {}
    read: dict[str, tuple[RunSettings, Dataset]] = {}
    for settings in {data_of(cell): cell.settings() for cell in cells}.values():
        try:
            for split in read_data(settings, texts).every:
                read[fingerprint([how_read(settings)[2:], settings.task, split.name, split.split])] = settings, split
        except PolyheadError as error:
            faults[str(error)] = None
    models: dict[tuple[str, str | None], str] = {}
    for model, revision in dict.fromkeys((cell.model, cell.revision) for cell in cells):
        try:
            load_config(model, revision=revision)
            load_tokenizer(model, revision=revision)
            models[model, revision] = model_hash(model, revision=revision)
        except PolyheadError as error:
            faults[str(error)] = None
    if faults:
        raise FileFaultsError("\n".join(faults))
    for key, (_, split) in read.items():
        what = f"data {split.name!r}: its {split.split} file"
        _compare(store / "data" / f"{key}.json", what, {"name": split.name, "split": split.split, "sha256": split.sha256})
    for named, sha256 in models.items():
        facts = {"model": named[0], "revision": named[1], "sha256": sha256}
        _compare(store / "models" / f"{fingerprint(named)}.json", f"model {named[0]!r}: it", facts)


def data_of(cell: StudyCell) -> str:
    """A name for what a cell reads: the same for cells that read the same splits in the same way."""
    settings = cell.settings()
    part = [settings.sources, settings.targets, settings.select_on, settings.target_tenths, settings.train_limit]
    return fingerprint([how_read(settings), *part, settings.unseen_labels, settings.protocol])


def _compare(path: Path, what: str, facts: Mapping[str, str | None]) -> None:
    """Compare the sha256 among these facts with that of the store's file, which the first worker writes."""
    if not path.is_file():
        content = json_text(path, {"schema": SCHEMA, **facts}).encode()
        write_exclusively(path, content, temporary=path.with_name(f".{worker_name()}.tmp"))
    then, now = str(read_json(path).get("sha256")), str(facts["sha256"])
    if then != now:
        changed = f"sha256 {now[:12]}…, was {then[:12]}…"
        raise StoreError(f"{what} has changed since this store began ({changed}): restore it, or choose another store")
