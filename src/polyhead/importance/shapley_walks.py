"""Random removal orders of heads, and the losses along them: one walk of one batch from all heads to none."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.importance.data_pass import wide
from polyhead.learning.batching import Batch
from polyhead.learning.losses import losses_of
from polyhead.learning.shared_prefix import masked_logits
from polyhead.models.devices import Precision, attention_kernel
from polyhead.models.model_heads import full_mask


@dataclass(frozen=True)
class Order:
    """A removal order: each step has one layer for all sentences of a batch, and in it one head per sentence.

    Attributes:
        layers: int64 `[steps]`.
        heads: int64 `[steps, sentences]`.
    """

    layers: NDArray[np.int64]
    heads: NDArray[np.int64]

    def reversed(self) -> "Order":
        """The reverse order."""
        return Order(self.layers[::-1], self.heads[::-1])


def random_order(present: HeadMask, n_sentences: int, generator: np.random.Generator) -> Order:
    """An order that is, for each sentence, uniform over all permutations of the heads present.

    It combines a uniform arrangement of the layers, each repeated once per head, with a uniform permutation of each layer's heads
    for every sentence: every permutation of all heads comes from exactly one such pair. Sentences share only the arrangement, so
    a step leaves the layers below unchanged in all of them.
    """
    counts = present.keep.sum(axis=1)
    layers = generator.permutation(np.repeat(np.arange(present.n_layers), counts))
    heads = np.empty((len(layers), n_sentences), dtype=np.int64)
    for layer in np.flatnonzero(counts):
        own = np.flatnonzero(present.keep[layer])
        heads[layers == layer] = generator.permuted(np.tile(own, (n_sentences, 1)), axis=1).T
    return Order(layers, heads)


def find_ends(model: PreTrainedModel, batch: Batch, precision: Precision) -> NDArray[np.float64]:
    """Losses with all heads on and all off, float64 `[2, sentences]`, 0 where nothing is labelled; costs two forward passes.

    Call it inside `scoring_mode`, without gradients.
    """
    every = full_mask(model)
    with attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="predict"):
        both = masked_logits(model, batch, [every, HeadMask(np.zeros_like(every.keep))])
        return np.stack([wide(losses_of(logits, batch)[0]) for logits in both])


def walk(
    model: PreTrainedModel,
    batch: Batch,
    order: Order,
    ends: NDArray[np.float64],
    present: HeadMask,
    *,
    precision: Precision,
    truncation: float = 0.0,
) -> tuple[NDArray[np.float64], float]:
    """Contribution of each head, summed over sentences `[layers, heads]`, and the cost in forward passes.

    A head contributes v before minus v after its removal; v is minus the loss. Both ends are known, so a walk of n steps takes
    n - 1 evaluations: the first a whole pass, the others only the layers from that step's layer up. Call it inside
    `scoring_mode`, without gradients.

    Args:
        model: A token classifier.
        batch: On the model's device.
        order: Of all heads present.
        ends: Losses of this batch, from `find_ends`.
        present: Heads that the model has.
        precision: Precision of the caller's block.
        truncation: See `shapley`; heads still on when the walk ends count as zero.
    """
    full, none = ends
    near = truncation * np.abs(full - none).sum()
    found: list[Tensor] = []
    truncated = False
    with attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="predict"):
        for logits in masked_logits(model, batch, _masks(order, present, len(batch.sentences))):
            found.append(losses_of(logits, batch)[0])
            # only if truncating: reading a loss on a GPU waits for all queued work
            if truncation > 0 and np.abs(wide(found[-1]) - none).sum() <= near:
                truncated = True
                break
    between = [*wide(torch.stack(found))] if found else []
    losses = np.stack([full, *between, *([] if truncated else [none])])  # [steps + 1, sentences]
    sums = np.zeros(present.keep.shape)
    steps = min(len(losses) - 1, len(order.layers))
    np.add.at(sums, (order.layers[:steps, None], order.heads[:steps]), np.diff(losses, axis=0)[:steps])
    above = present.n_layers - order.layers[1 : len(found)]  # layers that each evaluation but the first computes
    return sums, float(1 + (above / present.n_layers).sum()) if found else 0.0


def expected_cost(present: HeadMask) -> float:
    """Mean number of forward passes per walk without truncation."""
    steps = present.n_kept - 1
    if steps < 1:
        return 0.0
    share = (present.keep.sum(axis=1) * np.arange(present.n_layers, 0, -1)).sum() / present.n_layers / present.n_kept
    return float(1 + (steps - 1) * share)


def _masks(order: Order, present: HeadMask, n_sentences: int) -> Iterator[Tensor]:
    """Heads still on after every step but the last: bool `[sentences, layers, heads]`."""
    keep = np.tile(present.keep, (n_sentences, 1, 1))
    sentences = np.arange(n_sentences)
    for layer, heads in zip(order.layers[:-1], order.heads[:-1], strict=True):
        keep[sentences, layer, heads] = False
        yield torch.from_numpy(keep.copy())
