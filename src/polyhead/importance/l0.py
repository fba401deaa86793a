"""Learnt gates under an L0 penalty, with frozen weights (Voita et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import labelled_sentences
from polyhead.importance.gate_learning import Learning, learnt, loss_gradients
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import kept_at
from polyhead.models.model_heads import head_mask

Array = NDArray[np.float64]

TEMPERATURE = 1 / 3
STRETCH = (-0.1, 1.1)
# the learning rate falls linearly to 0 from the value with which all steps together can move log α by this much
_TRAVEL = 10.0
_BETAS = (0.9, 0.99)
_TINY = 1e-12
_OPEN = -TEMPERATURE * log(-STRETCH[0] / STRETCH[1])


@dataclass(frozen=True, eq=False, kw_only=True)
class _State(Learning):
    """Everything the next step depends on; Adam's moments are of loss gradient and penalty together.

    Attributes:
        log_alpha: Logit of the gate before stretching.
        grad_ema: Running mean of the loss gradient with respect to log α.
        multiplier: λ of the last step.
    """

    log_alpha: Array
    grad_ema: Array
    multiplier: float = 0.0


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
    state = _State(**known or {"log_alpha": _on_target(zero, target), "grad_ema": zero, "mean": zero, "square": zero})
    n_steps = epochs * len(batches)

    def stepped(state: _State, batch: Batch, generator: np.random.Generator) -> _State:
        noise = generator.logistic(size=(len(batch.sentences), n_present))
        drawn, slope = hard_concrete(state.log_alpha, noise)
        push = (loss_gradients(model, batch, present, drawn, call.precision) * slope).sum(axis=0) * (len(batches) / n)
        rate = 2 * _TRAVEL / n_steps * (1 - state.step / n_steps)
        return _stepped(state, push, rate, target)

    state = learnt(model, batches, call, state, stepped, epochs=epochs, kept=kept)
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
    step, slow = state.step + 1, _BETAS[0]
    p_open = probability_open(state.log_alpha)
    slope = p_open * (1 - p_open)
    running = slow * state.grad_ema + (1 - slow) * push
    multiplier = -float((running / (1 - slow**step) * slope).sum() / max((slope * slope).sum(), _TINY))
    gradient = push + multiplier * slope
    move, mean, square = state.adam(gradient, betas=_BETAS, epsilon=_TINY)
    log_alpha = _on_target(state.log_alpha - rate * move, target)
    return replace(state, log_alpha=log_alpha, grad_ema=running, mean=mean, square=square, multiplier=multiplier)


def _on_target(log_alpha: Array, target: float) -> Array:
    """`log_alpha` shifted by one number so that Σ P(open) is `target`, between 0 and the number of heads."""
    if not log_alpha.size:
        return log_alpha
    bound = float(np.abs(log_alpha).max()) + 40.0
    offset = float(brentq(lambda shift: float(probability_open(log_alpha + shift).sum()) - target, -bound, bound, xtol=1e-12))
    return log_alpha + offset
