"""A half-done training on disk, from which it goes on with the same numbers after any kind of stop."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from polyhead.learning.resumable import Partial

_SECONDS = 45.0
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Position:
    """How far a training is.

    Attributes:
        step: Optimiser steps done.
        losses: Mean loss of each finished epoch.
        epoch_loss: Sum of the batches' losses in the unfinished one.
        seconds: What it took to get there, in all the calls that did.
    """

    step: int = 0
    losses: tuple[float, ...] = ()
    epoch_loss: float = 0.0
    seconds: float = 0.0


class TrainingState:
    """The state of one training in its file: the position, the trained weights and the optimiser's two moments.

    There is no generator's state: the order of the data follows from seed and epoch, dropout from seed and step.

    Args:
        partial: The file.
        every: Steps between two savings, instead of the time.
    """

    def __init__(self, partial: Partial, *, every: int | None = None) -> None:
        self._partial = partial
        self._every = every
        self._due = time.monotonic() + _SECONDS

    def load(self, trained: Mapping[str, nn.Parameter], optimiser: AdamW) -> Position:
        """Where to continue, after weights and optimiser have been set to what they were there; step 0 if nothing is stored.

        Raises:
            StoreError: The file holds other work.
        """
        state = self._partial.load()
        if state is None:
            return Position()
        position = Position(state["step"], tuple(state["losses"]), state["epoch_loss"], state["seconds"])
        for name, parameter in trained.items():
            with torch.no_grad():
                parameter.copy_(state[f"weight:{name}"])
            if f"exp_avg:{name}" in state:
                moments = {kind: state[f"{kind}:{name}"].to(parameter.device) for kind in _MOMENTS}
                step = torch.tensor(float(position.step), device=parameter.device)
                optimiser.state[parameter] = {"step": step, **moments}
        return position

    def is_due(self, step: int) -> bool:
        """Whether the state should be saved after `step`."""
        return step % self._every == 0 if self._every else time.monotonic() >= self._due

    def save(self, position: Position, trained: Mapping[str, nn.Parameter], optimiser: AdamW) -> None:
        """Store the state.

        Raises:
            StoreError: The file cannot be written.
        """
        started = time.monotonic()
        state: dict[str, Any] = dict(vars(position))
        for name, parameter in trained.items():
            moments: Mapping[str, Tensor] = optimiser.state.get(parameter, {})
            state[f"weight:{name}"] = parameter
            state |= {f"{kind}:{name}": moments[kind] for kind in _MOMENTS if kind in moments}
        self._partial.save(state)
        # a large model's state takes long to write: at most a twentieth of the time goes into it
        self._due = time.monotonic() + max(_SECONDS, 20 * (time.monotonic() - started))


class StopRequest:
    """Whether somebody has asked the process to stop."""

    asked = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Inside, the first SIGINT or SIGTERM is noted instead of obeyed, a second SIGINT raises KeyboardInterrupt at once.

    So a training can end its step and save. In threads other than the main one nothing is caught.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
