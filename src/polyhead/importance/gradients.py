"""Empirical Fisher information of head gates: squared gradients, sentence by sentence (Kwon et al. 2022)."""

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress
from polyhead.importance.gate_pass import visit_gradients
from polyhead.learning.batching import Batch
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision, pick_precision


def fisher(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: the mean over sentences of the squared gradient of the loss with respect to the head's gate.

    With g_x = ∂L_x/∂gate at all gates one, `total` is Σ_x g_x², the diagonal of the empirical Fisher information up to a factor
    N, and `values` is `total` / N: the order is the same, and the numbers can be compared between data of different sizes.
    Beside `gradient` it gives more weight to the few sentences that a head matters much for. Squares have no sign, so
    `signed` is None. N counts sentences with a labelled word; special tokens count, padding does not; the windows of one long
    sentence are one sentence.

    Costs one forward pass and one backward pass over activations alone. The model is left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; neither their order nor their size matters.
        precision: Of the matrix products; gates stay float32, squares and sums are float64. `auto`: bf16 where the device has
            units for it.
        progress: Told of every batch.

    Raises:
        SettingError: No sentence has a labelled word.

    Source: Kwon et al. 2022, "A fast post-training pruning framework for transformers".
    """
    chosen = pick_precision(precision, next(model.parameters()).device)
    total = np.where(head_mask(model).keep, 0.0, np.nan)

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        nonlocal total
        wide = gradients.cpu().double()  # in this order: MPS has no float64
        total += wide.square().sum(dim=0).numpy()

    started = time.perf_counter()
    n = visit_gradients(model, batches, visit, precision=chosen, progress=progress)
    return HeadScores(
        values=total / n,
        method="fisher",
        total=total,
        n=n,
        seconds=time.perf_counter() - started,
        forward_passes=1,
        backward_passes=1,
        settings={"precision": chosen},
    )
