"""Gradients of sentence losses with respect to gates of heads and neurons, which several methods build on."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.progress import Progress
from polyhead.importance.data_pass import data_pass, labelled_sentences, wide
from polyhead.importance.method import Call, Visit
from polyhead.learning.batching import Batch
from polyhead.learning.losses import sentence_losses
from polyhead.models.devices import Precision, PrecisionChoice, placement
from polyhead.models.gates import gated
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import full_neurons


def visit_gradients(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    call: Call,
    visit: Visit,
    *,
    by_token: bool = False,
    at: Sequence[float] = (1.0,),
) -> int:
    """Number of sentences with a labelled word (N), after calling `visit` with the gate gradients of every batch.

    The gradients are g_x = ∂L_x/∂gate with all gates at one value; L_x is the mean loss over sentence x's labelled words. Shape
    `[sentences, layers, heads]`, or by token `[rows, length, layers, heads]`, split over the positions of the head's output and 0
    on padding. Special tokens count, padding does not; the windows of one long sentence are one sentence. Sentences without a
    labelled word and pruned heads have gradient 0. Gradients are float32 (float64 for a float64 model), on the model's device,
    without a graph; the visitor may change them in place. `call.visit_neurons` is given those of neuron gates, from the same
    passes.

    Costs one forward pass and one backward pass over activations only, for each value in `at`. The model is unchanged afterwards,
    also after an exception in `visit` or `progress`.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`.
        call: Its precision, progress bar and `visit_neurons` are used; gates and their gradients stay float32.
        visit: Called once per batch and value: for each batch, with all values in turn.
        by_token: Whether every position has its own gate; not with neurons.
        at: Gate values, each applied to all gates at once.

    Raises:
        SettingError: No sentence has a labelled word; raised before any pass.
    """
    n = labelled_sentences(batches)
    visits = [(visit, head_mask(model).shape)]
    if call.visit_neurons is not None:
        visits.append((call.visit_neurons, full_neurons(model).shape))
    dtype = torch.promote_types(model.dtype, torch.float32)
    repeated = [batch for batch in batches for _ in at]
    with data_pass(model, repeated, call) as given:
        for number, batch in enumerate(given):
            rows = tuple(batch.input_ids.shape) if by_token else (len(batch.sentences),)
            value, device = at[number % len(at)], batch.rows.device
            gates = [torch.full((*rows, *shape), value, device=device, dtype=dtype) for _, shape in visits]
            found, labelled = _gradients(model, batch, gates, call.precision)
            for (take, _), gradients in zip(visits, found, strict=True):
                take(batch, gradients, labelled)
    return n


def sentence_gradients(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: PrecisionChoice = "auto",
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
        every = wide(gradients)
        found.update((batch.sentences[row], every[row]) for row in labelled.nonzero()[:, 0].tolist())

    _, chosen = placement(model, precision=precision)
    visit_gradients(model, batches, Call(precision=chosen, progress=progress), visit)
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
    (found,), labelled = _gradients(model, batch, [gates], precision)
    return found, labelled


def _gradients(
    model: PreTrainedModel, batch: Batch, gates: Sequence[Tensor], precision: Precision
) -> tuple[tuple[Tensor, ...], Tensor]:
    """As `gate_gradients`, of the gates of heads, and of neurons if there are two."""
    heads, *others = leaves = [given.detach().requires_grad_(True) for given in gates]
    rows = batch.rows if heads.ndim == 3 else None
    with torch.enable_grad(), gated(model, heads, rows=rows, neurons=others[0] if others else None):
        losses, labelled = sentence_losses(model, batch, precision)
        if not losses.requires_grad:  # nothing is left that has a gate
            return tuple(torch.zeros_like(given) for given in leaves), labelled
        return torch.autograd.grad(losses.sum(), leaves, materialize_grads=True), labelled
