"""Pruning curves: score against the number of ablated heads, and the area below; nothing is retrained."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.progress import Progress
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts
from polyhead.models.devices import PrecisionChoice
from polyhead.models.model_heads import head_mask
from polyhead.selection.ranking import masks_for, rank

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Score of a model as heads are ablated one by one.

    Attributes:
        scores: The task's main metric with the first k heads ablated, a fraction in 0..1, `[K + 1]`.
        counts: Counts to resample sentences from, int `[K + 1, sentences, columns]`.
    """

    scores: Array
    counts: NDArray[np.int64]


def default_depth(present: HeadMask) -> int:
    """The default K: half of the heads that the model has, rounded down."""
    return present.n_kept // 2


def random_order(present: HeadMask, *, seed: int) -> tuple[HeadId, ...]:
    """All heads of the model in random order: the ranking of the method `random` with this seed."""
    return rank(np.where(present.keep, np.random.default_rng(seed).random(present.keep.shape), np.nan))


def pruning_curve(
    model: PreTrainedModel,
    data: Labelled,
    task: Task,
    labels: LabelSet,
    ranking: Sequence[HeadId],
    *,
    max_pruned: int | None = None,
    precision: PrecisionChoice = "auto",
    budget: int = 1024,
    progress: Progress | None = None,
) -> Curve:
    """The curve of one order; see `pruning_curves`."""
    every = {"": ranking}
    return pruning_curves(
        model, data, task, labels, every, max_pruned=max_pruned, precision=precision, budget=budget, progress=progress
    )[""]


def pruning_curves(
    model: PreTrainedModel,
    data: Labelled,
    task: Task,
    labels: LabelSet,
    orders: Mapping[str, Sequence[HeadId]],
    *,
    max_pruned: int | None = None,
    precision: PrecisionChoice = "auto",
    budget: int = 1024,
    progress: Progress | None = None,
) -> dict[str, Curve]:
    """A curve for every order, by name: the score with its first k heads ablated, for k = 0..K, without retraining.

    k = 0 is computed once for all orders. A point computes only the layers from the last ablated head's layer up, so a curve
    costs about K (L + 1) / (2L) forward passes over the data.

    Args:
        model: A token classifier with as many outputs as `labels`, pruned or not; unchanged afterwards.
        data: Sentences and gold labels; they slightly favour an order that was made on them.
        task: Its main metric is the score.
        labels: Names of the outputs.
        orders: Heads in pruning order, at least K of those that the model has. Reverse a ranking for highest-first;
            `random_order` is the control.
        max_pruned: K; half of the model's heads if None.
        precision: Precision of matrix products; `auto` is bf16 where the device supports it.
        budget: Padded positions in a batch.
        progress: Updated after every batch of every curve.

    Raises:
        SettingError: No order is given, K is out of range, an order has fewer than K heads, a duplicate, or a head outside the
            model; or no word has a gold label.
    """
    present = head_mask(model)
    depth = default_depth(present) if max_pruned is None else max_pruned
    if not orders or not 1 <= depth <= present.n_kept:
        raise SettingError(f"{len(orders)} orders and K = {depth}: expected at least one order and K from 1 to {present.n_kept}")
    curves: dict[str, Curve] = {}
    unpruned: list[NDArray[np.int64]] = []
    every = {name: masks_for(order, range(depth + 1), present.shape, gone=present.pruned) for name, order in orders.items()}
    for name, masks in every.items():
        left = masks[len(unpruned) :]
        found = masked_counts(model, {name: data}, task, labels, left, precision=precision, budget=budget, progress=progress)
        counts = np.stack([*unpruned, *(by_name[name] for by_name in found)])
        unpruned = [counts[0]]
        curves[name] = Curve(metric_from_counts(task, counts.sum(axis=1)), counts)
    return curves


def crossed_curves(
    model: PreTrainedModel,
    data: Labelled,
    task: Task,
    labels: LabelSet,
    orders: Mapping[str, tuple[Sequence[HeadId], Sequence[HeadId]]],
    halves: tuple[Sequence[int], Sequence[int]],
    *,
    max_pruned: int | None = None,
    precision: PrecisionChoice = "auto",
    budget: int = 1024,
    progress: Progress | None = None,
) -> dict[str, Curve]:
    """A curve over all sentences for every pair of orders, each sentence judged by the order that was made without it.

    Args:
        model: As in `pruning_curves`.
        data: As in `pruning_curves`.
        task: As in `pruning_curves`.
        labels: As in `pruning_curves`.
        orders: By name, the order made on the first half and the one made on the second.
        halves: Places of the sentences of each half; together all.
        max_pruned: As in `pruning_curves`.
        precision: As in `pruning_curves`.
        budget: As in `pruning_curves`.
        progress: As in `pruning_curves`.

    Raises:
        SettingError: As in `pruning_curves`; also if a half has no gold label.
    """

    def judged_on(places: Sequence[int], made_on: int) -> dict[str, Curve]:
        own = {name: pair[made_on] for name, pair in orders.items()}
        part = data.part(places)
        return pruning_curves(
            model, part, task, labels, own, max_pruned=max_pruned, precision=precision, budget=budget, progress=progress
        )

    first, second = judged_on(halves[1], 0), judged_on(halves[0], 1)
    back = np.argsort(np.concatenate(tuple(reversed(halves))))
    together = {name: np.concatenate((first[name].counts, second[name].counts), axis=1)[:, back] for name in orders}
    return {name: Curve(metric_from_counts(task, counts.sum(axis=1)), counts) for name, counts in together.items()}


def area(scores: ArrayLike) -> Array:
    """Mean score over k = 0..K divided by the score at 0, from `[..., K + 1]` to `[...]`; NaN where the score at 0 is 0.

    1 means no loss on average; compare only areas with the same K.

    >>> float(area([0.5, 0.5, 0.25, 0.25]))
    0.75
    """
    array = np.asarray(scores, dtype=np.float64)
    first = array[..., 0]
    return np.asarray(np.divide(array.mean(axis=-1), first, out=np.full_like(first, math.nan), where=first > 0))
