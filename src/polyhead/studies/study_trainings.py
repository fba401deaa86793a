"""The fine-tunings that cells need, told apart without running them, and what other procedures would need for the same cells."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from polyhead.core.values import fingerprint
from polyhead.studies.protocols import PROTOCOLS
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_expansion import most_fine_tunings

Kind = Literal["full", "nested", "pruned"]
RELEASED_TRIALS: Final = 12
"""Fine-tunings with pruned heads in the released procedure of Ma et al. 2021: k = 1..12."""


@dataclass(frozen=True)
class Training:
    """One fine-tuning; equal ones are done once.

    Attributes:
        kind: With all heads; with all heads under nested masks; or with heads pruned.
        model: Folder or hub id of the encoder.
        sources: References trained on.
        train_limit: Sentences used of each; None uses all.
        target_tenths: Tenths used of the last source; None uses all.
        epochs: Passes over them.
        name: Fingerprint of everything that decides its weights, as far as settings tell.
    """

    kind: Kind
    model: str
    sources: tuple[str, ...]
    train_limit: int | None
    target_tenths: int | None
    epochs: int
    name: str


def trainings(cell: StudyCell) -> Iterator[Training]:
    """The fine-tunings that a cell needs at most: the full one, and those of its search.

    Which k a screened or sequential search tries is not known before, so its trials are told apart by their number; it may need
    fewer. With `combine = "each"` every source's own order is searched.
    """
    rules = PROTOCOLS[cell.protocol]
    data = [cell.task, cell.sources, cell.train_limit, cell.target_tenths, cell.columns, cell.scheme, cell.strict]
    chosen_on = None if cell.select_on == "source-dev" else [cell.select_on, cell.targets]
    how = [rules.merge_types, rules.first_rows, rules.mask_in_training_only]
    base = [cell.model, cell.revision, cell.train, *data, chosen_on, *how]

    def training(kind: Kind, *what: object) -> Training:
        name = fingerprint([kind, *base, *what])
        facts = cell.model, cell.sources, cell.train_limit, cell.target_tenths, cell.train.epochs
        return Training(kind, *facts, name)

    yield training("full")
    if cell.arm == "noise":
        return
    search = cell.search
    for order in _orders(cell):
        for trial in range(1, most_fine_tunings(search)):
            if search.how == "nested":
                yield training("nested", order, search.max_pruned, search.min_per_layer)
            else:
                known = trial if search.how == "sweep" else [search, trial]
                yield training("pruned", order, search.min_per_layer, known)


def _orders(cell: StudyCell) -> list[list[object]]:
    """What decides the order of heads, for each order that the cell searches; `random` and `depth` depend on no score."""
    if cell.arm == "depth":
        return [[cell.arm]]
    if cell.arm == "random":
        return [[cell.arm, place] for place in range(len(cell.sources) if cell.combine == "each" else 1)]
    order: list[object] = [cell.arm, cell.method, cell.normalisation]
    if len(cell.sources) == 1:
        return [order]
    if cell.combine == "each":
        return [[*order, source] for source in cell.sources]
    return [[*order, cell.rank_on, cell.combine]]


def distinct(cells: Iterable[StudyCell]) -> dict[str, Training]:
    """All fine-tunings of the cells by name, each once."""
    return {training.name: training for cell in cells for training in trainings(cell)}


def released(cells: Iterable[StudyCell]) -> int:
    """Fine-tunings of `released_runs`."""
    return sum(n for _, n in released_runs(cells))


def released_shared(cells: Iterable[StudyCell]) -> int:
    """Fine-tunings of `released_shared_runs`."""
    return sum(n for _, n in released_shared_runs(cells))


def released_runs(cells: Iterable[StudyCell]) -> Iterator[tuple[StudyCell, int]]:
    """Fine-tunings of the released procedure run once for every cell and target: one with all heads, and k = 1..12.

    A control has the 12 of its own, and shares the one with all heads with what it controls. A search with a smaller largest k
    has that many; `combine = "each"` has them for each source; noise runs have none beside their own.
    """
    for cell in cells:
        yield cell, len(cell.targets) * _released(cell)


def released_shared_runs(cells: Iterable[StudyCell]) -> Iterator[tuple[StudyCell, int]]:
    """As `released_runs`, with each source model trained once for all targets, and the one with all heads once for all arms."""
    done: set[object] = set()
    for cell in cells:
        full = next(trainings(cell)).name
        trials = min(RELEASED_TRIALS, cell.search.max_pruned)
        orders = [] if cell.arm == "noise" else _orders(cell)
        wanted: dict[object, int] = {full: 1, **{(full, fingerprint(order), trials): trials for order in orders}}
        yield cell, sum(n for what, n in wanted.items() if what not in done)
        done.update(wanted)


def _released(cell: StudyCell) -> int:
    trials = min(RELEASED_TRIALS, cell.search.max_pruned) * len(_orders(cell))
    return {"ranked": 1 + trials, "noise": 1}.get(cell.arm, trials)
