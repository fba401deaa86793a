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
    N, and `values` is `total` / N, comparable between data sets of different sizes. Compared with `gradient` it gives more weight
    to the few sentences for which a head matters much. Squares have no sign, so `signed` is None. N counts sentences with a
    labelled word; special tokens count, padding does not; the windows of one long sentence are one sentence.

    Costs one forward pass and one backward pass over activations only. The model is unchanged afterwards.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; neither their order nor their size matters.
        precision: Precision of matrix products; gates stay float32, squares and sums are float64. `auto`: bf16 where the device
            supports it.
        progress: Updated after every batch.

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
    """Importance `[layers, heads]`: the absolute gradient of the sentence loss with respect to the head's gate, all gates at 1.

    With g_x = ∂L_x/∂gate and L_x the mean loss over sentence x's labelled words: `sentence` gives (1/N) Σ_x |g_x|; `token`
    splits g_x over the positions of the head's output and gives (1/N) Σ_x Σ_t |g_xt|; `batch` gives (1/N) Σ_b |Σ_{x∈b} g_x|,
    which depends on the batching and exists for comparison. Special tokens count, padding does not; the windows of one long
    sentence are one sentence. N counts sentences with a labelled word; others are skipped. `signed` is −(1/N) Σ_x g_x: positive
    where turning the head down raises the loss.

    Costs one forward pass and one backward pass over activations only: no weight gradient is computed. The model is unchanged
    afterwards.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; their composition matters only with `per="batch"`.
        per: Unit over which gradients are summed before the absolute value is taken.
        precision: Precision of matrix products; gates and sums stay float32. `auto`: bf16 where the device supports it.
        progress: Updated after every batch.

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
    """Sum of absolute values `[layers, heads]` from gradients `[..., layers, heads]`."""
    before = tuple(range(gradients.ndim - 2))
    return gradients.sum(dim=before).abs() if per == "batch" else gradients.abs().sum(dim=before)


STEPS = 16


@dataclass(frozen=True, kw_only=True)
class IntegratedOptions:
    """Options of `integrated`."""

    steps: Annotated[int, Field(ge=1, description="integration points between all heads off and all on")] = STEPS


def integrated(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    steps: int = STEPS,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: each head's share of mean L(0) − L(1), the loss reduction by all heads together.

    All gates go from 0 to 1 together. The head's share is −(1/N) Σ_x of the mean over j = 1..m of ∂L_x/∂gate at all gates
    (j − ½)/m: the midpoint rule for an integral whose shares add up to mean L(0) − L(1). With m points they do so approximately,
    better with more points. Values are signed: a negative score means that the head raises the loss. `signed` is None, since it
    would repeat the values; `total` is the sum over sentences, signed too. N counts sentences with a labelled word; special
    tokens count, padding does not; the windows of one long sentence are one sentence.

    On most of the path every head is partly on, a state in which the model was never trained. A share is what the head
    contributes next to the others at all strengths, not the loss of removing only that head.

    Costs m forward passes and m backward passes over activations only. The model is unchanged afterwards.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; neither their order nor their size matters.
        steps: m, the number of integration points.
        precision: Precision of matrix products; gates stay float32. `auto`: bf16 where the device supports it.
        progress: Updated after every batch at every point.

    Raises:
        SettingError: `steps` is below 1, or no sentence has a labelled word.

    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", on gates; close to Hao et al. 2021.
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
