"""Models pruned to a plan: equal to pruning without repair, nearer to the full model with it, and the given model left alone."""

import copy

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import MASKS, tiny_model
from transformers import PreTrainedModel

from polyhead.compression.plan_repair import pruned_to
from polyhead.compression.refit import refit
from polyhead.compression.repair import repaired
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.learning.batching import scoring_batches
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import full_neurons, neuron_mask
from polyhead.models.pruning import prune

BATCHES = scoring_batches(tiny_encoded(), budget=40)


def every_other(model: PreTrainedModel, layer: int) -> NeuronMask:
    keep = np.ones(full_neurons(model).shape, dtype=np.bool_)
    keep[layer, ::2] = False
    return NeuronMask(keep)


def distance(model: PreTrainedModel, other: PreTrainedModel) -> float:
    """Of the last hidden states at all tokens."""
    total = 0.0
    for batch in BATCHES:
        with torch.no_grad():
            one, two = (each.eval().base_model(**batch.inputs).last_hidden_state for each in (model, other))
        total += float((one - two)[batch.attention_mask.bool()].square().sum())
    return total


def test_without_repair_it_is_pruning() -> None:
    model = tiny_model("bert")
    plan = Plan(MASKS["uneven"], every_other(model, 1))
    small, wanted = pruned_to(model, plan, [], how="none"), prune(copy.deepcopy(model), plan.heads, neurons=plan.neurons)
    assert all(torch.equal(own, wanted.state_dict()[name]) for name, own in small.state_dict().items())
    assert (head_mask(model).n_pruned, neuron_mask(model).n_pruned) == (0, 0)


def test_means_are_those_of_heads() -> None:
    model = tiny_model("bert")
    plan = Plan(MASKS["uneven"], full_neurons(model))
    small, wanted = pruned_to(model, plan, BATCHES, how="means"), repaired(model, plan.heads, BATCHES, how="means")
    assert all(torch.equal(own, wanted.state_dict()[name]) for name, own in small.state_dict().items())


@pytest.mark.parametrize(("heads", "most"), [("all", 1.0), ("uneven", 0.9)])
def test_refitted_heads_make_up_for_neurons_below(heads: str, most: float) -> None:
    model = tiny_model("bert")
    mask = MASKS["uneven"] if heads == "uneven" else head_mask(model)
    plan = Plan(HeadMask(mask.keep), every_other(model, 0))
    bare, better = (pruned_to(model, plan, BATCHES, how=how) for how in ("none", "refit"))
    assert distance(better, model) < most * distance(bare, model)


def test_refit_wants_the_model_that_neurons_were_pruned_from() -> None:
    one, other = tiny_model("bert"), tiny_model("bert")
    full = HeadMask.full(*head_mask(one).shape)
    prune(one, full, neurons=every_other(one, 0))
    prune(other, full, neurons=every_other(other, 1))
    with pytest.raises(SettingError, match="neurons that the full one lacks"):
        refit(one, other, BATCHES)
