"""The cells of a study as jobs of its workers: replayed against the store until their record can be written."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, Silent
from polyhead.core.values import fingerprint
from polyhead.learning.encoded_files import EncodedFiles
from polyhead.models.devices import Precision, placement
from polyhead.models.environment import environment, model_hash
from polyhead.models.loading import load_tagger
from polyhead.models.model_heads import head_mask
from polyhead.report.study_record import StageSeconds, StudyCellFacts, StudyCellRecord, counts_key, write_cell
from polyhead.studies.cell import Outcome, run_cell
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import Figures, points_by_name
from polyhead.studies.finetunes import FineTuned, fine_tuned, fit_folder, forget_checkpoints, tested, when_pruned
from polyhead.studies.inputs import Inputs, open_inputs
from polyhead.studies.record import cell_record
from polyhead.studies.settings import RunSettings
from polyhead.studies.stages import version, versions
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_store import ENCODED, StudyStore
from polyhead.studies.text_memory import Texts

logger = logging.getLogger(__name__)
_SHARED_INPUTS: Final = 4  # sets of inputs kept open; neighbouring cells of a study share theirs


class Bench:
    """What one process needs for the cells of a study, opened when it is first needed and shared by cells."""

    def __init__(
        self, store: StudyStore, *, device: str = "auto", test_every_k: bool = False, progress: Progress | None = None
    ) -> None:
        self.store, self.test_every_k, self.progress = store, test_every_k, progress or Silent()
        self._device = device
        self.texts = Texts(EncodedFiles(store.folder / ENCODED, version=version("reading")))
        self._inputs: dict[str, Inputs] = {}
        self._hashes: dict[tuple[str, str | None], str] = {}
        self._heads: dict[tuple[str, str | None], HeadMask] = {}

    def context(self, cell: StudyCell) -> RunContext:
        """What the cell runs with.

        Raises:
            PolyheadError: Its data or its model cannot be read as declared.
        """
        settings, inputs = cell.settings(), self.inputs(cell)
        where, precision = self._placed(cell)
        model = (cell.encoder, cell.revision)
        if model not in self._heads:
            self._hashes[model] = model_hash(cell.encoder, revision=cell.revision)
            self._heads[model] = head_mask(
                load_tagger(cell.encoder, labels=inputs.encoder.labels, seed=0, revision=cell.revision, kind=inputs.task.kind)
            )
        return RunContext(
            settings=settings,
            inputs=inputs,
            store=self.store,
            model_hash=self._hashes[model],
            present=self._heads[model],
            device=where,
            precision=precision,
            progress=self.progress,
            test_every_k=self.test_every_k,
        )

    def inputs(self, cell: StudyCell) -> Inputs:
        """The data of the cell, encoded."""
        settings = cell.settings()
        key = fingerprint(_reading(settings))
        if key not in self._inputs:
            if len(self._inputs) >= _SHARED_INPUTS:
                del self._inputs[next(iter(self._inputs))]
            self._inputs[key] = open_inputs(settings, self.texts)
        return self._inputs[key]

    def _placed(self, cell: StudyCell) -> tuple[torch.device, Precision]:
        return placement(device=self._device, precision=cell.train.precision)


def _reading(settings: RunSettings) -> dict[str, Any]:
    """The settings that decide what is read, and how."""
    kept = {name: value for name, value in asdict(settings).items() if name not in ("search", "train", "method", "normalisation")}
    return {**kept, "anchor": settings.train.anchor, "max_length": settings.train.max_length}


@dataclass(frozen=True)
class CellJob:
    """One cell of a study as a job of a worker; its record in `cells/` has the cell's fingerprint as its name.

    Attributes:
        cell: The cell.
        bench: What it runs with.
        sharing: Cells of the same unpruned fine-tuning, this one included; its weights stay until their records are there.
    """

    cell: StudyCell
    bench: Bench
    sharing: Sequence[str]

    @cached_property
    def name(self) -> str:
        """Name of its record."""
        return self.cell.fingerprint

    @property
    def group(self) -> str:
        """The same for cells of one unpruned fine-tuning."""
        return self.sharing[0]

    def advance(self) -> None:
        """Do what is not done yet, and write the record.

        Raises:
            Busy: Another worker works on a fine-tuning that is needed.
            Missing: One is needed that this process does not work on.
        """
        store = self.bench.store
        if (store.cells / f"{self.name}.json").is_file():
            return
        context = self.bench.context(self.cell)
        if self.cell.arm == "noise":
            full = fine_tuned(context, self.cell.train, context.present)
            record, counts = noise_record(context, self.cell, full)
            used, chosen = {full.folder}, full.folder
        else:
            outcome = run_cell(context, self.cell.cell())
            record, counts = study_record(context, self.cell, outcome)
            used, chosen = outcome.folders, outcome.chosen.folder
        write_cell(store.cells, self.name, record, counts)
        self._forget(context, used, chosen)

    def _forget(self, context: RunContext, used: set[Path], chosen: Path) -> None:
        """Drop weights that no cell to come needs, as far as this worker can know."""
        needed = {chosen} if self.bench.store.keep_weights == "chosen" else set()
        if any(not (self.bench.store.cells / f"{name}.json").is_file() for name in self.sharing):
            needed.add(fit_folder(context, self.cell.train, context.present))
        forget_checkpoints(context, used, needed)


def jobs_of(cells: Sequence[StudyCell], bench: Bench) -> list[CellJob]:
    """A job for each cell, in their order."""
    return [CellJob(cell, bench, sharing) for cell, sharing in zip(cells, sharing_of(cells), strict=True)]


def sharing_of(cells: Sequence[StudyCell]) -> list[Sequence[str]]:
    """For each cell the names of those that share its unpruned fine-tuning, its own included."""
    families: dict[str, list[str]] = {}
    for cell in cells:
        families.setdefault(_family(cell), []).append(cell.fingerprint)
    return [families[_family(cell)] for cell in cells]


def _family(cell: StudyCell) -> str:
    """The same for cells that share their unpruned fine-tuning."""
    tested = cell.targets if cell.target_tenths else None
    read = [cell.columns, cell.scheme, cell.strict, cell.train_limit, cell.target_tenths, tested]
    return fingerprint([cell.task, cell.model, cell.revision, cell.sources, cell.train, cell.protocol, *read])


def study_record(context: RunContext, cell: StudyCell, outcome: Outcome) -> tuple[StudyCellRecord, dict[str, NDArray[np.int64]]]:
    """The record of a finished cell, and its counts by name in the file."""
    names = list(context.inputs.tests)
    counts: dict[str, NDArray[np.int64]] = {}
    tested_at = {0: outcome.unpruned, **outcome.tests}
    for k, by_name in tested_at.items():
        counts |= {counts_key(name, k): by_name[name].counts for name in names}
    if outcome.nested_unpruned is not None:
        counts |= {counts_key(name, 0, kind="nested"): outcome.nested_unpruned[name].counts for name in names}
    for k, own in outcome.masked_tests.items():
        counts |= {counts_key(name, k, kind="nested"): own[name] for name in names if k}
    fits = [outcome, *outcome.others]
    made = {fit.folder.name: fit for one in fits for fit in (one.full, one.nested, *one.fits.values()) if fit is not None}
    full, of_masks = outcome.full.folder.name, (outcome.nested or outcome.full).folder.name
    tests = [(outcome.full, outcome.unpruned), *((outcome.fits[k], own) for k, own in outcome.tests.items() if k)]
    if outcome.nested is not None and outcome.nested_unpruned is not None:
        tests.append((outcome.nested, outcome.nested_unpruned))
    stages = [
        StageSeconds(stage=f"{full}/{outcome.scores.method}", kind="ranking", seconds=outcome.scores.seconds),
        StageSeconds(stage=f"{of_masks}/masks", kind="screening", seconds=outcome.screening_seconds),
        *(testing(fit, own) for fit, own in tests),
    ]
    record = _record(
        context,
        cell,
        fits=list(made.values()),
        result=cell_record(context, outcome),
        dev={str(k): dict(own) for k, own in sorted(outcome.dev.items())},
        tested=sorted({*tested_at, *outcome.masked_tests}),
        stages=stages,
    )
    return record, counts


def noise_record(context: RunContext, cell: StudyCell, full: FineTuned) -> tuple[StudyCellRecord, dict[str, NDArray[np.int64]]]:
    """The record of an unpruned fine-tuning of the pool, and its counts."""
    tests = tested(context, full)
    dev = {"0": points_by_name(context, full.dev)}
    record = _record(context, cell, fits=[full], result=None, dev=dev, tested=[0], stages=[testing(full, tests)])
    return record, {counts_key(name, 0): own.counts for name, own in tests.items()}


def testing(fit: FineTuned, figures: Mapping[str, Figures]) -> StageSeconds:
    """The seconds that a fine-tuning's tests took."""
    return StageSeconds(
        stage=f"{fit.folder.name}/{fingerprint(sorted(figures))}",
        kind="testing",
        seconds=sum(own.seconds for own in figures.values()),
    )


def _record(
    context: RunContext,
    cell: StudyCell,
    *,
    fits: Sequence[FineTuned],
    result: Any,
    dev: dict[str, dict[str, float]],
    tested: list[int],
    stages: list[StageSeconds],
) -> StudyCellRecord:
    made = [StageSeconds(stage=fit.folder.name, kind=_kind(context, fit), seconds=fit.seconds) for fit in fits] + stages
    seconds: dict[str, float] = {}
    for stage in made:
        seconds[stage.kind] = seconds.get(stage.kind, 0.0) + stage.seconds
    return StudyCellRecord(
        cell=StudyCellFacts.model_validate(facts_of(cell)),
        language=dict(context.inputs.languages),
        result=result,
        dev=dev,
        tested=tested,
        data=list(context.inputs.records),
        model_hash=context.model_hash,
        stages=versions(),
        environment=environment(context.device, context.precision),
        seconds=seconds,
        made_in=made,
        counts_sha256="",
    )


def _kind(context: RunContext, fit: FineTuned) -> str:
    """What made a model: a fine-tuning, or pruning of one that was there."""
    return "pruning" if when_pruned(context, fit.mask, fit.nested) == "after" else "fine-tuning"


def facts_of(cell: StudyCell) -> dict[str, Any]:
    """The values of a cell as its record has them."""
    found = {name: getattr(cell, name) for name in StudyCellFacts.model_fields}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
