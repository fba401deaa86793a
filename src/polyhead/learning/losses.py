"""Cross-entropy of words: the mean over a batch, and by sentence."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.learning.batching import Batch
from polyhead.learning.encoding import IGNORED_LABEL
from polyhead.models.devices import Precision, attention_kernel


def word_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Mean cross-entropy over the batch's labelled words, float32; zero without any."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()  # [rows, length, labels]
    total = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED_LABEL, reduction="sum")
    return total / (batch.labels != IGNORED_LABEL).sum().clamp(min=1)


def sentence_losses(model: PreTrainedModel, batch: Batch, precision: Precision) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over each sentence's labelled words, and which sentences have any; both `[sentences]`.

    A sentence without a labelled word has loss 0. `precision` is that of the surrounding `scoring_mode`.
    """
    mask = batch.attention_mask if batch.has_padding else None
    with attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="score"):
        logits = model(input_ids=batch.input_ids, attention_mask=mask).logits
    return losses_of(logits, batch)


def losses_of(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Results of `sentence_losses` from given logits `[rows, length, labels]`."""
    chosen = logits[batch.anchor_rows, batch.anchor_columns]
    wide = chosen.to(torch.promote_types(chosen.dtype, torch.float32))
    losses = cross_entropy(wide, batch.anchor_labels, ignore_index=IGNORED_LABEL, reduction="none")
    owner = batch.rows[batch.anchor_rows]
    labelled = batch.anchor_labels != IGNORED_LABEL
    n = len(batch.sentences)
    counts = torch.zeros(n, device=losses.device, dtype=losses.dtype).index_add(0, owner, labelled.to(losses.dtype))
    sums = torch.zeros(n, device=losses.device, dtype=losses.dtype).index_add(0, owner, losses)
    return sums / counts.clamp(min=1), counts > 0
