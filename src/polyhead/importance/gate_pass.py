"""Gradients of sentence losses with respect to head gates, which several methods build on."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress, Silent
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode, sentence_losses
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision, pick_precision
from polyhead.models.gates import gated

# the batch on the model's device, the gradients, and which of its sentences have a labelled word
Visit = Callable[[Batch, Tensor, Tensor], None]


def visit_gradients(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    visit: Visit,
    *,
    by_token: bool = False,
    at: Sequence[float] = (1.0,),
    precision: Precision,
    progress: Progress | None,
    what: str = "score heads",
) -> int:
    """Number of sentences with a labelled word (N), after calling `visit` with the gate gradients of every batch.

    The gradients are g_x = ∂L_x/∂gate with all gates at one value; L_x is the mean loss over sentence x's labelled words. Shape
    `[sentences, layers, heads]`, or by token `[rows, length, layers, heads]`, split over the positions of the head's output and 0
    on padding. Sentences without a labelled word and pruned heads have gradient 0. Gradients are float32 (float64 for a float64
    model), on the model's device, without a graph; the visitor may change them in place.

    Costs one forward pass and one backward pass over activations only, for each value in `at`. The model is unchanged afterwards,
    also after an exception in `visit` or `progress`.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`.
        visit: Called once per batch and value: for each batch, with all values in turn.
        by_token: Whether every position has its own gate.
        at: Gate values, each applied to all gates at once.
        precision: Precision of matrix products; gates and their gradients stay float32.
        progress: Updated after every batch and value.
        what: Label of the progress bar.

    Raises:
        SettingError: No sentence has a labelled word; raised before any pass.
    """
    n = sum(count_labelled(batch) for batch in batches)
    require_labelled(n)
    shape = head_mask(model).keep.shape
    dtype = torch.promote_types(model.dtype, torch.float32)
    device = next(model.parameters()).device
    watch = progress or Silent()
    watch.start(len(batches) * len(at), what)
    try:
        with scoring_mode(model, precision):
            for batch in batches:
                here = batch.to(device)
                rows = tuple(here.input_ids.shape) if by_token else (len(here.sentences),)
                for value in at:
                    gates = torch.full((*rows, *shape), value, device=device, dtype=dtype)
                    visit(here, *gate_gradients(model, here, gates, precision))
                    watch.advance(1)
    finally:
        watch.stop()
    return n


def sentence_gradients(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Signed gate gradients g_x of every sentence with a labelled word, float64 `[labelled sentences, layers, heads]`.

    Sentences are in the order of the encoded data, however they were batched; those without a labelled word are left out.
    Positive means that turning the head down lowers the sentence's loss. Pruned heads are NaN. The mean of the absolute values
    over sentences is the score of `gradient`, so means over sentences drawn with replacement are its bootstrap resamples without
    another pass.

    Costs one forward pass, one backward pass over activations only, and 8 bytes per sentence and head. The model is unchanged
    afterwards.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; each sentence in one batch.
        precision: Precision of matrix products; gates and gradients stay float32. `auto`: bf16 where the device supports it.
        progress: Updated after every batch.

    Raises:
        SettingError: No sentence has a labelled word.
    """
    found: dict[int, NDArray[np.float64]] = {}

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        every = gradients.cpu().double().numpy()  # in this order: MPS has no float64
        found.update((batch.sentences[row], every[row]) for row in labelled.nonzero()[:, 0].tolist())

    visit_gradients(
        model, batches, visit, precision=pick_precision(precision, next(model.parameters()).device), progress=progress
    )
    ordered = np.stack([found[sentence] for sentence in sorted(found)])
    return np.where(head_mask(model).keep, ordered, np.nan)


def gate_gradients(model: PreTrainedModel, batch: Batch, gates: Tensor, precision: Precision) -> tuple[Tensor, Tensor]:
    """Gradients of the sentence losses, shaped like the gates, and which of the batch's sentences have a labelled word.

    Call it inside `scoring_mode`; costs one forward and one backward pass over the batch.

    Args:
        model: As in `visit_gradients`.
        batch: On the model's device.
        gates: `[sentences, layers, heads]` or `[rows, length, layers, heads]`, float32 at least.
        precision: Precision of the caller's block.
    """
    gates = gates.detach().requires_grad_(True)
    with torch.enable_grad(), gated(model, gates, rows=batch.rows if gates.ndim == 3 else None):
        losses, labelled = sentence_losses(model, batch, precision)
        if not losses.requires_grad:  # no head is left
            return torch.zeros_like(gates), labelled
        (found,) = torch.autograd.grad(losses.sum(), gates)
    return found, labelled


def require_labelled(n: int) -> None:
    """Refuse to score heads on no labelled sentence."""
    if n == 0:
        raise SettingError("no sentence has a labelled word, so no head can be scored: check the label column of the data")


def count_labelled(batch: Batch) -> int:
    """Number of the batch's sentences that have a labelled word."""
    return int(batch.rows[batch.anchor_rows[batch.anchor_labels != -100]].unique().numel())
