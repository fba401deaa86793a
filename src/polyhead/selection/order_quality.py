"""Areas of the orders that `polyhead curve` compares, and their differences, with intervals."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import nan
from typing import Any

import numpy as np

from polyhead.data.tasks import Task
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.curves import Array, Curve, area
from polyhead.selection.judged_orders import Order
from polyhead.selection.resampling import percentile_interval, redrawn
from polyhead.selection.statistics import mean_over_seeds


def areas(orders: Sequence[Order], curves: Mapping[str, Curve], task: Task, *, seed: int) -> list[dict[str, Any]]:
    """One row per group of orders: its area, and its difference to random, highest-first and the oracle.

    Intervals cover this model on other sentences. With several random orders on a side they also cover other random orders, by
    `mean_over_seeds`; with two there is no interval. Every difference is paired: both sides are scored on the same resampled
    sentences.

    Args:
        orders: The orders.
        curves: Curves by order key.
        task: Its main metric is the score.
        seed: Random seed of the resamples.
    """
    groups: dict[str, list[Order]] = {}
    for order in orders:
        groups.setdefault(order.group, []).append(order)
    metric = partial(metric_from_counts, task)
    drawn = {key: redrawn(curve.counts, metric, seed=seed) for key, curve in curves.items()}
    values = {group: np.array([area(curves[order.key].scores) for order in own]) for group, own in groups.items()}
    resampled = {group: np.stack([area(drawn[order.key]) for order in own], axis=1) for group, own in groups.items()}
    n_sentences = next(iter(curves.values())).counts.shape[1]

    def difference(one: str | None, other: str | None) -> dict[str, Any] | None:
        if one is None or other is None or one == other:
            return None
        gaps = values[one] - values[other]
        bounds = _bounds(gaps, resampled[one] - resampled[other], n_sentences)
        return {"difference": float(gaps.mean()), "interval": bounds}

    rows = []
    for group, members in groups.items():
        name, direction = members[0].name, members[0].direction
        ranked = direction in ("lowest", "highest")
        rows.append(
            {
                "group": group,
                "name": name,
                "direction": direction,
                "orders": len(members),
                "area": float(values[group].mean()),
                "interval": _bounds(values[group], resampled[group], n_sentences),
                "change": None if len(members) > 1 else _changes(drawn[members[0].key]),
                "minus_random": difference(group, _find(orders, "random")) if ranked else None,
                "minus_highest": difference(group, _find(orders, "highest", name)) if direction == "lowest" else None,
                "regret": difference(_find(orders, "oracle"), group),
            }
        )
    return rows


def _bounds(values: Array, resampled: Array, n_sentences: int) -> list[float]:
    """The interval of the mean of values `[orders]`, from resamples `[draws, orders]`; NaN with two orders."""
    one = len(values) == 1
    found = percentile_interval(resampled) if one else mean_over_seeds(values, resampled, n_sentences=n_sentences).interval
    return [nan, nan] if found is None else [found.low, found.high]


def _changes(scores: Array) -> dict[str, list[float]]:
    """Interval of the change from k = 0, in points, by k, from scores over resampled sentences."""
    ends = [percentile_interval(at_k) for at_k in 100 * (scores - scores[:, :1]).T]
    return {"low": [end.low for end in ends], "high": [end.high for end in ends]}


def _find(orders: Sequence[Order], direction: str, name: str | None = None) -> str | None:
    return next((order.group for order in orders if order.direction == direction and name in (None, order.name)), None)
