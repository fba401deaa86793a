"""Rows of the tables of `shrink.py` and `elastic.py`: points gained over seeds and sentences, speeds, and what was pruned."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plan_times import Counts, speeds
from shrink_cells import ROUND_TRIP, SETTINGS, Asked

from polyhead.learning.metrics import metric_from_columns
from polyhead.selection.statistics import holm, mean_gain

ARMS = ("none", "refit", "distil", "int8")
Cells = dict[int, dict[str, NDArray[np.int64]]]
"""The cells of one row by seed."""


def plan_counts(cell: dict[str, NDArray[np.int64]], prefix: str = "") -> Counts:
    """Heads and neurons of every layer of a cell's plan."""
    return [*zip(cell[f"{prefix}heads"].tolist(), cell[f"{prefix}neurons"].tolist(), strict=True)]


def row(there: Cells, asked: Asked) -> dict[str, Any]:
    """One rule: points gained over the unpruned tagger, what it took, and how fast the plans are."""
    cells, languages = [*there.values()], SETTINGS[asked.setting].languages
    found: dict[str, Any] = {"seeds": [*there], "search_cpu_seconds": seconds(cells, "search/cpu_ms")}
    for arm in ARMS:
        if own := _with(arm, there, languages):
            gain = {name: difference(own, f"{arm}/{name}", own, f"before/{name}") for name in languages}
            facts: dict[str, Any] = {"seeds": [*own], "gain": gain}
            facts["worst_language_loses"] = max(-each["points"] for each in gain.values())
            facts["cpu_seconds"] = seconds([*own.values()], f"{arm}/cpu_ms")
            if arm == "distil":
                facts["minutes"] = [float(cell["distil/minutes_x1000"][0]) / 1e3 for cell in own.values()]
                facts["steps"] = [int(cell["distil/steps"][0]) for cell in own.values()]
            found[arm] = facts
    found["share_of_bytes"] = [float(cell["bytes"][1] / cell["bytes"][0]) for cell in cells]
    found["megabytes"] = [float(np.median([cell["bytes"][i] for cell in cells])) / 1e6 for i in (0, 1)]
    if all("int8/bytes" in cell for cell in cells):
        found["int8_share_of_bytes"] = [float(cell["int8/bytes"][0] / cell["bytes"][0]) for cell in cells]
    trips = sorted({name for cell in cells for name in cell if name.startswith(ROUND_TRIP)})
    found["round_trips"] = {
        name.removeprefix(ROUND_TRIP): max(float(cell[name][0]) / 1e9 for cell in cells if name in cell) for name in trips
    }
    times = [speeds(asked.shape, plan_counts(cell)) for cell in cells]
    found |= {f"speedup_{kind}": [own[kind] for own in times] for kind in ("predicted", "measured")}
    return found | taken(cells)


def whole_in_int8(cells: Cells, languages: Sequence[str]) -> dict[str, Any]:
    """Points that int8 alone gains, in taggers of which nothing was pruned, and its share of the bytes."""
    return {
        "seeds": [*cells],
        "gain": {name: difference(cells, f"int8/{name}", cells, name) for name in languages},
        "megabytes": float(np.median([cell["bytes"][0] for cell in cells.values()])) / 1e6,
        "int8_share_of_bytes": [float(cell["int8/bytes"][0] / cell["bytes"][0]) for cell in cells.values()],
    }


def _with(arm: str, there: Cells, languages: Sequence[str]) -> Cells:
    """The cells that have an arm."""
    return {seed: cell for seed, cell in there.items() if f"{arm}/{languages[0]}" in cell}


def taken(cells: Sequence[dict[str, NDArray[np.int64]]], prefix: str = "") -> dict[str, list[float]]:
    """Heads and neurons of every layer, means over seeds."""
    return {name: np.mean([own[f"{prefix}{name}"] for own in cells], axis=0).tolist() for name in ("heads", "neurons")}


def seconds(cells: Sequence[dict[str, NDArray[np.int64]]], name: str) -> float | None:
    """Median processor seconds; None without any that were measured in one go."""
    found = [float(own[name][0]) / 1e3 for own in cells if name in own and own[name][0] >= 0]
    return float(np.median(found)) if found else None


def difference(one: Cells, name: str, other: Cells, than: str) -> dict[str, Any]:
    """Points of `name` in some cells over `than` in others of the same seeds, the mean over seeds."""
    sides = [np.stack([own[key] for own in cells.values()]) for cells, key in ((one, name), (other, than))]
    found = mean_gain([(sides[0], sides[1])], points, seed=1)
    interval = found.interval
    return {
        "points": found.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "p": found.p,
        "detectable": found.detectable,
    }


def points(summed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracy or F1 in points, from summed counts."""
    return 100 * metric_from_columns(summed)


def contrasts(own: dict[str, Cells], languages: Sequence[str]) -> dict[str, Any]:
    """What `joint` gains over each baseline in the seeds that both have; p corrected within the table."""
    found: dict[str, Any] = {}
    for arm in ARMS:
        for rule in own:
            has = {
                name: {seed for seed, cell in own[name].items() if f"{arm}/{languages[0]}" in cell} for name in ("joint", rule)
            }
            if rule == "joint" or not (shared := sorted(has["joint"] & has[rule])):
                continue
            ours, theirs = ({seed: own[name][seed] for seed in shared} for name in ("joint", rule))
            rows = {name: difference(ours, f"{arm}/{name}", theirs, f"{arm}/{name}") for name in languages}
            found[f"{rule}, {arm}"] = {"seeds": shared, "gain": rows}
    correct([each for facts in found.values() for each in facts["gain"].values()])
    return found


def correct(every: Sequence[dict[str, Any]]) -> None:
    """Add the p corrected for being one of these, in place."""
    tested = [own for own in every if own["p"] is not None]
    for own, p in zip(tested, holm([each["p"] for each in tested]), strict=True):
        own["p_holm"] = p
