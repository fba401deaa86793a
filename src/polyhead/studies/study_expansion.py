"""The cells of one grid: every combination of its lists."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, product

from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.selection.trials import MOST_SCREENED
from polyhead.studies.arms import OTHER_ORDERS
from polyhead.studies.protocols import PROTOCOLS
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_grid import Grid
from polyhead.studies.study_pairs import pairs

_LEAST_POOL = 10
_ALL_TENTHS = tuple(range(1, 10))


def cells_of(grid: Grid, data: str | None, folder: str | None) -> Iterator[StudyCell]:
    """The cells of a grid, of which some may be equal; seeds and arms vary fastest.

    Values that decide nothing in a setting have their default there, so that equal work has equal cells.
    """
    trains = {seed: replace(grid.train, seed=seed) for seed in (*grid.seeds, *_noise_seeds(grid))}
    for cell in ranked_cells(grid, data, folder):
        for seed in grid.seeds:
            yield replace(cell, train=trains[seed])
            for arm in OTHER_ORDERS:
                if arm in grid.controls:
                    yield replace(cell, train=trains[seed], arm=arm)
        if "noise" in grid.controls:
            rules = PROTOCOLS[grid.protocol]
            plain = replace(cell, arm="noise", method=rules.method, normalisation=rules.normalisation, combine="merged")
            for seed in (*grid.seeds, *_noise_seeds(grid)):
                yield replace(plain, train=trains[seed])


def ranked_cells(grid: Grid, data: str | None, folder: str | None) -> Iterator[StudyCell]:
    """The cells of a grid's ranked arm, for its first seed alone."""
    train: TrainSpec = replace(grid.train, seed=grid.seeds[0])
    for task, model, setting in product(grid.tasks, grid.models, grid.settings):
        together = setting in ("multi-lingual", "low-resource")
        tenths = (grid.target_tenths or _ALL_TENTHS) if setting == "low-resource" else (None,)
        combine = grid.combine if setting == "multi-source" else ("merged",)
        found = pairs(setting, grid.sources, grid.targets or (), folder=folder)
        for (sources, targets), method, how, part in product(found, grid.methods, combine, tenths):
            yield StudyCell(
                task=task,
                model=model,
                revision=grid.revision,
                setting=setting,
                sources=sources,
                targets=targets,
                method=method,
                normalisation=grid.normalisation,
                protocol=grid.protocol,
                rank_on=grid.rank_on if together else "sources+target",
                combine=how,
                target_tenths=part,
                train_limit=grid.train_limit,
                search=grid.search,
                select_on=grid.select_on,
                train=train,
                arm="ranked",
                data=data,
                folder=folder,
                columns=grid.columns,
                scheme=grid.scheme,
                strict=grid.strict,
                unseen_labels=grid.unseen_labels,
            )


def most_fine_tunings(search: SearchSpec) -> int:
    """The most fine-tunings that a search needs for one order of heads, that of the unpruned model included.

    >>> [most_fine_tunings(SearchSpec(how=how)) for how in ("nested", "screened", "sequential", "sweep")]
    [2, 5, 13, 13]
    """
    if search.prune == "after":
        return 1
    if search.how == "nested":
        return 2
    return min(MOST_SCREENED, search.max_pruned + 1) if search.how == "screened" else search.max_pruned + 1


def _noise_seeds(grid: Grid) -> tuple[int, ...]:
    """The seeds of the pool that are not the grid's own: the next whole numbers."""
    if "noise" not in grid.controls:
        return ()
    size = grid.noise_runs or max(_LEAST_POOL, 2 * most_fine_tunings(grid.search))
    others = chain(range(max(grid.seeds) + 1, 2**32), range(max(grid.seeds)))
    return tuple(islice((seed for seed in others if seed not in grid.seeds), max(0, size - len(grid.seeds))))
