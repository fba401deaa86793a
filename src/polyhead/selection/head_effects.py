"""Effect of single heads on the main metric: its change when only that head is ablated, with an interval."""

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
from polyhead.models.devices import PrecisionChoice
from polyhead.models.model_heads import full_mask
from polyhead.selection.resampling import percentile_interval, redrawn

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class HeadEffects:
    """Effects of single heads on one data set, in points (0..100).

    Attributes:
        metric: Name of the main metric.
        unpruned: Its value with all heads.
        difference: `[layers, heads]`: its value without that head minus `unpruned`; negative: the head helps. NaN for heads that
            are pruned or were not measured.
        low: Lower bounds of 95 % intervals: this model, other sentences.
        high: Upper bounds.
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
    progress: Progress | None = None,
) -> dict[str, HeadEffects]:
    """Effect of ablating each of some heads alone, by the name of the data set; all data sets are batched together.

    Costs one forward pass, plus (L − layer)/L passes for each head: only the layers from the head's own upwards are computed
    again. The intervals need no further pass; they are for this model on other sentences, not for other fine-tunings.

    Args:
        model: A token classifier, pruned or not; unchanged afterwards.
        datasets: Sentences and gold labels by name.
        task: Its main metric is reported.
        labels: Names of the outputs.
        heads: Heads to measure; the model must have them.
        precision: Precision of matrix products; `auto` is bf16 where the device supports it.
        progress: Updated after every batch.

    Raises:
        SettingError: No word of a data set has a gold label.
    """
    full = full_mask(model)
    ordered = sorted(heads, key=lambda head: (-head.layer, head.head))  # neighbours then differ only in high layers
    masks = [full, *(HeadMask.without(*full.shape, [head]) for head in ordered)]
    found = masked_counts(model, datasets, task, labels, masks, precision=precision, progress=progress)
    return {name: _effects(task, full, ordered, np.stack([by_name[name] for by_name in found])) for name in datasets}


def _effects(task: Task, full: HeadMask, heads: Sequence[HeadId], counts: NDArray[np.int64]) -> HeadEffects:
    """From counts `[1 + heads, sentences, columns]`, those of the unpruned model first."""

    def points(sums: Matrix) -> Matrix:
        return 100 * metric_from_counts(task, sums)

    unpruned, *ablated = points(counts.sum(axis=1)).tolist()
    drawn = redrawn(counts, points, seed=0)
    difference, low, high = np.full((3, *full.keep.shape), np.nan)
    for number, head in enumerate(heads):
        place = (head.layer, head.head)
        difference[place] = ablated[number] - unpruned
        interval = percentile_interval(drawn[:, 1 + number] - drawn[:, 0])
        low[place], high[place] = interval.low, interval.high
    return HeadEffects(task.metric, unpruned, difference, low, high)
