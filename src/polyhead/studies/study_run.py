"""Work on the studies of a store: check data, models and records, then work until every cell is done or has failed."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from polyhead.core.errors import Busy
from polyhead.core.leases import Leases
from polyhead.core.progress import Progress
from polyhead.core.records import read_records, set_aside
from polyhead.report.study_record import CELLS, StudyCellRecord, without_counts
from polyhead.studies.stages import versions
from polyhead.studies.study_check import check_precision, check_studies
from polyhead.studies.study_folder import StudyOptions, say_renewed, studies_of
from polyhead.studies.study_jobs import Bench, jobs_of
from polyhead.studies.study_store import Leased, StudyStore
from polyhead.studies.worker_status import worker_name
from polyhead.studies.workers import WorkDone, check_records, work

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
        FileFaultsError: Data or models cannot be read as declared, or a search cannot prune that many heads: a line for each.
        SettingError: There is no such device.
        StoreError: Data or models are not those that the store's results were made from, or the store cannot be used.
    """
    studies = [*studies_of(store, names, data=data).values()]
    for wanted in {cell.train.precision for study in studies for cell in study.cells}:
        check_precision(store, wanted, device=device)
    found: list[WorkDone] = []
    with Leases(store / "leases", worker_name(), beat=beat) as leases:
        check_cells(store, leases)
        access = Leased(leases)

        def bench(options: StudyOptions) -> Bench:
            own = StudyStore(store, access, keep_weights=options.keep_weights)
            return Bench(own, device=device, test_every_k=options.test_every_k, progress=progress)

        benches = [bench(study.options) for study in studies]
        check_studies(store, [(study, own.texts) for study, own in zip(studies, benches, strict=True)])
        for study, own in zip(studies, benches, strict=True):
            found.append(work(jobs_of(study.cells, own), store, leases, progress=progress))
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
