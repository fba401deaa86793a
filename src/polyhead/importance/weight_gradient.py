"""Gradients of key and value weights (Ma et al. 2021): on head rows (corrected) and on the released code's input columns."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import data_pass, labelled_sentences, mean_scores, wide, zeros
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.learning.losses import sentence_losses
from polyhead.models.devices import Precision
from polyhead.models.model_heads import attention_sites
from polyhead.models.sites import AttentionSite


def weight_gradient(model: PreTrainedModel, batches: Sequence[Batch], call: Call, *, released: bool = False) -> HeadScores:
    """Importance `[layers, heads]`, 0 or more: mean of |∂L/∂W| over batches and the entries of the head's rows of W_K and W_V.

    L is the mean loss over the batch's labelled words, so scores depend on the batching. `n` counts batches with a labelled word;
    `total` is the sum over them, as in the paper. Heads that share a key share its gradient: there a dead head need not score 0.

    `released` takes slices of the *input* axis of W_K and W_V instead of rows: the error in the released code of Ma et al. 2021.
    Its "heads" are slices of the layer's input, so a dead head does not score 0. Kept for comparison only.

    Costs one forward pass and one backward pass with the weight gradients of two matrices per layer.

    Raises:
        SettingError: No labelled word.

    Source: Ma et al. 2021, with the axis of its released code corrected.
    """
    labelled_sentences(batches)
    sites = attention_sites(model)
    weights = tuple(module.weight for site in sites if site.kept for module in dict.fromkeys((site.key, site.value)))
    sums = {weight: torch.zeros_like(weight, dtype=torch.float32) for weight in weights}
    n = 0
    with (
        data_pass(model, batches, call, trained=weights) as given,
        torch.enable_grad(),
    ):
        for batch in given:
            words = int((batch.anchor_labels != -100).sum())
            if words and weights:
                gradients = torch.autograd.grad(_loss(model, batch, words, call.precision), weights)
                for weight, found in zip(weights, gradients, strict=True):
                    sums[weight] += found.abs()
            n += bool(words)
    total = zeros(model)
    for site in sites:
        if site.kept:
            by_head = _by_column(site, sums, total.shape[1]) if released else _by_row(site, sums)
            total[site.layer, list(site.kept)] = wide(by_head)
    return mean_scores(call, total, n, backward=1)


def _loss(model: PreTrainedModel, batch: Batch, words: int, precision: Precision) -> Tensor:
    """Mean loss over the batch's labelled words."""
    losses, _ = sentence_losses(model, batch, precision)
    owner = batch.rows[batch.anchor_rows]
    counts = torch.zeros_like(losses).index_add(0, owner, (batch.anchor_labels != -100).to(losses.dtype))
    return (losses * counts).sum() / words


def _by_row(site: AttentionSite, sums: dict[Tensor, Tensor]) -> Tensor:
    key = sums[site.key.weight][site.head_rows("key")].mean(dim=(1, 2))
    return (key + sums[site.value.weight][site.head_rows("value")].mean(dim=(1, 2))) / 2


def _by_column(site: AttentionSite, sums: dict[Tensor, Tensor], n_heads: int) -> Tensor:
    """The released code's slices: the input axis in as many equal parts as the unpruned layer had heads."""
    both = torch.cat([sums[site.key.weight], sums[site.value.weight]])
    slices = both.view(both.shape[0], n_heads, -1).mean(dim=(0, 2))
    return slices[list(site.kept)]
