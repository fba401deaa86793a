"""Unfinished work in one file; the same work started again continues from it."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import StoreError, note_kept
from polyhead.core.files import replacing
from polyhead.core.values import differences, jsonable
from polyhead.learning.batching import Batch
from polyhead.models.environment import machine, warn_of_another_machine

_LOG = logging.getLogger(__name__)
_MARK: Final = "polyhead unfinished work"
_FORM: Final = 2
_SECONDS_BETWEEN: Final = 10.0

Array = Tensor | NDArray[Any]
State = Mapping[str, Any]
"""Tensors, numpy arrays and JSON values by name: everything needed to continue."""


@dataclass(frozen=True)
class Partial:
    """The file of one unit of work; nothing is kept if `path` is None.

    It is a safetensors file whose metadata holds the identity, the JSON values and a sha256 of everything.

    Attributes:
        path: The file, which need not exist.
        identity: JSON values that identify the work, by names fit for messages.
        machine: Facts that affect the last digits; a difference is logged.
        replaceable: Whether other work may replace what is saved, instead of being refused.
    """

    path: Path | None
    identity: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    replaceable: bool = False

    def load(self) -> dict[str, Any] | None:
        """The stored state; None without a file, or with a damaged one or a replaceable one of other work, which is logged.

        Raises:
            StoreError: The file belongs to other work and is not replaceable, or is not polyhead's.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with self.path.open("rb") as file:
                begin = file.read(200)
            ours = not begin or _MARK.encode() in begin
            head, tensors = _read(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read ({error.strerror or error}); name another file or delete it") from None
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            if not ours:
                raise StoreError(f"{self.path}: not unfinished work of polyhead; name another file or delete it") from None
            _LOG.warning("%s: damaged (%s); its work is done again", self.path, error)
            return None
        if changed := "; ".join(differences(head["identity"], self._identity())):
            if head.get("replaceable"):
                _LOG.warning("%s: is of other work (%s) and is replaced", self.path, changed)
                return None
            raise StoreError(
                f"{self.path}: belongs to other work ({changed}); finish it with its own command, name another file, or delete "
                "this one"
            )
        warn_of_another_machine(str(self.path), self.machine, head["machine"])
        arrays = {name: tensor.numpy() if name in head["numpy"] else tensor for name, tensor in tensors.items()}
        return {**head["facts"], **arrays}

    def save(self, state: State) -> None:
        """Replace the stored state; a kill at any moment leaves the old or the new one.

        Raises:
            StoreError: The file cannot be written.
        """
        if self.path is None:
            return
        was_numpy = [name for name, value in state.items() if isinstance(value, np.ndarray)]
        tensors = {name: torch.from_numpy(np.array(state[name], order="C")) for name in was_numpy}
        tensors |= {name: value.detach().contiguous() for name, value in state.items() if isinstance(value, Tensor)}
        head = {
            "identity": self._identity(),
            "machine": dict(self.machine),
            "facts": jsonable({name: value for name, value in state.items() if name not in tensors}),
            "numpy": was_numpy,
            "replaceable": self.replaceable,
        }
        _write(self.path, head, tensors)

    def _identity(self) -> dict[str, Any]:
        return dict(jsonable({"form": _FORM, **self.identity}))


def make_replaceable(path: Path) -> None:
    """Let other work replace what a file keeps, instead of being refused; the same work still continues from it.

    For work that ended: nobody waits for it, but it may be asked for again. A missing or damaged file stays as it is, and so does
    one that cannot be written, which is logged.
    """
    try:
        head, tensors = _read(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return
    try:
        _write(path, {**head, "replaceable": True}, tensors)
    except StoreError as error:
        _LOG.warning("%s", error)


def _write(path: Path, head: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    sealed = json.dumps({**head, "sha256": _seal(head, tensors)})
    with replacing(path, n_bytes=sum(tensor.nbytes for tensor in tensors.values())) as temporary:
        save_file(dict(tensors), temporary, {_MARK: sealed})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        head = json.loads((file.metadata() or {})[_MARK])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if head.pop("sha256") != _seal(head, tensors):
        raise ValueError("its content is not what was written")
    # copies: Windows cannot replace a file that is still mapped
    return head, {name: tensor.clone() for name, tensor in tensors.items()}


def _seal(head: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    text = json.dumps(head, sort_keys=True) + hash_of(sorted(tensors.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_of(arrays: Iterable[tuple[str, Array]]) -> str:
    """The sha256 of names, types, shapes and bytes, in the given order; takes about a second per gigabyte."""
    digest = hashlib.sha256()
    for name, array in arrays:
        tensor = torch.from_numpy(np.array(array, order="C")) if isinstance(array, np.ndarray) else array.detach().cpu()
        digest.update(f"{name} {tensor.dtype} {[*tensor.shape]} ".encode())
        # through bytes: numpy has no bfloat16; and torch has no such view of an empty array
        if tensor.numel():
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def kept_at(
    path: Path | None,
    model: PreTrainedModel,
    batches: Sequence[Batch],
    facts: Mapping[str, Any],
    *,
    replaceable: bool = False,
) -> Partial:
    """Unfinished work with this model on this data; hashes nothing if `path` is None.

    Args:
        path: The file, or None.
        model: Its weights are hashed.
        batches: The data; the hash depends on order and padding.
        facts: What else identifies the work: method, seed, settings that affect results.
        replaceable: Whether other work may replace it.
    """
    if path is None:
        return Partial(None)
    data = (
        (name, value if isinstance(value, Tensor) else np.array(value))
        for batch in batches
        for name, value in vars(batch).items()
        if value is not None
    )
    hashes = {"weights": hash_of(model.state_dict().items())[:16], "data": hash_of(data)[:16]}
    return Partial(path, {**facts, **hashes}, machine(next(model.parameters()).device), replaceable)


@contextmanager
def saving(partial: Partial, state: Callable[[], State]) -> Iterator[Callable[[], None]]:
    """A context for long work; yields a function to call after every step, which saves the state at most every ten seconds.

    The state is also saved at the end and when an exception leaves the block; an interrupt notes what is kept. The file stays, so
    that nothing is lost if the result cannot be written; the caller removes it once the result is safe.

    Args:
        partial: The file.
        state: Returns the state after the last complete step.
    """
    last, stepped = time.monotonic(), False

    def step() -> None:
        nonlocal last, stepped
        stepped = True
        if partial.path is not None and time.monotonic() - last >= _SECONDS_BETWEEN:
            partial.save(state())
            last = time.monotonic()

    try:
        yield step
        if stepped:
            partial.save(state())
    except BaseException as stop:
        if stepped and not isinstance(stop, StoreError):
            try:
                partial.save(state())
            except StoreError as error:  # the exception that stopped the work matters more
                _LOG.warning("%s", error)
        if partial.path is not None and partial.path.exists():
            note_kept(stop, partial.path)
        raise
