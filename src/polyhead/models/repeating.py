"""Modules that return what they returned before."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def repeating(module: nn.Module, outputs: Sequence[Any]) -> Iterator[None]:
    """A context in which the module returns `outputs` one call after the other, for any input."""
    left = iter(outputs)
    # a wrapper (a compiled block, a device hook) may have set its own forward on the instance
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = lambda *args, **kwargs: next(left)
    try:
        yield
    finally:
        if own is None:
            module.__dict__.pop("forward", None)
        else:
            module.__dict__["forward"] = own
