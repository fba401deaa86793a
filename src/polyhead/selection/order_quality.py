"""Areas of the orders that `polyhead curve` judges, with intervals, and how they differ from one another."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from polyhead.core.progress import Progress
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.inference import Labelled
from polyhead.learning.metrics import metric_from_counts
from polyhead.models.devices import Precision
from polyhead.selection.curves import Array, Curve, area, bootstrap_areas, bootstrap_changes, pruning_curves
from polyhead.selection.judged_orders import Order, oracle
from polyhead.selection.oracle import greedy_order
from polyhead.selection.statistics import percentile_interval

DRAWS = 1000
LEVEL = 0.95


def areas(orders: Sequence[Order], curves: Mapping[str, Curve], task: Task, *, seed: int) -> list[dict[str, Any]]:
    """One row a group of orders: its area, and what it is better or worse by than random, highest-first and the oracle.

    Every difference is paired: its draws are those of the two areas, which are made on the same resampled sentences.

    Args:
        orders: What was judged.
        curves: By the orders' keys.
        task: Its main figure is the score.
        seed: Of the bootstrap.
    """
    groups: dict[str, list[Order]] = {}
    for order in orders:
        groups.setdefault(order.group, []).append(order)
    values: dict[str, float] = {}
    draws: dict[str, Array] = {}
    for group, members in groups.items():
        own = [curves[order.key] for order in members]
        values[group] = float(np.mean([area(curve.scores) for curve in own]))
        draws[group] = bootstrap_areas(own, partial(metric_from_counts, task), seed=seed, draws=DRAWS)

    def difference(one: str | None, other: str | None) -> dict[str, Any] | None:
        if one is None or other is None or one == other:
            return None
        return {"difference": values[one] - values[other], "interval": _interval(draws[one] - draws[other])}

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
                "area": values[group],
                "interval": _interval(draws[group]),
                "change": _changes([curves[order.key] for order in members], task, seed=seed),
                "minus_random": difference(group, _find(orders, "random")) if ranked else None,
                "minus_highest": difference(group, _find(orders, "highest", name)) if direction == "lowest" else None,
                "regret": difference(_find(orders, "oracle"), group),
            }
        )
    return rows


def _changes(curves: Sequence[Curve], task: Task, *, seed: int) -> dict[str, list[float]]:
    """Both ends of the interval of the change from k = 0, in points, by k."""
    drawn = 100 * bootstrap_changes(curves, partial(metric_from_counts, task), seed=seed, draws=DRAWS)
    ends = [_interval(at_k) for at_k in drawn.T]
    return {"low": [low for low, _ in ends], "high": [high for _, high in ends]}


def _find(orders: Sequence[Order], direction: str, name: str | None = None) -> str | None:
    """The group of that direction (and name) if there is one."""
    return next((order.group for order in orders if order.direction == direction and name in (None, order.name)), None)


def _interval(draws: Array) -> list[float]:
    found = percentile_interval(draws, level=LEVEL)
    return [found.low, found.high]


def judged_orders(
    model: PreTrainedModel,
    labelled: Labelled,
    task: Task,
    labels: LabelSet,
    judged: list[Order],
    *,
    precision: Precision,
    depth: int,
    with_oracle: bool,
    oracle_file: Path | None,
    progress: Progress,
) -> tuple[list[Order], dict[str, Curve]]:
    """All orders, the oracle's among them if it is asked for, and a curve for each by its key."""
    if with_oracle:
        found = greedy_order(
            model,
            labelled,
            task,
            labels,
            n_steps=depth,
            precision=precision,
            progress=progress,
            resume_file=oracle_file,
        )
        judged = [*judged, oracle(found.order)]
    curves = pruning_curves(
        model,
        labelled,
        task,
        labels,
        {order.key: order.heads for order in judged},
        max_pruned=depth,
        precision=precision,
        progress=progress,
    )
    return judged, curves
