"""Predicted bytes of pruned checkpoints against those of the checkpoints themselves, in every family with neurons."""

import copy

import pytest
from conformance.tiny import FAMILIES, tiny_model

from polyhead.compression.checkpoint_size import checkpoint_bytes, size_costs
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.models.loading import load_tokenizer
from polyhead.models.model_heads import full_mask, head_mask
from polyhead.models.model_neurons import full_neurons
from polyhead.models.pruning import fitted, prune


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_never_larger_than_predicted(family: str) -> None:
    model, words = tiny_model(family, layers=2), load_tokenizer("polyhead/tiny")
    whole = Plan(full_mask(model), full_neurons(model))
    costs = size_costs(model, whole, total=checkpoint_bytes(model, words))
    assert costs.of(whole.counts) == pytest.approx(checkpoint_bytes(model, words))
    heads, neurons = whole.heads.keep.copy(), whole.neurons.keep.copy()
    heads[0], neurons[1, 3:] = False, False
    plan = Plan(fitted(model, HeadMask(heads, whole.heads.group)), NeuronMask(neurons))
    smaller = prune(copy.deepcopy(model), plan.heads, neurons=plan.neurons)
    found, predicted = checkpoint_bytes(smaller, words), costs.of(plan.counts)
    assert found <= predicted + 1e-6
    assert predicted == pytest.approx(
        found, rel=0.02 if family.startswith(("t5", "mt5")) else 1e-9
    )  # layer 0 has position biases


@pytest.mark.parametrize("family", ["eurobert", "eurobert+one-key"])
def test_a_model_whose_keys_lost_some_of_their_heads(family: str) -> None:
    """A head that is left counts with its larger share of the key."""
    model, words = tiny_model(family, layers=2), load_tokenizer("polyhead/tiny")
    prune(model, HeadMask([[1, 0, 1, 0]] * 2))
    costs = size_costs(model, Plan(head_mask(model), full_neurons(model)), total=checkpoint_bytes(model, words))
    smaller = prune(copy.deepcopy(model), HeadMask([[0, 0, 0, 0], [1, 0, 1, 0]]))
    assert costs.of(Plan(head_mask(smaller), full_neurons(smaller)).counts) == pytest.approx(checkpoint_bytes(smaller, words))
