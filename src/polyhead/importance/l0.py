"""Learnt gates under an L0 penalty, with frozen weights (Voita et al. 2019)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import expit
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import data_pass, labelled_sentences, wide
from polyhead.importance.gate_pass import gate_gradients
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import kept_at, saving
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision

Array = NDArray[np.float64]

EPOCHS = 10
TEMPERATURE = 1 / 3
STRETCH = (-0.1, 1.1)
# the learning rate falls linearly to 0 from the value with which all steps together can move log α by this much
_TRAVEL = 10.0
_BETAS = (0.9, 0.99)
_TINY = 1e-12
_OPEN = -TEMPERATURE * log(-STRETCH[0] / STRETCH[1])


@dataclass(frozen=True, kw_only=True)
class L0Options:
    """Options of `l0`."""

    n_lowest: Annotated[int, Field(ge=1, description="heads to close: as many as you plan to prune")] = 12
    epochs: Annotated[int, Field(ge=1, description="passes over the data")] = EPOCHS


@dataclass(frozen=True, eq=False)
class _State:
    """Everything the next step depends on; arrays are `[heads present]`.

    Attributes:
        log_alpha: Logit of the gate before stretching.
        grad_ema: Running mean of the loss gradient with respect to log α.
        mean: Adam's first moment, of loss gradient and penalty together.
        square: Adam's second moment.
        multiplier: λ of the last step.
        step: Steps done.
        seconds: Time spent on them, over all calls.
    """

    log_alpha: Array
    grad_ema: Array
    mean: Array
    square: Array
    multiplier: float = 0.0
    step: int = 0
    seconds: float = 0.0


def l0(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the probability that the head's gate is open, learnt with K gates expected to close.

    Every head has a hard-concrete gate (temperature 1/3, stretched to (−0.1, 1.1) and clipped to [0, 1]) with one parameter log α
    and fresh noise for every sentence. Adam updates only log α to minimise the mean sentence loss + λ Σ P(open); the weights are
    frozen. λ is not a setting but the Lagrange multiplier of the constraint Σ P(open) = heads present − K: in each step, the λ
    with which a plain gradient step along the running mean of the loss gradient would keep Σ P(open) constant. Adding one number
    to every log α then corrects the error of Adam's own step, so the constraint holds exactly after every step. The learning
    rate falls linearly to 0. log α and the optimiser are float64.

    Gates are learnt jointly, so of two redundant heads one is closed and the other kept, which scores of single heads cannot
    tell. Far from the boundary at K the order says little: those gates are saturated, to a degree that depends on chance. No
    score is exactly 0. K is `n_lowest`, but at most one less than the heads present, because one head must stay open; `settings`
    records the value used. N (`n`) counts sentences with a labelled word.

    Each batch is one Adam step; every epoch shuffles them. The result is deterministic for one seed and one set of batches: the
    noise is drawn on the CPU and so the same on every device. Resuming continues after the last step with the same numbers.

    Costs one forward pass and one backward pass over activations only, per epoch.

    Raises:
        SettingError: No sentence has a labelled word.
        StoreError: The resume file holds other work, or cannot be written.

    Source: Voita et al. 2019, "Analyzing multi-head self-attention"; gates: Louizos et al. 2018.
    """
    n = labelled_sentences(batches)
    present = head_mask(model).keep
    n_present = int(present.sum())
    epochs, n_shut = call.options.epochs, min(call.options.n_lowest, max(n_present - 1, 0))
    settings = {"seed": call.seed, "n_lowest": n_shut, "epochs": epochs, "precision": call.precision}
    kept = kept_at(call.resume_file, model, batches, {"method": call.method, **settings})
    # n_shut leaves at least one head open; with only one head the target is half of it
    target = n_present - n_shut if n_present > 1 else n_present / 2
    zero = np.zeros(n_present)
    known = kept.load()
    state = _State(**known) if known else _State(_on_target(zero, target), zero, zero, zero)
    order = [
        (epoch, int(number))
        for epoch in range(epochs)
        for number in np.random.default_rng((call.seed, epoch)).permutation(len(batches))
    ]
    began = time.perf_counter() - state.seconds
    shuffled = [batches[number] for _, number in order]
    with (
        data_pass(model, shuffled, call, done=state.step) as given,
        saving(kept, lambda: vars(state)) as now_and_then,
    ):
        for batch, (epoch, number) in zip(given, order[state.step :], strict=True):
            # number + 1, because numpy treats (seed, epoch, 0) like (seed, epoch)
            noise = np.random.default_rng((call.seed, epoch, number + 1)).logistic(size=(len(batch.sentences), n_present))
            push = _push(model, batch, present, state.log_alpha, noise, call.precision) * (len(batches) / n)
            rate = 2 * _TRAVEL / len(order) * (1 - state.step / len(order))
            state = replace(_stepped(state, push, rate, target), seconds=time.perf_counter() - began)
            now_and_then()
    values = np.full(present.shape, np.nan)
    values[present] = probability_open(state.log_alpha)
    return HeadScores(
        values=values,
        method=call.method,
        n=n,
        seconds=state.seconds,
        forward_passes=epochs,
        backward_passes=epochs,
        settings={**settings, "penalty": state.multiplier},
    )


def _push(
    model: PreTrainedModel,
    batch: Batch,
    present: NDArray[np.bool_],
    log_alpha: Array,
    noise: Array,
    precision: Precision,
) -> Array:
    """Gradient `[heads present]` of the batch's summed sentence losses with respect to log α, under sampled gates."""
    drawn, slope = hard_concrete(log_alpha, noise)
    gates = np.ones((len(noise), *present.shape))
    gates[:, present] = drawn
    # dtype before device: MPS has no float64
    wanted = torch.promote_types(model.dtype, torch.float32)
    given = torch.from_numpy(gates).to(wanted).to(batch.input_ids.device)
    gradients, _ = gate_gradients(model, batch, given, precision)
    return np.asarray((wide(gradients)[:, present] * slope).sum(axis=0))


def hard_concrete(log_alpha: Array, noise: Array) -> tuple[Array, Array]:
    """Gates in [0, 1] from standard logistic noise `[sentences, heads]`, and their derivatives with respect to log α."""
    low, high = STRETCH
    soft = expit((noise + log_alpha) / TEMPERATURE)
    stretched = low + (high - low) * soft
    slope = np.where((stretched > 0) & (stretched < 1), (high - low) * soft * (1 - soft) / TEMPERATURE, 0.0)
    return stretched.clip(0.0, 1.0), slope


def probability_open(log_alpha: Array) -> Array:
    """Probability that a gate is above 0: σ(log α − temperature · log(−γ/ζ)) for a stretch to (γ, ζ)."""
    return np.asarray(expit(log_alpha + _OPEN))


def _stepped(state: _State, push: Array, rate: float, target: float) -> _State:
    """The state after one Adam step on loss and penalty, with the expected number of open heads reset to `target`."""
    step, (slow, slower) = state.step + 1, _BETAS
    p_open = probability_open(state.log_alpha)
    slope = p_open * (1 - p_open)
    running = slow * state.grad_ema + (1 - slow) * push
    multiplier = -float((running / (1 - slow**step) * slope).sum() / max((slope * slope).sum(), _TINY))
    gradient = push + multiplier * slope
    mean = slow * state.mean + (1 - slow) * gradient
    square = slower * state.square + (1 - slower) * gradient**2
    move = mean / (1 - slow**step) / (np.sqrt(square / (1 - slower**step)) + _TINY)
    return _State(_on_target(state.log_alpha - rate * move, target), running, mean, square, multiplier, step, state.seconds)


def _on_target(log_alpha: Array, target: float) -> Array:
    """`log_alpha` shifted by one number so that Σ P(open) is `target`, between 0 and the number of heads."""
    if not log_alpha.size:
        return log_alpha
    bound = float(np.abs(log_alpha).max()) + 40.0
    offset = float(brentq(lambda shift: float(probability_open(log_alpha + shift).sum()) - target, -bound, bound, xtol=1e-12))
    return log_alpha + offset
