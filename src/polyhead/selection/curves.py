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
from polyhead.models.architectures import head_mask
from polyhead.models.devices import PrecisionChoice
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.statistics import DRAWS, CorpusMetric, redrawn

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Score of a model as heads are ablated one by one.

    Attributes:
        order: Name of the pruning order.
        ks: Number of ablated heads at each point: 0..K.
        scores: The task's main metric at each point, a fraction in 0..1, `[K + 1]`.
        counts: Counts to resample sentences from, int `[K + 1, sentences, columns]`; None if not kept.
    """

    order: str
    ks: tuple[int, ...]
    scores: Array
    counts: NDArray[np.int64] | None = None


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
    name: str = "lowest first",
    max_pruned: int | None = None,
    precision: PrecisionChoice = "auto",
    budget: int = 1024,
    progress: Progress | None = None,
) -> Curve:
    """The curve of one order; see `pruning_curves`."""
    curves = pruning_curves(
        model,
        data,
        task,
        labels,
        {name: ranking},
        max_pruned=max_pruned,
        precision=precision,
        budget=budget,
        progress=progress,
    )
    return curves[name]


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
    shape, ks = (present.n_layers, present.n_heads), tuple(range(depth + 1))
    masks = {name: masks_for(order, ks, shape, gone=present.pruned) for name, order in orders.items()}
    curves: dict[str, Curve] = {}
    unpruned: list[NDArray[np.int64]] = []
    for name, own in masks.items():
        found = masked_counts(
            model,
            {name: data},
            task,
            labels,
            own[len(unpruned) :],
            precision=precision,
            budget=budget,
            progress=progress,
        )
        counts = np.stack([*unpruned, *(by_name[name] for by_name in found)])
        unpruned = [counts[0]]
        curves[name] = Curve(name, ks, metric_from_counts(task, counts.sum(axis=1)), counts)
    return curves


def area(scores: ArrayLike) -> Array:
    """Mean score over k = 0..K divided by the score at 0, from `[..., K + 1]` to `[...]`; NaN where the score at 0 is 0.

    1 means no loss on average; compare only areas with the same K.

    >>> float(area([0.5, 0.5, 0.25, 0.25]))
    0.75
    """
    array = np.asarray(scores, dtype=np.float64)
    first = array[..., 0]
    result: Array = np.divide(array.mean(axis=-1), first, out=np.full_like(first, math.nan), where=first > 0)
    return result


def regret(oracle: ArrayLike, scores: ArrayLike) -> float:
    """Area of the oracle's scores minus that of `scores`, both `[K + 1]` on the same sentences.

    The greedy oracle is not always the best order, so regret may be negative.

    Raises:
        SettingError: Different K or different scores at k = 0, so different models or data.
    """
    a, b = np.asarray(oracle, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or a[0] != b[0]:
        raise SettingError(
            f"scores of an oracle {a.shape} and of an order {b.shape}, {a.flat[0]:.6f} and {b.flat[0]:.6f} at k = 0: "
            "these must be equal; score both on the same sentences"
        )
    return float(area(a) - area(b))


def redrawn_scores(curve: Curve, metric: CorpusMetric, *, seed: int, draws: int = DRAWS) -> Array:
    """Scores over resampled sentences, `[draws, K + 1]`: this model on other sentences, not other fine-tunings.

    One resample serves all k. It depends only on `seed` and the number of sentences, so two curves on the same sentences may be
    subtracted draw by draw. Orders are not recomputed, so intervals leave out the gain from choosing an order on these sentences,
    which is largest for the oracle.

    Raises:
        SettingError: The curve keeps no counts.
    """
    if curve.counts is None:
        raise SettingError(
            f"curve {curve.order!r} keeps no counts, so its sentences cannot be resampled; compute it with pruning_curves"
        )
    return redrawn(curve.counts, metric, seed=seed, draws=draws)
