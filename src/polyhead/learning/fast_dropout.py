"""Dropout with fast random bits on a CPU, seeded per step."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

# torch draws Bernoulli values one by one on one thread; a block generator with 16 bits per value is ten times as fast.
_LEVELS = 2**16
_BLOCK = 2**18


class RandomBits:
    """A stream of 16-bit random values that depends only on (seed, step) and the calls since `start`."""

    def __init__(self) -> None:
        self.start(0, 0)

    def start(self, seed: int, step: int) -> None:
        """Begin the stream of `step`."""
        self._generator = np.random.Generator(np.random.SFC64((seed, step)))
        self._values = torch.empty(0, dtype=torch.int16)
        self._used = 0

    def take(self, n: int) -> Tensor:
        """The next `n` values over the whole int16 range; a view that later calls do not change."""
        if self._used + n > len(self._values):
            words = (max(n, _BLOCK) + 3) // 4
            drawn = self._generator.integers(0, 2**64, size=words, dtype=np.uint64)
            self._values, self._used = torch.from_numpy(drawn.view(np.int16)), 0
        self._used += n
        return self._values[self._used - n : self._used]


class BitDropout(nn.Module):
    """`nn.Dropout(p)` with bits from `RandomBits`; p is rounded to a multiple of 2**-16, and the scale matches it."""

    def __init__(self, p: float, bits: RandomBits) -> None:
        super().__init__()
        self.p = p
        self._bits = bits
        self._dropped = round(p * _LEVELS)

    def forward(self, values: Tensor) -> Tensor:
        """`values` with a share p of zeros and the rest scaled up; unchanged in eval mode."""
        if not self.training:
            return values
        kept = self._bits.take(values.numel()).view(values.shape) >= self._dropped - _LEVELS // 2
        return values * kept.to(values.dtype).mul_(_LEVELS / (_LEVELS - self._dropped))


@contextmanager
def cheap_dropout(model: nn.Module) -> Iterator[RandomBits]:
    """A context in which every `nn.Dropout` of a model on a CPU is a `BitDropout` over the yielded bits.

    Models with gradient checkpointing or compiled code keep torch's dropout, because a second forward pass would not see the
    same bits. So do models on other devices, whose generators are fast.
    """
    bits = RandomBits()
    replaced = [
        (parent, name, child)
        for parent in (model.modules() if _fits(model) else ())
        for name, child in parent.named_children()
        if type(child) is nn.Dropout and 2 / _LEVELS < child.p < 1 - 2 / _LEVELS
    ]
    try:
        for parent, name, child in replaced:
            setattr(parent, name, BitDropout(child.p, bits).train(child.training))
        yield bits
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child.train(getattr(parent, name).training))


def _fits(model: nn.Module) -> bool:
    modules, on_cpu = list(model.modules()), all(parameter.device.type == "cpu" for parameter in model.parameters())
    compiled = "torch._dynamo" in sys.modules and any(  # otherwise nothing is compiled, and importing it takes seconds
        isinstance(m, torch._dynamo.OptimizedModule) or m._compiled_call_impl for m in modules
    )
    return on_cpu and not compiled and not any(getattr(m, "gradient_checkpointing", False) for m in modules)
