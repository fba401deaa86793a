"""Cross-entropy of words, or of sentences with one label: the mean over a batch, and by sentence."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.learning.batching import Batch
from polyhead.learning.encoded import IGNORED_LABEL
from polyhead.models.devices import Precision, attention_kernel


def word_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Mean cross-entropy over the batch's labelled words, float32; zero without any."""
    logits = model(**batch.inputs).logits.float()  # [rows, length, labels], or [rows, labels] where each row has one label
    labels = batch.labels if logits.dim() == 3 else batch.anchor_labels
    total = cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED_LABEL, reduction="sum")
    return total / (labels != IGNORED_LABEL).sum().clamp(min=1)


def sentence_losses(model: PreTrainedModel, batch: Batch, precision: Precision) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over each sentence's labelled words, and which sentences have any; both `[sentences]`.

    A sentence without a labelled word has loss 0. `precision` is that of the surrounding `scoring_mode`.
    """
    with attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="score"):
        logits = model(**batch.short_inputs).logits
    return losses_of(logits, batch)


def losses_of(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Results of `sentence_losses` from given logits `[rows, length, labels]`, or `[rows, labels]` of a sentence classifier."""
    chosen = batch.at_anchors(logits)
    wide = chosen.to(torch.promote_types(chosen.dtype, torch.float32))
    losses = cross_entropy(wide, batch.anchor_labels, ignore_index=IGNORED_LABEL, reduction="none")
    owner = batch.rows[batch.anchor_rows]
    labelled = batch.anchor_labels != IGNORED_LABEL
    n = len(batch.sentences)
    counts = torch.zeros(n, device=losses.device, dtype=losses.dtype).index_add(0, owner, labelled.to(losses.dtype))
    sums = torch.zeros(n, device=losses.device, dtype=losses.dtype).index_add(0, owner, losses)
    return sums / counts.clamp(min=1), counts > 0
