"""What can be done with a few labelled sentences of a target: heads by sign, learnt gates, fine-tuning, and both."""

import copy
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel
from treebanks import LABELS, POS

from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches, training_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.inference import Labelled
from polyhead.learning.losses import sentence_losses
from polyhead.learning.masked_evaluation import masked_scores
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.learning.training import fit
from polyhead.models.devices import pick_precision
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.pruning import prune
from polyhead.selection.ranking import masks_for, rank

Criterion = Literal["loss", "accuracy"]
BATCH = 5  # divides 10, 25 and 100, so no step rests on a single sentence
WARMUP = 0.1


@dataclass(frozen=True)
class Tuning:
    """Optimiser steps and peak rate of fine-tuning all weights."""

    steps: int
    rate: float


@dataclass(frozen=True)
class Gating:
    """Optimiser steps, peak rate and penalty of learning gates: the penalty is `pull` times Σ (gate − 1)²."""

    steps: int
    rate: float
    pull: float


def by_sign(model: PreTrainedModel, few: Labelled, *, by: Criterion) -> HeadMask:
    """The mask without the k heads whose removal lowers the loss most, to first order; k is chosen on the same sentences.

    Candidates are the heads with a negative signed gradient score; k is 0..12, then every sixth. The mask with the lowest loss is
    chosen, or that with the highest accuracy, ties to the lower loss. Costs one forward and one backward pass, and less than one
    forward pass per k.
    """
    batches = scoring_batches(few.encoded)
    signed = score_heads("gradient", model, batches).signed
    assert signed is not None
    order = [head for head in rank(signed) if signed[head.layer, head.head] < 0]
    ks = [k for k in range(len(order) + 1) if k <= 12 or k % 6 == 0]
    masks = masks_for(order, ks, signed.shape)
    metric, losses = masked_scores(model, batches, few, POS, LABELS, masks)
    keys = zip(np.zeros(len(ks)) if by == "loss" else -metric.round(9), losses, strict=True)
    return min(zip(keys, masks, strict=True), key=lambda one: one[0])[1]


def pruned(model: PreTrainedModel, mask: HeadMask) -> PreTrainedModel:
    """A pruned copy."""
    return prune(copy.deepcopy(model), mask)


def tuned(model: PreTrainedModel, few: Encoded, how: Tuning, *, seed: int) -> PreTrainedModel:
    """A copy with all weights fine-tuned on the sentences, for a number of steps that does not depend on how many there are."""
    epochs = how.steps // math.ceil(few.n_sentences / BATCH)
    spec = TrainSpec(epochs=epochs, batch_size=BATCH, learning_rate=how.rate, warmup=WARMUP, order="shuffled", seed=seed)
    other = copy.deepcopy(model)
    fit(other, few, spec)
    return other


def learnt_gates(model: PreTrainedModel, few: Encoded, how: Gating, *, seed: int) -> Tensor:
    """One real-valued gate per head, `[layers, heads]`, learnt from 1 with frozen weights and without dropout.

    Adam on the mean sentence loss plus the penalty, with the schedule and the batches of `tuned`.
    """
    gates = torch.ones(full_mask(model).shape, requires_grad=True)
    optimiser = torch.optim.Adam([gates], lr=how.rate)
    precision, step = pick_precision("auto", model.device), 0
    rising = max(1, round(WARMUP * how.steps))
    with scoring_mode(model, precision), gated(model, gates):
        while step < how.steps:
            epoch = step // math.ceil(few.n_sentences / BATCH)
            for batch in training_batches(few, batch_size=BATCH, order="shuffled", seed=seed, epoch=epoch)[: how.steps - step]:
                share = min((step + 1) / rising, (how.steps - step) / (how.steps - rising))
                optimiser.param_groups[0]["lr"] = how.rate * share
                losses, labelled = sentence_losses(model, batch, precision)
                loss = losses.sum() / labelled.sum().clamp(min=1) + how.pull * (gates - 1).square().sum()
                (gates.grad,) = torch.autograd.grad(loss, gates)
                optimiser.step()
                step += 1
    return gates.detach()


def folded(model: PreTrainedModel, gates: Tensor) -> PreTrainedModel:
    """A copy whose output projections hold the gates: an ordinary model with the logits that `gated` gives."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for site in attention_sites(other):
            site.output.weight.mul_(gates[site.layer, list(site.kept)].repeat_interleave(site.head_dim))
    return other
