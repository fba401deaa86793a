"""Gradients of key and value weights (Ma et al. 2021): on head rows (corrected) and on the released code's input columns."""

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.gate_pass import require_labelled
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode, sentence_losses
from polyhead.models.architectures import AttentionSite, attention_sites, head_mask
from polyhead.models.devices import Precision, pick_precision


def weight_gradient(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: mean of |∂L/∂W| over batches and over the entries of the head's rows of W_K and W_V.

    L is the mean loss over the batch's labelled words, so scores depend on the batching. `n` counts batches with a labelled word;
    `total` is the sum over them, as in the paper. Costs one forward pass and one backward pass with the weight gradients of two
    matrices per layer. The model is unchanged afterwards.

    Raises:
        SettingError: No labelled word.

    Source: Ma et al. 2021, with the axis of its released code corrected.
    """
    return _scores(model, batches, "weight-gradient", precision, progress)


def weight_gradient_released(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """As `weight_gradient`, on slices of the *input* axis of W_K and W_V: the error in the released code of Ma et al. 2021.

    Its "heads" are slices of the layer's input, so a dead head does not score 0. Kept for comparison only.

    Raises:
        SettingError: No labelled word.
    """
    return _scores(model, batches, "weight-gradient-released", precision, progress)


def _scores(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    method: str,
    precision: Precision | Literal["auto"],
    progress: Progress | None,
) -> HeadScores:
    present = head_mask(model)
    sites = attention_sites(model)
    watch = progress or Silent()
    device = next(model.parameters()).device
    chosen = pick_precision(precision, device)
    weights = tuple(module.weight for site in sites if site.kept for module in dict.fromkeys((site.key, site.value)))
    sums = {weight: torch.zeros_like(weight, dtype=torch.float32) for weight in weights}
    n = 0
    started = time.perf_counter()
    watch.start(len(batches), "score heads")
    try:
        with scoring_mode(model, chosen, trained=weights), torch.enable_grad():
            for batch in batches:
                here = batch.to(device)
                words = int((here.anchor_labels != -100).sum())
                if words and weights:
                    gradients = torch.autograd.grad(_loss(model, here, words, chosen), weights)
                    for weight, found in zip(weights, gradients, strict=True):
                        sums[weight] += found.abs()
                n += bool(words)
                watch.advance(1)
    finally:
        watch.stop()
    require_labelled(n)
    total = np.where(present.keep, 0.0, np.nan)
    for site in sites:
        if site.kept:
            by_head = _by_column(site, sums, present.n_heads) if method.endswith("released") else _by_row(site, sums)
            total[site.layer, list(site.kept)] = by_head.cpu().double().numpy()  # in this order: MPS has no float64
    return HeadScores(
        values=total / n,
        method=method,
        total=total,
        n=n,
        seconds=time.perf_counter() - started,
        forward_passes=1,
        backward_passes=1,
        settings={"precision": chosen},
    )


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
