"""Training under nested masks or plans: each sentence is read under one of them, so that one model serves every size."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.learning.batching import Batch
from polyhead.learning.losses import word_loss
from polyhead.learning.teaching import Teacher, lesson, taught_loss
from polyhead.models.gates import gated

_STREAM = 1  # beside the streams of dropout and data order


@dataclass(frozen=True)
class NestedMasks:
    """Nested masks or plans; each sentence of a training batch is read under one of them, drawn at random (Cai et al. 2020).

    Attributes:
        masks: For k = 0..K, each keeps a subset of what the one before keeps: masks of heads, or plans of heads and neurons. A
            plan without heads and neurons in a layer drops the layer.

    Raises:
        SettingError: There is no mask, masks and plans are mixed, or they are not nested.
    """

    masks: tuple[HeadMask, ...] | tuple[Plan, ...]

    def __post_init__(self) -> None:
        if not self.masks:
            raise SettingError("nested masks: there is none; give those of k = 0..K")
        if len({type(mask) for mask in self.masks}) > 1:
            raise SettingError("nested masks: some are masks of heads and some plans; give masks alone or plans alone")
        every: tuple[HeadMask | Plan, ...] = self.masks
        for k, (mask, following) in enumerate(pairwise(every)):
            for what, less, more in zip(("heads", "neurons"), _keeps(mask), _keeps(following), strict=False):
                if less.shape != more.shape or bool((more & ~less).any()):
                    raise SettingError(
                        f"nested masks: mask {k + 1} keeps {what} that mask {k} does not; masks of one order are nested"
                    )

    @property
    def order(self) -> tuple[str, ...]:
        """The heads that the masks drop one after another, as `layer.head`."""
        heads = [_heads(mask) for mask in self.masks]
        return tuple(str(head) for less, more in pairwise(heads) for head in less.kept if not more.keep[head.layer, head.head])

    def drawn(self, n: int, *, seed: int, step: int) -> NDArray[np.int64]:
        """The k of each of a batch's `n` sentences, int64; of two sentences or more one has k = 0 and another k = K."""
        generator = np.random.default_rng((seed, step, _STREAM))
        k = np.floor(len(self.masks) * generator.random(n)).astype(np.int64)
        if n > 1:
            ends = generator.permutation(n)[:2]
            k[ends] = (0, len(self.masks) - 1)
        return k

    def gates(self, k: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The heads of these k, bool `[sentences, layers, heads]`."""
        return torch.from_numpy(np.stack([_heads(self.masks[each]).keep for each in k]))

    def neuron_gates(self, k: Sequence[int] | NDArray[np.int64]) -> Tensor | None:
        """The neurons of these k, bool `[sentences, layers, neurons]`; None if only heads are masked."""
        neurons = [_neurons(self.masks[each]) for each in k]
        found = [own.keep for own in neurons if own is not None]
        return torch.from_numpy(np.stack(found)) if found else None


def _heads(mask: HeadMask | Plan) -> HeadMask:
    return mask.heads if isinstance(mask, Plan) else mask


def _neurons(mask: HeadMask | Plan) -> NeuronMask | None:
    return mask.neurons if isinstance(mask, Plan) else None


def _keeps(mask: HeadMask | Plan) -> tuple[NDArray[np.bool_], ...]:
    return (mask.heads.keep, mask.neurons.keep) if isinstance(mask, Plan) else (mask.keep,)


@contextmanager
def step_loss(
    model: PreTrainedModel,
    batch: Batch,
    nested: NestedMasks | None,
    *,
    seed: int,
    step: int,
    teacher: Teacher | None = None,
) -> Iterator[Tensor]:
    """The loss of one training step, the mean over the batch's words; call `backward` inside the block.

    With nested masks each sentence is read under its own mask. `Teacher` says who learns what from one, and at which cost.
    """
    device, masked = batch.input_ids.device, None
    k = None if nested is None else nested.drawn(len(batch.sentences), seed=seed, step=step)
    if k is not None:
        masked = torch.from_numpy(k > 0).to(device)
    shown = None if teacher is None else lesson(teacher, model, batch, masked)
    if nested is None or k is None:
        yield word_loss(model, batch) if shown is None else taught_loss(model, batch, shown)
        return
    neurons = nested.neuron_gates(k)
    with gated(model, nested.gates(k).to(device), rows=batch.rows, neurons=None if neurons is None else neurons.to(device)):
        yield word_loss(model, batch) if shown is None else taught_loss(model, batch, shown)
