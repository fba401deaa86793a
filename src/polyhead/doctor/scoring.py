"""Checks of the importance method on this model: dead heads, kernels, the order of heads in the weights, nothing left behind."""

import math
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.progress import Silent
from polyhead.doctor.finding import Measured
from polyhead.doctor.state import changes, state_of
from polyhead.doctor.subject import Subject, copied, kernels, logits_apart, scores_apart, text_logits, under_kernel
from polyhead.models.architectures import PROJECTIONS, attention_sites


def dead_head(subject: Subject) -> Measured:
    """The score of the highest head once its output columns are zero, as a share of the largest score."""
    usual = np.abs(subject.usual.values)
    if np.isnan(usual).all():
        return Measured(math.nan, "the model has no heads left", excuse="not checked")
    layer, head = np.unravel_index(np.nanargmax(usual), usual.shape)
    model = copied(subject.model)
    site = attention_sites(model)[int(layer)]
    with torch.no_grad():
        site.output.weight[:, site.head_columns()[site.kept.index(int(head))]] = 0
    found = subject.score(model, subject.batches).values
    largest = np.nanmax(np.abs(found))
    value = abs(float(found[layer, head])) / largest if largest else 0.0
    return Measured(float(value), f"head {layer}.{head}", excuse="" if subject.row.dead_head_is_zero else "not promised")


def order_leaves_logits(subject: Subject) -> Measured:
    """Logits of a copy whose heads stand in another order in every layer against those of the model."""
    found = text_logits(reordered(subject.model), subject.batches)
    return Measured(logits_apart(found, text_logits(subject.model, subject.batches)))


def reordered(model: PreTrainedModel) -> PreTrainedModel:
    """A copy that computes the same with the heads of every layer moved on by one place, the last one to the first."""
    other = copied(model)
    for site in attention_sites(other):
        order = torch.tensor(_moved(range(len(site.kept))), dtype=torch.int64)
        for projection in PROJECTIONS:
            _reorder(getattr(site, projection), site.head_rows(projection), order, dim=0)
        _reorder(site.output, site.head_columns(), order, dim=1)
    return other


def _moved(places: Sequence[int]) -> list[int]:
    return [*places[-1:], *places[:-1]]


def _reorder(linear: nn.Linear, blocks: Tensor, order: Tensor, *, dim: int) -> None:
    """Write into each block `[heads, head_dim]` of rows or columns what stood in the one that `order` names."""
    parameters = [linear.weight] if dim or linear.bias is None else [linear.weight, linear.bias]
    to, origin = (index.flatten().to(linear.weight.device) for index in (blocks, blocks[order]))
    with torch.no_grad():
        for parameter in parameters:
            parameter.index_copy_(dim, to, parameter.index_select(dim, origin))


def kernels_agree(subject: Subject) -> Measured:
    """Scores under each of the two attention kernels against the usual ones."""
    names = kernels(subject.model)
    if len(names) == 1:
        return Measured(math.nan, f"the model has {names[0]} alone", excuse="not checked")
    values = [
        scores_apart(subject.score(under_kernel(subject.model, name), subject.batches).values, subject.usual.values)
        for name in names[1:]
    ]
    return Measured(float(np.max(values)), f"{' and '.join(names)}")


class _Stopped(KeyboardInterrupt):
    """What `_Stops` raises."""


class _Stops(Silent):
    """A `Progress` that ends the work at its first step."""

    def advance(self, n: int) -> None:
        """End the work."""
        raise _Stopped


def stopping_leaves_model(subject: Subject) -> Measured:
    """Number of ways in which the model differs after scoring that was stopped midway."""
    before = state_of(subject.model, hashed=False)
    with suppress(_Stopped):
        subject.score(subject.model, subject.batches, progress=_Stops())
    found = changes(before, state_of(subject.model, hashed=False))
    return Measured(len(found), "; ".join(found))


def no_test_split(subject: Subject) -> Measured:
    """Whether the text is of a test split, 0 or 1."""
    if subject.split is None:
        return Measured(math.nan, "a file does not say of which split it is; make sure that it is dev text", excuse="not checked")
    return Measured(float(subject.split == "test"), f"{subject.split} split")


def model_unchanged(subject: Subject) -> Measured:
    """Number of ways in which the model differs from what it was before the first check."""
    found = changes(subject.before, state_of(subject.model))
    return Measured(len(found), "; ".join(found))
