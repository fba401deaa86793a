"""What one head is worth to the main figure: how far it moves when that head alone is off, with an interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.progress import Progress
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts
from polyhead.models.architectures import full_mask
from polyhead.models.devices import PrecisionChoice
from polyhead.selection.statistics import percentile_interval, redrawn

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class HeadEffects:
    """What single heads do to the main figure on one data set, in points (0..100).

    Attributes:
        metric: Name of the figure.
        unpruned: With all heads.
        difference: `[layers, heads]`, with that head off minus with all; negative: the head helps. NaN for heads that are gone
            or were not asked for.
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
    datasets: Mapping[str, Labelled],
    task: Task,
    labels: LabelSet,
    heads: Sequence[HeadId],
    *,
    precision: PrecisionChoice = "auto",
    seed: int = 0,
    draws: int = 1000,
    progress: Progress | None = None,
) -> dict[str, HeadEffects]:
    """The effect of each of some heads alone, by the name of the data; all data sets go through the model together.

    Costs one forward pass, and (L − layer)/L passes for a head of that layer: from the top layer down, only the layers from the
    head's own on are computed again. The intervals cost no pass; they hold for the sentences drawn, not for other fine-tunings.
    The model is left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        datasets: Sentences with gold labels under a name.
        task: Its main figure is what is moved.
        labels: What the outputs mean.
        heads: That the model has.
        precision: Of the matrix products; `auto` is bf16 where the device has units for it.
        seed: Of the bootstrap.
        draws: Replicates of it.
        progress: Updated after every batch.

    Raises:
        SettingError: No word of a data set has a gold label.
    """
    full = full_mask(model)
    ordered = sorted(heads, key=lambda head: (-head.layer, head.head))  # neighbours then differ in high layers alone
    masks = [full, *(HeadMask.without(full.n_layers, full.n_heads, [head]) for head in ordered)]
    found = masked_counts(model, datasets, task, labels, masks, precision=precision, progress=progress)

    def figure(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * metric_from_counts(task, sums)

    effects = {}
    for name in datasets:
        counts = [by_name[name] for by_name in found]
        unpruned = float(figure(counts[0].sum(axis=0)))
        difference, low, high = (np.full(full.keep.shape, np.nan) for _ in range(3))
        for head, own in zip(ordered, counts[1:], strict=True):
            place = (head.layer, head.head)
            difference[place] = float(figure(own.sum(axis=0))) - unpruned
            drawn = redrawn([own, counts[0]], figure, seed=seed, draws=draws)
            interval = percentile_interval(drawn[:, 0] - drawn[:, 1])
            low[place], high[place] = interval.low, interval.high
        effects[name] = HeadEffects(task.metric, unpruned, difference, low, high)
    return effects
