"""Methods from the gradients of head gates: their size (`gradient`), squared (`fisher`), and along a path (`integrated`)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
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
    of one long sentence are one sentence. N counts sentences with a labelled word; others are passed over. `signed` is
    −(1/N) Σ_x g_x: positive where turning the head down raises the loss.

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
        signed.sub_(gradients.sum(dim=tuple(range(gradients.ndim - 2))).cpu().double())

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


STEPS = 16


@dataclass(frozen=True, kw_only=True)
class IntegratedOptions:
    """What `integrated` can be told; see there."""

    steps: Annotated[int, Field(ge=1, description="points on the way from all heads off to all on")] = STEPS


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
    that do nothing, which score 0. `signed`, which would be the values, is None; `total` is the sum over sentences (the
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
