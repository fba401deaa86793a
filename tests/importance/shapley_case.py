"""A model with five heads left, small enough to enumerate all sets for exact Shapley values."""

import itertools
import math

import numpy as np
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.losses import sentence_losses
from polyhead.models.gates import gated
from polyhead.models.pruning import prune

FIVE = HeadMask([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]])
HEADS = [(head.layer, head.head) for head in FIVE.kept]


def tiny_batches(budget: int = 40) -> list[Batch]:
    return scoring_batches(tiny_encoded(), budget=budget)


def five_heads() -> PreTrainedModel:
    """A float64 model with the heads of `FIVE` alone."""
    return prune(tiny_model("bert", dtype=torch.float64), FIVE)


def losses_of_set(model: PreTrainedModel, batch: Batch, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Loss of every sentence with the other heads off."""
    with torch.no_grad(), gated(model, HeadMask(keep)):
        return sentence_losses(model, batch, "fp32")[0].double().numpy()


def exact(model: PreTrainedModel, batch: Batch) -> NDArray[np.float64]:
    """Shapley values by enumeration of all sets, summed over the batch's sentences."""
    worth = {}
    for bits in itertools.product((False, True), repeat=len(HEADS)):
        keep = np.zeros((3, 4), dtype=np.bool_)
        for head, on in zip(HEADS, bits, strict=True):
            keep[head] = on
        worth[bits] = -losses_of_set(model, batch, keep).sum()
    values = np.zeros((3, 4))
    for place, head in enumerate(HEADS):
        for bits in worth:
            if not bits[place]:
                with_head = (*bits[:place], True, *bits[place + 1 :])
                weight = math.factorial(sum(bits)) * math.factorial(len(HEADS) - sum(bits) - 1) / math.factorial(len(HEADS))
                values[head] += weight * (worth[with_head] - worth[bits])
    return values
