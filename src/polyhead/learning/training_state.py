"""A half-done training on disk, from which it goes on with the same numbers after any kind of stop."""

import hashlib
import os
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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import AdamW

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.core.values import fingerprint
from polyhead.learning.encoding import Encoded
from polyhead.models.environment import machine, warn_of_another_machine

SCHEMA = 1
_FILE = "training.json"
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


def identity(model: nn.Module, encoded: Encoded, spec: TrainSpec, *, mask: HeadMask | None, precision: str) -> dict[str, str]:
    """What must be equal for a training to be gone on with, by name: settings, data, starting weights, mask, precision."""
    data, weights = hashlib.sha256(), hashlib.sha256()
    for window in encoded.windows:
        data.update(f"{window.sentence} {len(window.input_ids)} {len(window.anchor_words)};".encode())
        for array in (window.input_ids, window.anchor_positions, window.anchor_words, window.label_ids):
            data.update(array.tobytes())
    for name, tensor in model.state_dict().items():
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        weights.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return {
        "settings": fingerprint(spec),
        "data": data.hexdigest(),
        "starting weights": weights.hexdigest(),
        "mask": "none" if mask is None else fingerprint(mask.keep),
        "precision": precision,
    }


class TrainingState:
    """The state of one training in a folder: `training.json` names the tensors' file, and is replaced after that is written.

    The tensors are the trained weights and the optimiser's two moments, under `weight:NAME`, `exp_avg:NAME` and
    `exp_avg_sq:NAME`. There is no generator's state: the order of the data follows from seed and epoch, dropout from seed and
    step.
    """

    def __init__(self, folder: Path, *, identity: Mapping[str, str], device: torch.device, every: int | None = None) -> None:
        self._folder = folder
        self._identity = dict(identity)
        self._machine = machine(device)
        self._every = every
        self._due = time.monotonic() + _SECONDS

    def load(self, trained: Mapping[str, nn.Parameter], optimiser: AdamW) -> Position:
        """Where to go on, after weights and optimiser have been set to what they were there; step 0 if nothing is stored.

        Raises:
            StoreError: The folder holds another training's state, or one that cannot be read.
        """
        path = self._folder / _FILE
        if not path.exists():
            return Position()
        head = read_json(path)
        try:
            self._check(path, head)
            tensors = load_file(self._folder / head["tensors"])
            done = float(head.get("seconds", 0.0))
            position = Position(int(head["step"]), tuple(head["losses"]), float(head["epoch_loss"]), done)
            _restore(tensors, trained, optimiser, step=position.step)
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise StoreError(f"{path}: no usable training state ({error}); delete {self._folder} to start again") from None
        return position

    def _check(self, path: Path, head: Mapping[str, Any]) -> None:
        if head["schema"] != SCHEMA:
            raise StoreError(f"{path}: schema {head['schema']!r}, expected {SCHEMA}; delete {self._folder} to start again")
        others = [name for name, value in self._identity.items() if head["identity"].get(name) != value]
        if others:
            raise StoreError(
                f"{path}: belongs to a training with other {', '.join(others)}; take another folder or delete {self._folder}"
            )
        warn_of_another_machine(str(self._folder), self._machine, head["machine"])

    def is_due(self, step: int) -> bool:
        """Whether the state should be saved after `step`."""
        return step % self._every == 0 if self._every else time.monotonic() >= self._due

    def save(self, position: Position, trained: Mapping[str, nn.Parameter], optimiser: AdamW) -> None:
        """Store the state; a kill at any moment leaves this one or the one before.

        Raises:
            StoreError: The folder cannot be written to.
        """
        started = time.monotonic()
        path = self._folder / f"training-{position.step}.safetensors"
        part = path.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(_tensors(trained, optimiser), part)
            os.replace(part, path)
            head = {"schema": SCHEMA, "identity": self._identity, "machine": self._machine, "tensors": path.name}
            head |= {"step": position.step, "losses": position.losses, "epoch_loss": position.epoch_loss}
            head["seconds"] = position.seconds
            write_json_atomic(self._folder / _FILE, head)
            for old in self._folder.glob("training-*.*"):
                if old.name != path.name:
                    old.unlink()
        except (OSError, SafetensorError) as error:
            raise StoreError(f"{self._folder}: training state cannot be written ({error}); free some space") from None
        # a large model's state takes long to write: at most a twentieth of the time goes into it
        self._due = time.monotonic() + max(_SECONDS, 20 * (time.monotonic() - started))


def discard_state(folder: Path) -> None:
    """Delete what a training left in `folder` to be gone on with, once its result is stored; other files stay."""
    for path in (folder / _FILE, *folder.glob("training-*.*")):
        path.unlink(missing_ok=True)


def _tensors(trained: Mapping[str, nn.Parameter], optimiser: AdamW) -> dict[str, Tensor]:
    tensors = {f"weight:{name}": parameter.detach().contiguous() for name, parameter in trained.items()}
    for name, parameter in trained.items():
        moments = optimiser.state.get(parameter, {})
        tensors |= {f"{kind}:{name}": moments[kind].contiguous() for kind in _MOMENTS if kind in moments}
    return tensors


def _restore(tensors: Mapping[str, Tensor], trained: Mapping[str, nn.Parameter], optimiser: AdamW, *, step: int) -> None:
    for name, parameter in trained.items():
        with torch.no_grad():
            parameter.copy_(tensors[f"weight:{name}"])
        if f"exp_avg:{name}" in tensors:
            moments = {kind: tensors[f"{kind}:{name}"].to(parameter.device) for kind in _MOMENTS}
            optimiser.state[parameter] = {"step": torch.tensor(float(step), device=parameter.device), **moments}


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
