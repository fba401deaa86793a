"""Evaluation under many masks of one model; layers shared by neighbouring masks are computed once."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, tracking
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoded import IGNORED_LABEL, join
from polyhead.learning.inference import Labelled, by_dataset, named, word_places
from polyhead.learning.metrics import metric_from_counts, sentence_counts
from polyhead.learning.scoring_mode import restored
from polyhead.learning.shared_prefix import masked_logits
from polyhead.models.devices import PrecisionChoice, attention_kernel, autocast, check_dtype, placement


def masked_counts(
    model: PreTrainedModel,
    datasets: Mapping[str, Labelled],
    task: Task,
    labels: LabelSet,
    masks: Sequence[HeadMask],
    *,
    precision: PrecisionChoice = "auto",
    budget: int = 1024,
    progress: Progress | None = None,
) -> list[dict[str, NDArray[np.int64]]]:
    """Counts `[sentences, columns]` by data set, one dict per mask, as from `metrics.sentence_counts`.

    `metric_from_counts` of their sum is the metric; a bootstrap over their rows gives its interval. All data sets are batched
    together on the model's device. For the cost see `masked_labels`.

    Args:
        model: A token classifier with as many outputs as `labels`; not changed.
        datasets: Sentences and gold labels by name.
        task: What is counted.
        labels: Labels of the outputs.
        masks: Ordered so that neighbours differ little.
        precision: As in `pick_precision`.
        budget: Padded positions per batch.
        progress: Updated after every batch.

    Raises:
        SettingError: No word of a data set has a gold label.
    """
    together = join([data.encoded for data in datasets.values()])
    batches, words = scoring_batches(together, budget=budget), together.words_per_sentence
    with tracking(progress, len(batches), "masks") as advance:
        found, _ = masked_labels(model, batches, masks, words, precision=precision, advance=lambda _: advance(1))
    predicted = [by_dataset(named(ids, labels, words), datasets) for ids in found]
    return [
        {name: sentence_counts(task, datasets[name].gold, own, labels=labels) for name, own in each.items()} for each in predicted
    ]


def masked_scores(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    data: Labelled,
    task: Task,
    labels: LabelSet,
    masks: Sequence[HeadMask],
    *,
    precision: PrecisionChoice = "auto",
    advance: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The task's main metric, in 0..1, and the loss under every mask, both `[masks]`; the metric is that of `masked_counts`.

    The loss is the mean cross-entropy over words whose gold label the model can predict, 0 without such words. A gold label that
    the model cannot predict counts as an error in the metric; a word without a gold label is not scored.

    For searches over thousands of masks: layers shared by neighbouring masks are computed once, and a batch's results leave the
    device together.

    Args:
        model: A token classifier; not changed.
        batches: All sentences of `data`, from `scoring_batches`.
        data: Source of the gold labels.
        task: Defines the main metric.
        labels: Labels of the outputs.
        masks: Ordered so that neighbours differ little.
        precision: As in `pick_precision`.
        advance: Called after every batch with the number of masks.

    Raises:
        SettingError: No word has a gold label.
    """
    words = data.encoded.words_per_sentence
    predicted, losses = masked_labels(model, batches, masks, words, precision=precision, advance=advance)
    n_labelled = sum(int((batch.anchor_labels != IGNORED_LABEL).sum()) for batch in batches)
    sums = [sentence_counts(task, data.gold, named(ids, labels, words), labels=labels).sum(axis=0) for ids in predicted]
    return metric_from_counts(task, np.stack(sums)), losses / max(n_labelled, 1)


def masked_labels(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    masks: Sequence[HeadMask],
    words_per_sentence: Sequence[int],
    *,
    precision: PrecisionChoice = "auto",
    advance: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Label ids predicted under every mask, `[masks, words]` in sentence order, and summed losses, `[masks]`.

    Equal to a separate pass under `gated` for each mask. Costs one forward pass for the first mask; each further mask costs the
    layers from its first difference to the previous mask upwards. Nested masks of a ranking share most of their lower layers.
    """
    predicted = np.zeros((len(masks), sum(words_per_sentence)), dtype=np.int64)
    losses = np.zeros(len(masks))
    if not masks:
        return predicted, losses
    device, chosen = placement(model, precision=precision)
    check_dtype(model, device, chosen)
    with restored(model), torch.inference_mode(), autocast(device, chosen):
        model.eval()
        for batch in batches:
            here = batch.to(device)
            with attention_kernel(device, here.input_ids.shape[1], chosen, work="predict"):
                rows = [_of_words(logits, here) for logits in masked_logits(model, here, masks)]
            predicted[:, word_places(batch, words_per_sentence)] = torch.stack([ids for ids, _ in rows]).cpu().numpy()
            losses += torch.stack([loss for _, loss in rows]).cpu().double().numpy()
            if advance is not None:
                advance(len(masks))
    return predicted, losses


def _of_words(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Predicted label id of every word of the batch, and the summed loss of its labelled words."""
    words = batch.at_anchors(logits)
    wide = words.to(torch.promote_types(words.dtype, torch.float32))
    return words.argmax(dim=-1), cross_entropy(wide, batch.anchor_labels, ignore_index=IGNORED_LABEL, reduction="sum")
