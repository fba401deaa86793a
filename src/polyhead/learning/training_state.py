"""The state of an unfinished training on disk; after any stop, training continues with the same numbers."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from polyhead.core.errors import note_kept
from polyhead.learning.resumable import Partial

_SECONDS = 45.0
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Position:
    """Progress of a training.

    Attributes:
        step: Optimiser steps done.
        losses: Mean loss of each finished epoch.
        epoch_loss: Sum of the batch losses of the unfinished epoch.
        seconds: Time so far, over all calls.
    """

    step: int = 0
    losses: tuple[float, ...] = ()
    epoch_loss: float = 0.0
    seconds: float = 0.0


class TrainingState:
    """The file of one training: the position, the trained weights and the optimiser's two moments.

    No generator state is needed: data order follows from seed and epoch, dropout from seed and step.

    Args:
        partial: The file.
    """

    def __init__(self, partial: Partial) -> None:
        self._partial = partial
        self._due = time.monotonic() + _SECONDS

    def load(self, trained: Mapping[str, nn.Parameter], optimiser: AdamW) -> Position:
        """Restore weights and optimiser and return the position; step 0 if nothing is stored.

        Raises:
            StoreError: The file belongs to other work.
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

    def is_due(self) -> bool:
        """Whether the state should be saved after this step."""
        return time.monotonic() >= self._due

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
        # a large state takes long to write: spend at most a twentieth of the time on it
        self._due = time.monotonic() + max(_SECONDS, 20 * (time.monotonic() - started))


class StopRequest:
    """Whether the process was asked to stop."""

    asked = False


@contextmanager
def stop_requests(file: Path) -> Iterator[StopRequest]:
    """A context that notes the first SIGINT or SIGTERM, so that training can end its step and save to `file`.

    A second SIGINT raises KeyboardInterrupt at once. Threads other than the main one catch nothing.
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
    except KeyboardInterrupt as stop:
        if file.exists():
            note_kept(stop, file)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
