"""Learnt gates under an L0 penalty (Voita et al. 2019): weights frozen, how likely is each head to stay open?"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import expit
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.gate_pass import count_labelled, gate_gradients
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import Partial, kept_at, saving
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision, pick_precision

Array = NDArray[np.float64]

EPOCHS = 10
TEMPERATURE = 1 / 3
STRETCH = (-0.1, 1.1)
# The learning rate falls linearly to 0, from where all steps together can move log α by 10: from hardly open to hardly closed
_TRAVEL = 10.0
_BETAS = (0.9, 0.99)
_TINY = 1e-12
_OPEN = -TEMPERATURE * log(-STRETCH[0] / STRETCH[1])


@dataclass(frozen=True, kw_only=True)
class L0Options:
    """What `l0` can be told; see there."""

    n_lowest: Annotated[int, Field(ge=1, description="heads to shut: as many as you mean to prune")] = 12
    epochs: Annotated[int, Field(ge=1, description="passes over the data")] = EPOCHS


@dataclass(frozen=True, eq=False)
class _State:
    """All that the next step depends on; arrays are `[heads present]`.

    Attributes:
        log_alpha: Logit of the gate before stretching.
        grad_ema: Running mean of the loss gradient with respect to log α.
        mean: Adam's first moment, of loss gradient and penalty together.
        square: Adam's second moment.
        multiplier: λ of the last step.
        step: Steps done.
        seconds: What they took, in all the calls that did them.
    """

    log_alpha: Array
    grad_ema: Array
    mean: Array
    square: Array
    multiplier: float = 0.0
    step: int = 0
    seconds: float = 0.0


def l0(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    seed: int,
    n_lowest: int = 12,
    epochs: int = EPOCHS,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
    resume_file: Path | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the probability that the head's gate is open, learnt so that K heads are expected shut.

    Every head has a hard-concrete gate (temperature 1/3, stretched to (−0.1, 1.1) and cut to [0, 1]) with one parameter log α
    and noise drawn anew for every sentence. Adam on log α alone minimises the mean sentence loss + λ Σ P(open); the weights stay
    as they are. λ is not a setting but the Lagrange multiplier of the constraint Σ P(open) = heads present − K: in each step it
    is the λ with which a plain gradient step, by the running mean of the loss gradient, would leave Σ P(open) as it is. The error
    that Adam's own step makes is taken away by adding one number to every log α, so the constraint holds exactly after
    every step. The learning rate falls linearly to 0.

    Heads are learnt together, so of two heads that do the same one is shut and the other kept, which scores that look at a head
    alone cannot tell. Far from the cut between shut and open the order says little: those gates are saturated, by how far is a
    matter of chance. No score is exactly 0. The result depends on seed and batches; with the same of both it is the same. N (`n`)
    counts sentences with a labelled word.

    Costs one forward pass and one backward pass over activations alone for each epoch. The model is left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; each is a step of Adam, and every epoch goes through them in an order of its own.
        seed: Of that order and of the noise, which is drawn on the CPU: the same on every device.
        n_lowest: K. One head is always expected open, so K is at most one less than the heads present; `settings` says which
            was used.
        epochs: Passes over the data. A kept state is of one number of epochs only.
        precision: Of the matrix products; gates stay float32, log α and the optimiser float64. `auto`: bf16 where the device has
            units for it.
        progress: Told of every batch of every epoch.
        resume_file: Holds log α and the optimiser's state, saved now and then and when the work is stopped. A second call with
            the same model, batches and settings continues from there, to the same numbers. The caller removes the file.

    Raises:
        SettingError: `n_lowest` or `epochs` is below 1, `seed` below 0, or no sentence has a labelled word.

    Source: Voita et al. 2019, "Analyzing multi-head self-attention"; gates: Louizos et al. 2018.
    """
    _check(seed, n_lowest, epochs)
    n = sum(count_labelled(batch) for batch in batches)
    if n == 0:
        raise SettingError("no sentence has a labelled word, so no head can be scored: check the label column of the data")
    chosen = pick_precision(precision, next(model.parameters()).device)
    present = head_mask(model).keep
    n_shut = min(n_lowest, max(int(present.sum()) - 1, 0))
    settings = {"seed": seed, "n_lowest": n_shut, "epochs": epochs, "precision": chosen}
    kept = kept_at(resume_file, model, batches, {"method": "l0", **settings})
    state = _learn(model, batches, settings, kept, watch=progress or Silent(), n=n)
    values = np.full(present.shape, np.nan)
    values[present] = probability_open(state.log_alpha)
    return HeadScores(
        values=values,
        method="l0",
        n=n,
        seconds=state.seconds,
        forward_passes=epochs,
        backward_passes=epochs,
        settings={**settings, "penalty": state.multiplier},
    )


def _check(seed: int, n_lowest: int, epochs: int) -> None:
    for name, value, least in (("seed", seed, 0), ("n_lowest", n_lowest, 1), ("epochs", epochs, 1)):
        if value < least:
            raise SettingError(f"{name} {value}: l0 expects a whole number from {least}")


def _learn(
    model: PreTrainedModel, batches: Sequence[Batch], settings: Mapping[str, Any], kept: Partial, *, watch: Progress, n: int
) -> _State:
    """The state after all epochs, gone on with from what was kept."""
    seed, device = settings["seed"], next(model.parameters()).device
    present = head_mask(model).keep
    n_present, steps = int(present.sum()), settings["epochs"] * len(batches)
    # n_lowest leaves one head open at least; half a head where there is only one
    target = n_present - settings["n_lowest"] if n_present > 1 else n_present / 2
    known = kept.load()
    state = _first(n_present, target) if known is None else _State(**known)
    watch.start(steps, "score heads")
    try:
        watch.advance(state.step)
        with scoring_mode(model, settings["precision"]), saving(kept, lambda: vars(state)) as now_and_then:
            while state.step < steps:
                started = time.perf_counter()
                epoch, place = divmod(state.step, len(batches))
                number = int(np.random.default_rng((seed, epoch)).permutation(len(batches))[place])
                batch = batches[number].to(device)
                # number + 1, because numpy takes (seed, epoch, 0) for (seed, epoch)
                noise = np.random.default_rng((seed, epoch, number + 1)).logistic(size=(len(batch.sentences), n_present))
                push = _push(model, batch, present, state.log_alpha, noise, settings["precision"]) * (len(batches) / n)
                rate = 2 * _TRAVEL / steps * (1 - state.step / steps)
                state = _stepped(state, push, rate, target)
                state = replace(state, seconds=state.seconds + time.perf_counter() - started)
                now_and_then()
                watch.advance(1)
    finally:
        watch.stop()
    return state


def _push(
    model: PreTrainedModel,
    batch: Batch,
    present: NDArray[np.bool_],
    log_alpha: Array,
    noise: Array,
    precision: Precision,
) -> Array:
    """Gradient `[heads present]` of the sum of the batch's sentence losses with respect to log α, under the gates drawn."""
    drawn, slope = hard_concrete(log_alpha, noise)
    gates = np.ones((len(noise), *present.shape))
    gates[:, present] = drawn
    # the dtype first: MPS has no float64
    wanted = torch.promote_types(model.dtype, torch.float32)
    given = torch.from_numpy(gates).to(wanted).to(batch.input_ids.device)
    gradients, _ = gate_gradients(model, batch, given, precision)
    found: Array = (gradients.cpu().double().numpy()[:, present] * slope).sum(axis=0)
    return found


def hard_concrete(log_alpha: Array, noise: Array) -> tuple[Array, Array]:
    """Gates in [0, 1] drawn by standard logistic noise `[sentences, heads]`, and their derivatives with respect to log α."""
    low, high = STRETCH
    soft = expit((noise + log_alpha) / TEMPERATURE)
    stretched = low + (high - low) * soft
    slope = np.where((stretched > 0) & (stretched < 1), (high - low) * soft * (1 - soft) / TEMPERATURE, 0.0)
    return stretched.clip(0.0, 1.0), slope


def probability_open(log_alpha: Array) -> Array:
    """How likely a gate is above 0: σ(log α − temperature · log(−γ/ζ)) for a stretch to (γ, ζ)."""
    found: Array = expit(log_alpha + _OPEN)
    return found


def _stepped(state: _State, push: Array, rate: float, target: float) -> _State:
    """The state after one step of Adam on loss and penalty, the expected number of open heads put back to `target`."""
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
    """The same plus one number, such that Σ P(open) is `target`, which lies between 0 and the number of heads."""
    if not log_alpha.size:
        return log_alpha
    bound = float(np.abs(log_alpha).max()) + 40.0
    offset = float(brentq(lambda shift: float(probability_open(log_alpha + shift).sum()) - target, -bound, bound, xtol=1e-12))
    return log_alpha + offset


def _first(n_present: int, target: float) -> _State:
    """The beginning: all heads alike, as open as they are expected to be on average."""
    zero = np.zeros(n_present)
    return _State(_on_target(zero, target), zero, zero, zero)
