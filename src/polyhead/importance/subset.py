"""A subset of exactly so many heads, learnt with frozen weights (Li, Cotterell and Sachan 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import labelled_sentences
from polyhead.importance.gate_learning import Learning, learnt, loss_gradients
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import kept_at
from polyhead.models.model_heads import head_mask

Array = NDArray[np.float64]

HOTTEST, COLDEST = 1000.0, 1.0
# of the paper's experiments on BERT, like the first temperature
LEARNING_RATE, LONGEST_GRADIENT = 0.5, 1.0
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False, kw_only=True)
class _State(Learning):
    """Everything the next step depends on.

    Attributes:
        logits: Importance of every head.
    """

    logits: Array


def subset(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`: learnt logits, positive for the heads of the learnt subset, negative for the K left out.

    Every head has a logit. In each step every sentence adds fresh Gumbel noise to the logits and is read with the n - K highest
    heads on and the others off, n being the heads that the model has: a subset of exactly that size, drawn without replacement.
    The gradient passes straight through that choice, as if the gates had been the relaxed ones of `relaxed_top_k` with the same
    noise. Adam minimises the mean sentence loss; the weights are frozen. The temperature of the relaxation falls geometrically
    from 1000 to 1 over all steps, the learning rate linearly from 0.5 to 0, and gradients longer than 1 are shortened. Logits and
    optimiser are float64.

    Only the set at its own K has a meaning. Within the subset and outside it the order says little, and it is no order for
    another K: learn one subset for each. K is `n_lowest`, but at most one less than the heads present; `settings` records the
    value used. Zero lies midway between the lowest head kept and the highest one left out. N (`n`) counts sentences with a
    labelled word.

    Differs from the paper, whose forward pass used the relaxed gates and so cooled them to 1e-8, or, in a variant, chose without
    noise. Here the gates are exact at every temperature, and cooling below 1 only makes the gradient noisier. In the paper one
    draw served a whole batch, and the weights were either trained too or, as here, frozen.

    Each batch is one Adam step; every epoch shuffles them. The result is deterministic for one seed and one set of batches: the
    noise is drawn on the CPU and so the same on every device. Resuming continues after the last step with the same numbers.

    Costs one forward pass and one backward pass over activations only, per epoch. Holds (n - K) numbers for every head and
    sentence of one batch, a few times.

    Raises:
        SettingError: No sentence has a labelled word.
        StoreError: The resume file holds other work, or cannot be written.

    Source: Li, Cotterell and Sachan 2021, "Differentiable subset pruning of Transformer heads"; relaxation: Xie and Ermon 2019.
    """
    n = labelled_sentences(batches)
    present = head_mask(model).keep
    n_present = int(present.sum())
    epochs, n_left_out = call.options.epochs, min(call.options.n_lowest, max(n_present - 1, 0))
    settings = {"seed": call.seed, "n_lowest": n_left_out, "epochs": epochs, "precision": call.precision}
    kept = kept_at(call.resume_file, model, batches, {"method": call.method, **settings})
    size, n_steps = n_present - n_left_out, epochs * len(batches)

    def stepped(state: _State, batch: Batch, generator: np.random.Generator) -> _State:
        done = state.step / n_steps
        noisy = state.logits + generator.gumbel(size=(len(batch.sentences), n_present))
        gradients = loss_gradients(model, batch, present, hard_top_k(noisy, size), call.precision)
        temperature = HOTTEST ** (1 - done) * COLDEST**done
        push = straight_through(noisy, size, temperature, gradients) * (len(batches) / n)
        return _stepped(state, push, LEARNING_RATE * (1 - done))

    known, zero = kept.load(), np.zeros(n_present)
    start = _State(**known or {"logits": zero, "mean": zero, "square": zero})
    state = learnt(model, batches, call, start, stepped, epochs=epochs, kept=kept)
    values = np.full(present.shape, np.nan)
    values[present] = _centred(state.logits, n_left_out)
    return HeadScores(
        values=values,
        method=call.method,
        n=n,
        seconds=state.seconds,
        forward_passes=epochs,
        backward_passes=epochs,
        settings=settings,
    )


def hard_top_k(noisy: Array, size: int) -> Array:
    """1 for the `size` highest of every row, 0 for the others; ties go to the first."""
    gates = np.zeros(noisy.shape)
    np.put_along_axis(gates, np.argsort(-noisy, axis=-1, kind="stable")[..., :size], 1.0, axis=-1)
    return gates


def relaxed_top_k(noisy: Tensor, size: int, temperature: float) -> Tensor:
    """Gates `[..., heads]` that add up to `size` and approach the `size` highest as the temperature falls; differentiable.

    The sum of `size` softmaxes, each over what the ones before have not taken.
    """
    left, gates = noisy, 0 * noisy
    for _ in range(size):
        taken = torch.softmax(left / temperature, dim=-1)
        gates = gates + taken
        left = left + torch.log((1 - taken).clamp_min(_TINY))
    return gates


def straight_through(noisy: Array, size: int, temperature: float, gradients: Array) -> Array:
    """Gradient `[heads]` with respect to the logits, summed over sentences, from those with respect to the gates.

    `noisy` and `gradients` are `[sentences, heads]`.
    """
    with torch.enable_grad():
        wide = torch.from_numpy(noisy).requires_grad_(True)
        (relaxed_top_k(wide, size, temperature) * torch.from_numpy(gradients)).sum().backward(inputs=[wide])
    assert wide.grad is not None
    return np.asarray(wide.grad.numpy().sum(axis=0))


def _stepped(state: _State, push: Array, rate: float) -> _State:
    """The state after one Adam step."""
    length = float(np.linalg.norm(push))
    gradient = push / max(1.0, length / LONGEST_GRADIENT)
    move, mean, square = state.adam(gradient, betas=_BETAS, epsilon=_EPSILON)
    return replace(state, logits=state.logits - rate * move, mean=mean, square=square)


def _centred(logits: Array, n_left_out: int) -> Array:
    """Logits minus the middle between the highest head left out and the lowest head kept."""
    if not n_left_out:
        return logits
    low, high = np.partition(logits, [n_left_out - 1, n_left_out])[[n_left_out - 1, n_left_out]]
    return np.asarray(logits - (low + high) / 2)
