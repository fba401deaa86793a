"""What a long method has so far, in one file: a second call for the same model, data and settings goes on from there."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor, uint8
from transformers import PreTrainedModel

from polyhead.core.errors import StoreError
from polyhead.core.files import write_bytes_atomic
from polyhead.core.values import jsonable
from polyhead.learning.batching import Batch
from polyhead.models.environment import machine, warn_of_another_machine

_LOG = logging.getLogger(__name__)
_KEY: Final = "polyhead"
_MACHINE: Final = "machine"
_SCHEMA: Final = 1
_SECONDS_BETWEEN: Final = 10.0

Arrays = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Partial:
    """A file of float64 arrays (safetensors), with what they belong to in its metadata; nothing is kept where `path` is None.

    Attributes:
        path: The file, which need not exist.
        identity: All that the arrays depend on, as JSON values; arrays of another identity are not taken up.
        machine: What their last digits depend on besides; a difference is warned of.
    """

    path: Path | None
    identity: Mapping[str, Any]
    machine: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> dict[str, NDArray[np.float64]] | None:
        """The arrays kept, or None where there is no file.

        Raises:
            StoreError: The file holds something else, or work on another model, data or settings, which must not be lost.
        """
        if self.path is None or not self.path.exists():
            return None
        if self.path.is_dir():
            raise StoreError(f"{self.path}: is a folder; give the name of a file for partial results")
        try:
            with safe_open(self.path, framework="np") as file:
                metadata = file.metadata() or {}
                arrays = {name: np.asarray(file.get_tensor(name), dtype=np.float64) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise StoreError(f"{self.path}: no partial results that can be read ({error}): delete it to start again") from None
        if metadata.get(_KEY) != self._said():
            raise StoreError(
                f"{self.path}: holds partial results of another method, model, data or setting: finish that work with the "
                "command that began it, or delete the file to start again"
            )
        warn_of_another_machine(str(self.path), self.machine, json.loads(metadata.get(_MACHINE, "{}")))
        return arrays

    def save(self, arrays: Arrays) -> None:
        """Write the arrays in place of those kept before; a reader sees the old file or the whole new one, also after a crash.

        Raises:
            StoreError: The file cannot be written.
        """
        if self.path is None:
            return
        facts = {_KEY: self._said(), _MACHINE: json.dumps(dict(self.machine), sort_keys=True)}
        content = save({name: np.asarray(array, dtype=np.float64, order="C") for name, array in arrays.items()}, facts)
        write_bytes_atomic(self.path, content)

    def _said(self) -> str:
        return json.dumps(jsonable({"schema": _SCHEMA, **self.identity}), sort_keys=True)


def kept_at(path: Path | None, model: PreTrainedModel, batches: Sequence[Batch], facts: Mapping[str, Any]) -> Partial:
    """Partial results of this model on these batches; without a path nothing is hashed."""
    if path is None:
        return Partial(None, {})
    return Partial(path, identity_of(model, batches, facts), machine(next(model.parameters()).device))


def identity_of(model: PreTrainedModel, batches: Sequence[Batch], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts (method, seed, settings that change numbers), with sha256 over the weights and over the batches' tensors.

    The hash of the batches depends on their order and padding. Reading all weights takes about a second a gigabyte.
    """
    weights, data = hashlib.sha256(), hashlib.sha256()
    for name, tensor in model.state_dict().items():
        _add(weights, name, tensor)
    for batch in batches:
        for item in fields(batch):
            value = getattr(batch, item.name)
            if isinstance(value, Tensor):
                _add(data, item.name, value)
        data.update(repr(batch.sentences).encode())
    return {**facts, "weights": weights.hexdigest(), "data": data.hexdigest()}


def _add(digest: "hashlib._Hash", name: str, tensor: Tensor) -> None:
    digest.update(f"{name} {tensor.dtype} {[*tensor.shape]} ".encode())
    # through bytes: numpy has no bfloat16
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(uint8).numpy().data)


@contextmanager
def saving(partial: Partial, arrays: Callable[[], Arrays]) -> Iterator[Callable[[], None]]:
    """A block of long work: what it yields is called after every step, and what there is gets saved now and then.

    That is at most every ten seconds, at the end, and when the block is left by an exception, Ctrl-C included. The file stays
    after the end, so that a result that then cannot be written is not lost: whoever has written it removes the file.

    Args:
        partial: Where to.
        arrays: Gives the arrays of the last whole step, whenever it is called.
    """
    last, stepped = time.monotonic(), False

    def step() -> None:
        nonlocal last, stepped
        stepped = True
        if partial.path is not None and time.monotonic() - last >= _SECONDS_BETWEEN:
            partial.save(arrays())
            last = time.monotonic()

    try:
        yield step
        if stepped:
            partial.save(arrays())
    except BaseException as stop:
        if partial.path is not None and not isinstance(stop, StoreError):
            try:
                partial.save(arrays())
            except StoreError as error:  # what stopped the work is the better message
                _LOG.warning("%s", error)
        raise
