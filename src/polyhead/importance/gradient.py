"""Gradient of the loss with respect to head gates (Michel et al. 2019), every sentence by itself in one backward pass."""

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress
from polyhead.importance.gate_pass import visit_gradients
from polyhead.learning.batching import Batch
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision, pick_precision

Per = Literal["sentence", "token", "batch"]


def gradient(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    per: Per = "sentence",
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: how much the loss of a sentence moves with each head's gate, at all gates one.

    With g_x = ∂L_x/∂gate and L_x the mean loss over sentence x's labelled words: `sentence` gives (1/N) Σ_x |g_x|; `token`
    splits g_x over the positions at which the head writes and gives (1/N) Σ_x Σ_t |g_xt|; `batch` gives (1/N) Σ_b |Σ_{x∈b} g_x|,
    which depends on how sentences were batched and is there for comparison. Special tokens count, padding does not; the windows
    of one long sentence are one sentence. N counts sentences with a labelled word; others are passed over.

    Costs one forward pass and one backward pass over activations alone: no gradient of any weight is computed. The model is
    left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; their order does not matter but under `per="batch"`.
        per: What the absolute value is taken of.
        precision: Of the matrix products; gates and sums stay float32. `auto`: bf16 where the device has units for it.
        progress: Told of every batch.

    Raises:
        SettingError: `per` is unknown, or no sentence has a labelled word.

    Source: Michel, Levy, Neubig 2019, "Are sixteen heads really better than one?"; Ma et al. 2021.
    """
    if per not in ("sentence", "token", "batch"):
        raise SettingError(f"per {per!r}: expected sentence, token or batch")
    present = head_mask(model)
    chosen = pick_precision(precision, next(model.parameters()).device)
    total = torch.zeros(present.keep.shape, dtype=torch.float64)
    signed = torch.zeros_like(total)

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        total.add_(_absolute(gradients, per).cpu().double())  # in this order: MPS has no float64
        signed.add_(gradients.sum(dim=tuple(range(gradients.ndim - 2))).cpu().double())

    started = time.perf_counter()
    n = visit_gradients(model, batches, visit, by_token=per == "token", precision=chosen, progress=progress)
    gone = np.where(present.keep, 0.0, np.nan)
    return HeadScores(
        values=total.numpy() / n + gone,
        method="gradient" if per == "sentence" else f"gradient-{per}",
        signed=signed.numpy() / n + gone,
        total=total.numpy() + gone,
        n=n,
        seconds=time.perf_counter() - started,
        forward_passes=1,
        backward_passes=1,
        settings={"per": per, "precision": chosen},
    )


def _absolute(gradients: Tensor, per: Per) -> Tensor:
    """Sum of absolute values `[layers, heads]` from gradients `[units…, layers, heads]`."""
    before = tuple(range(gradients.ndim - 2))
    return gradients.sum(dim=before).abs() if per == "batch" else gradients.abs().sum(dim=before)
