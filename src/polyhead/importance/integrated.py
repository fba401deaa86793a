"""Integrated gradients on head gates: what the loss owes to each head on the way from no head at all to the whole model."""

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress
from polyhead.importance.gate_pass import visit_gradients
from polyhead.learning.batching import Batch
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision, pick_precision

STEPS = 16


def integrated(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    steps: int = STEPS,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: each head's share of mean L(0) − L(1), the loss that all heads together take away.

    All gates go from 0 to 1 together, and the head's share is −(1/N) Σ_x of the mean over j = 1..m of ∂L_x/∂gate at all gates
    (j − ½)/m. This is the midpoint rule for an integral whose shares add up to mean L(0) − L(1) exactly; those of m points do so
    nearly, the better the more points. Positive: the head lowers the loss. Negative: it raises it, so such heads rank below those
    that do nothing, which score 0. `signed`, which would be minus the values, is None; `total` is the sum over sentences (the
    values times `n`), signed too. N counts sentences with a labelled word; special tokens count, padding does not; the windows of
    one long sentence are one sentence.

    On most of the way every head is on in part, a state in which the model was never trained: read a share as what the head adds
    beside the others at all strengths, not as what is lost when it alone goes.

    Costs m forward passes and m backward passes over activations alone. The model is left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; neither their order nor their size matters.
        steps: m, points on the way.
        precision: Of the matrix products; gates stay float32. `auto`: bf16 where the device has units for it.
        progress: Told of every batch at every point.

    Raises:
        SettingError: `steps` is below 1, or no sentence has a labelled word.

    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", on gates; near to Hao et al. 2021.
    """
    if steps < 1:
        raise SettingError(f"steps {steps}: expected a whole number from 1, for example {STEPS}")
    chosen = pick_precision(precision, next(model.parameters()).device)
    total = np.where(head_mask(model).keep, 0.0, np.nan)

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        nonlocal total
        wide = gradients.cpu().double()  # in this order: MPS has no float64
        total -= wide.sum(dim=0).numpy() / steps

    started = time.perf_counter()
    points = [(step + 0.5) / steps for step in range(steps)]
    n = visit_gradients(model, batches, visit, at=points, precision=chosen, progress=progress)
    return HeadScores(
        values=total / n,
        method="integrated",
        total=total,
        n=n,
        seconds=time.perf_counter() - started,
        forward_passes=steps,
        backward_passes=steps,
        settings={"steps": steps, "precision": chosen},
    )
