"""Training under nested masks: each sentence is read with its own number of heads masked, so that one model serves every k."""

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
from polyhead.learning.batching import Batch
from polyhead.learning.losses import word_loss
from polyhead.models.gates import gated

_STREAM = 1  # beside the streams of dropout and data order


@dataclass(frozen=True)
class NestedMasks:
    """Nested masks; each sentence of a training batch is read under one of them, drawn at random (as in Cai et al. 2020).

    Attributes:
        masks: For k = 0..K pruned heads in one order: each keeps a subset of the heads that the one before keeps.

    Raises:
        SettingError: There is no mask, or the masks are not nested.
    """

    masks: tuple[HeadMask, ...]

    def __post_init__(self) -> None:
        if not self.masks:
            raise SettingError("nested masks: there is none; give those of k = 0..K")
        for k, (mask, following) in enumerate(pairwise(self.masks)):
            if mask.keep.shape != following.keep.shape or bool((following.keep & ~mask.keep).any()):
                raise SettingError(
                    f"nested masks: mask {k + 1} keeps heads that mask {k} does not; masks of one order are nested"
                )

    @property
    def order(self) -> tuple[str, ...]:
        """The heads that the masks drop one after another, as `layer.head`."""
        return tuple(
            str(head) for less, more in pairwise(self.masks) for head in less.kept if not more.keep[head.layer, head.head]
        )

    def drawn(self, n: int, *, seed: int, step: int) -> NDArray[np.int64]:
        """The k of each of a batch's `n` sentences, int64; of two sentences or more one has k = 0 and another k = K."""
        generator = np.random.default_rng((seed, step, _STREAM))
        k = np.floor(len(self.masks) * generator.random(n)).astype(np.int64)
        if n > 1:
            ends = generator.permutation(n)[:2]
            k[ends] = (0, len(self.masks) - 1)
        return k

    def gates(self, k: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The masks of these k, bool `[sentences, layers, heads]`."""
        return torch.from_numpy(np.stack([self.masks[each].keep for each in k]))


@contextmanager
def step_loss(model: PreTrainedModel, batch: Batch, nested: NestedMasks | None, *, seed: int, step: int) -> Iterator[Tensor]:
    """The loss of one training step, the mean over the batch's labelled words; call `backward` inside the block.

    With nested masks each sentence is read under its own mask.
    """
    if nested is None:
        yield word_loss(model, batch)
        return
    k = nested.drawn(len(batch.sentences), seed=seed, step=step)
    with gated(model, nested.gates(k).to(batch.input_ids.device), rows=batch.rows):
        yield word_loss(model, batch)
