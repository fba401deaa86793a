"""Everything that is wrong with one grid of a study file, found without opening anything."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, Final

from polyhead.core.errors import PolyheadError
from polyhead.core.settings_file import faults_of
from polyhead.data.corpus_table import Split
from polyhead.importance.methods import check_normalisation, check_summed
from polyhead.studies.study_expansion import ranked_cells
from polyhead.studies.study_grid import Grid, filled
from polyhead.studies.study_pairs import unfit, unpaired

Path = tuple[str | int, ...]
# Keys that do something in one setting only.
_NEEDS: Final = {"target_tenths": "low-resource", "combine": "multi-source"}
KEYS: Final = {item.name for item in fields(Grid)}  # type: ignore[arg-type]
"""Keys of a grid."""
_PLURAL: Final = {"method": "methods", "model": "models", "source": "sources", "target": "targets", "task": "tasks"}


@dataclass(frozen=True)
class GridFault:
    """One fault.

    Attributes:
        path: Keys and positions inside the grid.
        said: What is wrong.
    """

    path: Path
    said: str


def grid_faults(values: Mapping[str, Any], *, folder: str | None, partial: bool = False) -> tuple[Grid | None, list[GridFault]]:
    """The grid with these keys, if it can be made, and every fault.

    What is wrong in itself is taken out and the rest checked too, so that one reading finds all faults.

    Args:
        values: Keys of the grid, and those of the study that it does not have itself.
        folder: Where relative paths start; the current folder if it is None.
        partial: The keys are defaults only: nothing is required, and only values are checked.
    """
    values, faults = dict(values), []
    if isinstance(values.get("train"), Mapping) and "seed" in values["train"]:
        values["train"] = {key: value for key, value in values["train"].items() if key != "seed"}
        faults.append(GridFault(("train", "seed"), "train.seed: a study has a list of seeds; write seeds = [42, 43, 44]"))
    made, found = faults_of(Grid, filled(values))
    for path, said in found:
        missing = said.endswith(": required")
        if not (partial and missing):
            step = " in [[grid]] or above the first one" if missing else ""
            faults.append(GridFault(_inner(path, said), f"{said}{step}"))
    if partial:
        return None, faults
    whole = made is not None and not faults
    if made is None:
        made, _ = faults_of(Grid, filled(_without(values, [path for path, _ in found])))
    if made is not None:
        faults += _between(made, folder, whole=whole)
    return made, faults


def unused(
    defaults: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], grids: Sequence[Grid | None]
) -> Iterator[tuple[Path, str]]:
    """Keys that no grid, or not the grid that holds them, makes use of: their path in the file, and what is wrong."""

    def idle(key: str, grid: Grid | None) -> str:
        if grid is None:
            return ""
        if key in _NEEDS:
            return (
                ""
                if _NEEDS[key] in grid.settings
                else f"{key}: only {_NEEDS[key]} reads it; add that to settings, or leave it out"
            )
        return (
            ""
            if "noise" in grid.controls
            else f'{key}: only the control noise reads it; write controls = ["noise"], or leave it out'
        )

    for key in (*_NEEDS, "noise_runs"):
        said = [idle(key, grid) for grid in grids]
        if key in defaults and all(said):
            yield (key,), said[0]
        yield from ((("grid", place, key), said[place]) for place, table in enumerate(tables) if key in table and said[place])


def _inner(path: Path, said: str) -> Path:
    """The path of a fault of a whole table, whose message names the key."""
    key = said.removeprefix(f"{path[0]}.").partition(" ")[0] if path in (("search",), ("train",)) else ""
    return (*path, key) if key.isidentifier() else path


def _without(values: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The values without those at the paths; a list that this empties goes too, so that its default stands in."""
    left = deepcopy(dict(values))
    for path in sorted(set(paths), key=lambda path: [str(key).rjust(9, "0") for key in path], reverse=True):
        inner: Any = left
        for key in path[:-1]:
            inner = inner[key] if isinstance(key, int) or key in inner else {}
        if isinstance(path[-1], int) or path[-1] in inner:
            del inner[path[-1]]
    return {key: value for key, value in left.items() if value != []}


def _between(grid: Grid, folder: str | None, *, whole: bool) -> Iterator[GridFault]:
    """What is wrong between values that are each allowed; `whole`: none was taken out, so lists are complete."""
    yield from _splits(grid, folder)
    if whole:
        for setting in grid.settings:
            for key, said in unpaired(setting, grid.sources, grid.targets or (), folder=folder):
                yield GridFault(_item(grid, said) or (key,), f"{key}: {said}")
    if "noise" in grid.controls and grid.search.one_training:
        why = "compares masks of one model, so re-seeded models say nothing about it; its control is random"
        how = "prune after" if grid.search.prune == "after" else grid.search.how
        yield GridFault(("controls", grid.controls.index("noise")), f"controls: noise: search {how} {why}")
    for name in grid.methods:
        try:
            check_normalisation(name, grid.normalisation)
        except PolyheadError as error:
            yield GridFault(("normalisation",), f"normalisation = {grid.normalisation!r}: {error}")
        if "multi-source" in grid.settings and "summed" in grid.combine and grid.normalisation == "none":
            try:
                check_summed(name)
            except PolyheadError as error:
                yield GridFault(("combine", grid.combine.index("summed")), str(error))
    for cell in ranked_cells(grid, None, folder):
        try:
            cell.settings()
        except PolyheadError as error:
            yield GridFault(path_of(grid, str(error)), str(error))


def _splits(grid: Grid, folder: str | None) -> Iterator[GridFault]:
    """References that lack a split which their role needs, or are labelled for another task."""
    as_source = any(setting in ("multi-lingual", "low-resource") for setting in grid.settings)
    needs: list[Split] = ["test"]
    needs += ["train"] if as_source else []
    needs += ["dev"] if grid.select_on != "source-dev" else []
    for task in grid.tasks:
        for place, name in enumerate(grid.sources):
            if said := unfit(name, "source", task, ["train"], folder=folder):
                yield GridFault(("sources", place), f"sources: {said}")
        for place, name in enumerate(grid.targets or ()):
            if said := unfit(name, "target", task, needs, folder=folder):
                yield GridFault(("targets", place), f"targets: {said}{_why(grid, said)}")


def _why(grid: Grid, said: str) -> str:
    if "no train" in said:
        return f"; {' and '.join(s for s in grid.settings if s in ('multi-lingual', 'low-resource'))} trains on targets too"
    return f"; select_on {grid.select_on!r} reads it" if "no dev" in said else ""


def path_of(grid: Grid, said: str) -> Path:
    """The key that a message of `RunSettings` is about."""
    found = re.match(r"(?:(search|train)\.)?(\w+)", said)
    table, key = found.groups() if found else (None, "")
    if table:
        return table, key
    key = _PLURAL.get(key, key)
    return _item(grid, said) or ((key,) if key in KEYS else ())


def _item(grid: Grid, said: str) -> Path | None:
    """The source or target that a message quotes."""
    for quoted in re.findall(r"'([^']+)'", said):
        for key, names in (("sources", grid.sources), ("targets", grid.targets or ())):
            if quoted in names:
                return key, names.index(quoted)
    return None
