"""What methods share that learn gates with frozen weights: options, Adam, shuffled batches, fresh noise, a step per batch."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from transformers import PreTrainedModel

from polyhead.importance.data_pass import data_pass, wide
from polyhead.importance.gate_pass import gate_gradients
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import Partial, saving
from polyhead.models.devices import Precision

Array = NDArray[np.float64]
EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """Options of `l0` and `subset`."""

    n_lowest: Annotated[int, Field(ge=1, description="heads to close: as many as you plan to prune")] = 12
    epochs: Annotated[int, Field(ge=1, description="passes over the data")] = EPOCHS


@dataclass(frozen=True, eq=False, kw_only=True)
class Learning:
    """How far the learning is; methods add everything else that their next step depends on. Arrays are `[heads present]`.

    Attributes:
        mean: Adam's first moment.
        square: Adam's second moment.
        step: Steps done.
        seconds: Time spent on them, over all calls.
    """

    mean: Array
    square: Array
    step: int = 0
    seconds: float = 0.0

    def adam(self, gradient: Array, *, betas: tuple[float, float], epsilon: float) -> tuple[Array, Array, Array]:
        """The direction of the next Adam step, to be multiplied by minus the learning rate, and the moments after it."""
        step, (slow, slower) = self.step + 1, betas
        mean = slow * self.mean + (1 - slow) * gradient
        square = slower * self.square + (1 - slower) * gradient**2
        move = mean / (1 - slow**step) / (np.sqrt(square / (1 - slower**step)) + epsilon)
        return move, mean, square


State = TypeVar("State", bound=Learning)


def learnt(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    call: Call,
    state: State,
    stepped: Callable[[State, Batch, np.random.Generator], State],
    *,
    epochs: int,
    kept: Partial,
) -> State:
    """The state after all epochs of one step per batch, continued from `state`; every epoch shuffles the batches.

    Args:
        model: A token classifier; its weights are frozen.
        batches: From `scoring_batches`.
        call: Its seed, precision and progress bar are used.
        state: Where to start.
        stepped: The state after one batch, on the model's device, given a generator of its own for the noise. Steps and seconds
            are counted here.
        epochs: Passes over the data.
        kept: Where the state is saved from time to time.
    """
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
            generator = np.random.default_rng((call.seed, epoch, number + 1))
            state = replace(stepped(state, batch, generator), step=state.step + 1, seconds=time.perf_counter() - began)
            now_and_then()
    return state


def loss_gradients(model: PreTrainedModel, batch: Batch, present: NDArray[np.bool_], drawn: Array, precision: Precision) -> Array:
    """Gradients `[sentences, heads present]` of the sentence losses with respect to every sentence's own gates.

    Args:
        model: In scoring mode.
        batch: On the model's device.
        present: Heads that the model has, `[layers, heads]`.
        drawn: Gates `[sentences, heads present]`.
        precision: Precision of the caller's block.
    """
    gates = np.ones((len(drawn), *present.shape))
    gates[:, present] = drawn
    # dtype before device: MPS has no float64
    wanted = torch.promote_types(model.dtype, torch.float32)
    given = torch.from_numpy(gates).to(wanted).to(batch.input_ids.device)
    gradients, _ = gate_gradients(model, batch, given, precision)
    return np.asarray(wide(gradients)[:, present])
