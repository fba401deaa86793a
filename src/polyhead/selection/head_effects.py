"""What one head is worth to the main figure: how far it moves when that head alone is off, with an interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts
from polyhead.models.architectures import full_mask, head_mask
from polyhead.models.devices import PrecisionChoice
from polyhead.selection.statistics import percentile_interval, redrawn

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class HeadEffects:
    """What single heads do to the main figure on one data set, in points (0..100).

    Attributes:
        metric: Name of the figure.
        unpruned: With all heads.
        difference: `[layers, heads]`, with that head off minus with all; negative: the head helps. NaN for heads that are gone.
        low: Lower ends of 95 % intervals: this model, other sentences.
        high: Upper ends.
    """

    metric: str
    unpruned: float
    difference: Matrix
    low: Matrix
    high: Matrix


def head_effects(
    model: PreTrainedModel,
    data: Labelled,
    task: Task,
    labels: LabelSet,
    *,
    precision: PrecisionChoice = "auto",
    seed: int = 0,
    draws: int = 1000,
    progress: Progress | None = None,
) -> HeadEffects:
    """The effect of every head alone, of the whole matrix at once.

    Costs 1 + H(L + 1)/2 forward passes for L layers of H heads: from the top layer down, only the layers from the head's own on
    are computed again. The intervals cost no pass; they hold for the sentences drawn, not for other fine-tunings. The model is
    left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        data: Sentences with gold labels.
        task: Its main figure is what is moved.
        labels: What the outputs mean.
        precision: Of the matrix products; `auto` is bf16 where the device has units for it.
        seed: Of the bootstrap.
        draws: Replicates of it.
        progress: Told of every batch.

    Raises:
        SettingError: No word has a gold label.
    """
    full = full_mask(model)
    heads = sorted(
        head_mask(model).kept, key=lambda head: (-head.layer, head.head)
    )  # neighbours then differ in high layers alone
    masks = [full, *(HeadMask.without(full.n_layers, full.n_heads, [head]) for head in heads)]
    found = masked_counts(model, {"": data}, task, labels, masks, precision=precision, progress=progress)
    counts = [by_name[""] for by_name in found]

    def figure(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * metric_from_counts(task, sums)

    unpruned = float(figure(counts[0].sum(axis=0)))
    difference, low, high = (np.full(full.keep.shape, np.nan) for _ in range(3))
    for head, own in zip(heads, counts[1:], strict=True):
        place = (head.layer, head.head)
        difference[place] = float(figure(own.sum(axis=0))) - unpruned
        drawn = redrawn([own, counts[0]], figure, seed=seed, draws=draws)
        interval = percentile_interval(drawn[:, 0] - drawn[:, 1])
        low[place], high[place] = interval.low, interval.high
    return HeadEffects(task.metric, unpruned, difference, low, high)
