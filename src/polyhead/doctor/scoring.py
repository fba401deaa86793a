"""Checks of the importance method on this model: dead heads, kernels, order of heads in the weights, the model unchanged."""

from contextlib import suppress

import numpy as np
import torch
from transformers import PreTrainedModel

from polyhead.core.progress import Silent
from polyhead.doctor.finding import Measured, unchecked
from polyhead.doctor.state import changes, state_of
from polyhead.doctor.subject import Subject, copied, kernels, logits_apart, scores_apart, text_logits, under_kernel
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import reorder_heads


def dead_head(subject: Subject) -> Measured:
    """The score of the top head after its output columns are set to zero, relative to the largest score."""
    usual = np.abs(subject.usual.values)
    if np.isnan(usual).all():
        return unchecked("the model has no heads left")
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
    """Logits of the model against those of a copy with another order of heads in every layer."""
    found = text_logits(reordered(subject.model), subject.batches)
    return Measured(logits_apart(found, text_logits(subject.model, subject.batches)))


def reordered(model: PreTrainedModel) -> PreTrainedModel:
    """An equivalent copy with the heads of every layer moved by one place, the last one to the first."""
    other = copied(model)
    reorder_heads(other)
    return other


def kernels_agree(subject: Subject) -> Measured:
    """Scores under the other attention kernel against those under the model's own."""
    names = kernels(subject.model)
    if len(names) == 1:
        return unchecked(f"the model has {names[0]} only")
    values = [
        scores_apart(subject.score(under_kernel(subject.model, name), subject.batches).values, subject.usual.values)
        for name in names[1:]
    ]
    return Measured(float(np.max(values)), " and ".join(names))


class _Stopped(KeyboardInterrupt):
    pass


class _Stops(Silent):
    def advance(self, n: int) -> None:
        raise _Stopped


def stopping_leaves_model(subject: Subject) -> Measured:
    """Number of kinds of changes in the model after interrupted scoring."""
    before = state_of(subject.model, hashed=False)
    with suppress(_Stopped):
        subject.score(subject.model, subject.batches, progress=_Stops())
    found = changes(before, state_of(subject.model, hashed=False))
    return Measured(len(found), "; ".join(found))


def no_test_split(subject: Subject) -> Measured:
    """Whether the text is from a test split, 0 or 1."""
    if subject.split is None:
        return unchecked("a file does not say which split it is; make sure that it is dev text")
    return Measured(float(subject.split == "test"), f"{subject.split} split")


def model_unchanged(subject: Subject) -> Measured:
    """Number of kinds of changes in the model since before the first check."""
    found = changes(subject.before, state_of(subject.model))
    return Measured(len(found), "; ".join(found))
