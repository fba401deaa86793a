"""Training under nested masks: each sentence is read with its own number of heads masked, so that one model serves every k."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.learning.batching import Batch
from polyhead.learning.encoding import IGNORED_LABEL
from polyhead.learning.losses import word_loss
from polyhead.learning.scoring_mode import restored
from polyhead.models.gates import gated

Draws = Literal["uniform", "front"]
_STREAM = 1  # beside the streams of dropout and data order


@dataclass(frozen=True)
class NestedMasks:
    """Nested masks; each sentence of a training batch is read under one of them, drawn at random (as in Cai et al. 2020).

    Attributes:
        masks: For k = 0..K pruned heads in one order: each keeps a subset of the heads that the one before keeps.
        draws: `uniform` over 0..K, or `front`: k = ⌊(K + 1)·u²⌋ with u uniform in [0, 1), so that small k are more frequent.
        taught: Sentences with k > 0 also learn from the model's own predictions with all heads: half of their loss is the
            Kullback-Leibler divergence from these. Costs one more forward pass per step.

    Raises:
        SettingError: There is no mask, or the masks are not nested.
    """

    masks: tuple[HeadMask, ...]
    draws: Draws = "uniform"
    taught: bool = False

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
        values = generator.random(n)
        k = np.floor(len(self.masks) * (values**2 if self.draws == "front" else values)).astype(np.int64)
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
    full = _full_logits(model, batch) if nested.taught else None
    with gated(model, nested.gates(k).to(batch.input_ids.device), rows=batch.rows):
        if full is None:
            yield word_loss(model, batch)
        else:
            yield _taught_loss(model, batch, full, torch.from_numpy(k > 0).to(batch.rows.device)[batch.rows])


def _taught_loss(model: PreTrainedModel, batch: Batch, full: Tensor, masked: Tensor) -> Tensor:
    """The loss in which the rows that are `masked` also learn from the logits with all heads."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()
    labelled = batch.labels != IGNORED_LABEL
    words, labels = logits[labelled], batch.labels[labelled]
    losses = cross_entropy(words, labels, reduction="none")
    divergence = kl_div(log_softmax(words, -1), log_softmax(full[labelled], -1), reduction="none", log_target=True).sum(-1)
    of_masked = masked[:, None].expand_as(labelled)[labelled]
    return torch.where(of_masked, (losses + divergence) / 2, losses).sum() / max(len(labels), 1)


@torch.no_grad()
def _full_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Logits with all heads, without dropout, float32 `[rows, length, labels]`."""
    with restored(model):
        model.eval()
        logits: Tensor = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()
    return logits
