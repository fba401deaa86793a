"""The check of gradients: autograd's gate gradients against finite differences, in float64."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.heads import HeadId
from polyhead.doctor.finding import Measured, largest, unchecked
from polyhead.doctor.subject import Subject
from polyhead.learning.batching import Batch
from polyhead.learning.losses import sentence_losses
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.learning.seen_embeddings import SeenRows
from polyhead.models import gates
from polyhead.models.devices import free_memory
from polyhead.models.model_heads import full_mask, head_mask

_STEP = 1e-3  # the truncation error is about its square, the rounding error of float64 about 1e-13
_HEADS_BY_SIZE = _HEADS_BY_CHANCE = 2


def gradients_are_differences(subject: Subject) -> Measured:
    """Gate gradients of the mean loss against central differences, for the two steepest heads and two random ones.

    If scores are means over sentences of a power of |gradient|, the scores are compared as well. The value is the largest
    difference relative to the largest expected value.
    """
    if not head_mask(subject.model).n_kept:
        return unchecked("the model has no heads left")
    if short := _lacking(subject.model):
        return unchecked(f"a copy in float64 needs {short} more memory")
    model = wide_copy(subject.model, subject.batches)
    batches = [batch.to(model.device) for batch in subject.batches]
    gradient = _gradient(model, batches)
    heads = _chosen(subject, gradient)
    by_head = torch.stack([_differences(model, batches, head) for head in heads], dim=1)  # [labelled sentences, heads]
    means = by_head.mean(dim=0)
    apart = {"gate gradients": _apart(_at(gradient, heads), means)}
    if (power := subject.row.gradient_power) is not None:
        expected = (by_head.abs() ** power).mean(dim=0)
        scores = subject.score(model, batches)
        apart["scores"] = _apart(_at(scores.values, heads), expected)
        if scores.signed is not None:
            apart["signed scores"] = _apart(_at(scores.signed, heads), -means)
    worst = largest(apart)
    return Measured(apart[worst], f"{worst} of heads {' '.join(map(str, heads))}")


def wide_copy(model: PreTrainedModel, batches: list[Batch]) -> PreTrainedModel:
    """A copy in float64 and eval mode for these batches only: its input embedding holds just the rows that they need.

    The whole embedding is most of a multilingual model.
    """
    whole = model.get_input_embeddings()
    replaced: dict[int, object] = {}
    if type(whole) is nn.Embedding:
        rows = torch.unique(torch.cat([batch.input_ids.flatten() for batch in batches]))
        replaced[id(whole)] = SeenRows(whole, rows.to(whole.weight.device))
    other = copy.deepcopy(model, replaced).eval()
    return (other.cpu() if model.device.type == "mps" else other).double()  # MPS has no float64


def _lacking(model: PreTrainedModel) -> str:
    """The memory that a float64 copy lacks; empty if it fits or the free memory is unknown."""
    whole = model.get_input_embeddings().weight.numel()
    needed = 12 * (sum(parameter.numel() for parameter in model.parameters()) - whole)  # float32 first, then float64 of it
    free = torch.cuda.mem_get_info(model.device)[0] if model.device.type == "cuda" else free_memory()
    return "" if free is None or needed <= free else f"{(needed - free) / 2**30:.1f} GiB"


def _gradient(model: PreTrainedModel, batches: list[Batch]) -> NDArray[np.float64]:
    """Gradient of the mean sentence loss with respect to the gates, `[layers, heads]`, on the CPU."""
    full = full_mask(model)
    ones = torch.ones(full.keep.shape, dtype=torch.float64, device=model.device, requires_grad=True)
    total = torch.zeros_like(ones)
    n = 0
    with scoring_mode(model, "fp32"), torch.enable_grad(), gates.gated(model, ones):
        for batch in batches:
            losses, labelled = sentence_losses(model, batch, "fp32")
            total += torch.autograd.grad(losses.sum(), ones)[0]
            n += int(labelled.sum())
    return (total / n).cpu().numpy()


def _differences(model: PreTrainedModel, batches: list[Batch], head: HeadId) -> Tensor:
    """Central difference of every labelled sentence's loss in one head's gate around 1, on the CPU."""
    sides = []
    for step in (_STEP, -_STEP):
        moved = torch.ones(full_mask(model).keep.shape, dtype=torch.float64, device=model.device)
        moved[head.layer, head.head] += step
        with scoring_mode(model, "fp32"), torch.no_grad(), gates.gated(model, moved):
            found = [sentence_losses(model, batch, "fp32") for batch in batches]
        sides.append(torch.cat([losses[labelled] for losses, labelled in found]).cpu())
    return (sides[0] - sides[1]) / (2 * _STEP)


def _chosen(subject: Subject, gradient: NDArray[np.float64]) -> list[HeadId]:
    heads = sorted(head_mask(subject.model).kept, key=lambda head: -abs(gradient[head.layer, head.head]))
    steepest, others = heads[:_HEADS_BY_SIZE], heads[_HEADS_BY_SIZE:]
    drawn = np.random.default_rng(subject.seed).permutation(len(others))[:_HEADS_BY_CHANCE]
    return steepest + [others[place] for place in drawn]


def _at(values: NDArray[np.float64], heads: list[HeadId]) -> Tensor:
    return torch.tensor([values[head.layer, head.head] for head in heads], dtype=torch.float64)


def _apart(found: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest expected value."""
    apart = float((found - expected).abs().max())
    return apart / float(expected.abs().max()) if apart else 0.0
