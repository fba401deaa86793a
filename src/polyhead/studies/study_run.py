"""Work on the studies of a store: check data, models and records, then work until every cell is done or has failed."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from polyhead.core.errors import Busy, FileFaultsError, PolyheadError, StoreError
from polyhead.core.exclusive import write_exclusively
from polyhead.core.files import json_text, read_json
from polyhead.core.leases import Leases
from polyhead.core.progress import Progress
from polyhead.core.records import read_records, set_aside
from polyhead.core.values import fingerprint
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import task as find_task
from polyhead.models.devices import PrecisionChoice, placement
from polyhead.models.environment import model_hash
from polyhead.models.loading import load_config, load_tokenizer
from polyhead.models.model_heads import recorded_heads
from polyhead.report.study_record import CELLS, StudyCellRecord, without_counts
from polyhead.selection.ranking import check_search
from polyhead.studies.run_data import Texts, how_read, read_data
from polyhead.studies.stages import versions
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_folder import say_renewed, studies_of
from polyhead.studies.study_jobs import Bench, jobs_of
from polyhead.studies.study_store import SCHEMA, Leased, StudyStore
from polyhead.studies.worker_status import worker_name
from polyhead.studies.workers import WorkDone, check_records, work

logger = logging.getLogger(__name__)
_BEAT: Final = 15.0
_NOT_OF_CELLS: Final = "head analysis"  # a stage that no cell of a study has


def work_study(
    store: Path,
    *,
    names: Sequence[str] = (),
    data: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    beat: float = _BEAT,
) -> WorkDone:
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
    for wanted in {cell.train.precision for _, cells in studies.values() for cell in cells}:
        check_precision(store, wanted, device=device)
    found: list[WorkDone] = []
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
    return WorkDone(
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
        say_renewed(_outdated(store / CELLS), "outdated", "made by another version of polyhead")


def _outdated(folder: Path) -> list[Path]:
    """The cells that other versions of the stages made."""

    def deciding(stages: dict[str, int]) -> dict[str, int]:
        return {name: version for name, version in stages.items() if name != _NOT_OF_CELLS}

    now, records = deciding(versions()), read_records(folder, schema=StudyCellRecord.schema_number).good
    return [record.path for record in records if deciding(record.content["stages"]) != now]


def check_data(store: Path, cells: Sequence[StudyCell], texts: Texts) -> None:
    """Read every split and find every model that the cells need, and compare them with what the store's results are made from.

    Raises:
        FileFaultsError: Some cannot be read as declared: one line for each.
        StoreError: A file or a model has changed since.
    """
    faults: dict[str, None] = {}
    read: dict[str, Dataset] = {}
    for settings in {data_of(cell): cell.settings() for cell in cells}.values():
        try:
            for split in read_data(settings, texts).every:
                read[fingerprint([how_read(settings)[2:], settings.task, split.name, split.split])] = split
        except PolyheadError as error:
            faults[str(error)] = None
    models: dict[tuple[str, str | None], str] = {}
    for model, revision in dict.fromkeys((cell.model, cell.revision) for cell in cells):
        own = [cell for cell in cells if (cell.model, cell.revision) == (model, revision)]
        try:
            config = load_config(model, kind=find_task(own[0].task).kind, revision=revision)
            load_tokenizer(model, revision=revision)
            for search in dict.fromkeys(cell.search for cell in own):
                check_search(search, recorded_heads(config))
            models[model, revision] = model_hash(model, revision=revision)
        except PolyheadError as error:
            faults[str(error)] = None
    if faults:
        raise FileFaultsError("\n".join(faults))
    for key, split in read.items():
        for repair, count in split.notes.items():
            logger.info("note: %s %s: %d x %s", split.name, split.split, count, repair)
        what = f"data {split.name!r}: its {split.split} file"
        _compare(store / "data" / f"{key}.json", what, {"name": split.name, "split": split.split, "sha256": split.sha256})
    for named, sha256 in models.items():
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


def data_of(cell: StudyCell) -> str:
    """A name for what a cell reads: the same for cells that read the same splits in the same way."""
    settings = cell.settings()
    part = [settings.sources, settings.targets, settings.select_on, settings.target_tenths, settings.train_limit]
    return fingerprint([how_read(settings), *part, settings.unseen_labels, settings.protocol])


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
