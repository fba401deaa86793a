"""Scores of neurons against the definition, and those of heads beside them."""

import copy
from typing import Literal

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.sentence_case import tiny_classifier, tiny_sentences
from conformance.tiny import FAMILIES, PAD, tiny_model
from torch.nn.functional import cross_entropy

from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.importance.methods import score_heads
from polyhead.importance.neurons import score_plan
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.models.gates import gated
from polyhead.models.model_neurons import full_neurons, neuron_sites
from polyhead.models.pruning import prune

ENCODED = tiny_encoded()
LABELLED = [0, 1, 2, 3, 4, 6]
WHOLE = HeadMask.full(3, 4)


def batches(budget: int = 40) -> list[Batch]:
    return scoring_batches(ENCODED, budget=budget)


@pytest.mark.parametrize("family", ["xlm-roberta", "modernbert"])
def test_gradient_and_fisher_are_means_over_sentences_alone(family: str) -> None:
    model, every = tiny_model(family, dtype=torch.float64), []
    for sentence in LABELLED:
        batch = collate([[window for window in ENCODED.windows if window.sentence == sentence]], pad_id=PAD)
        gates = torch.ones(full_neurons(model).shape, dtype=torch.float64, requires_grad=True)
        with gated(model, WHOLE, neurons=gates):
            logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
            loss = cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
            every.append(torch.autograd.grad(loss, gates)[0].numpy())
    for given in (batches(), batches(1)[::-1]):
        found = score_plan("gradient", model, given, precision="fp32")
        np.testing.assert_allclose(found.neurons, np.abs(every).mean(0), rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(found.signed, -np.mean(every, 0), rtol=1e-6, atol=1e-12)
        assert found.heads.n == len(LABELLED)
        fisher = score_plan("fisher", model, given, precision="fp32")
        np.testing.assert_allclose(fisher.neurons, np.square(every).mean(0), rtol=1e-6, atol=1e-12)
        assert fisher.signed is None


@pytest.mark.parametrize("method", ["gradient", "fisher", "magnitude", "random"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_heads_have_the_scores_that_they_have_alone(method: str, precision: Literal["fp32", "bf16"]) -> None:
    model = tiny_model("bert")
    found = score_plan(method, model, batches(), precision=precision).heads
    alone = score_heads(method, model, batches(), precision=precision)
    np.testing.assert_allclose(found.values, alone.values, rtol=1e-6)
    assert (found.method, found.n, found.forward_passes, found.settings) == (
        alone.method,
        alone.n,
        alone.forward_passes,
        alone.settings,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dead_neuron_scores_zero_and_a_pruned_one_nan(family: str) -> None:
    model = tiny_model(family, dtype=torch.float64)
    keep = np.ones(full_neurons(model).shape, bool)
    keep[0, 1], keep[2] = False, False
    prune(model, WHOLE, neurons=NeuronMask(keep))
    site = neuron_sites(model)[0]
    with torch.no_grad():
        site.output.weight[:, 4] = 0
        site.output.weight[:, 7] = 50
    for method in ("gradient", "fisher", "magnitude", "random"):
        found = score_plan(method, model, batches(), precision="fp32").neurons
        assert (np.isnan(found) == ~keep).all()
        assert (found[0, site.kept[4]] == 0) == (method != "random")
        if method == "magnitude":
            assert np.nanargmax(found) == site.kept[7], "the loudest"


@pytest.mark.parametrize("family", ["bert", "eurobert", "xlm"])
def test_a_planted_neuron_ranks_first(family: str) -> None:
    model = tiny_model(family, dtype=torch.float64)
    with torch.no_grad():
        for site in neuron_sites(model):
            for neuron in site.kept:
                if (site.layer, neuron) != (2, 6):
                    site.output.weight[:, neuron] *= 1e-3
    for method in ("gradient", "fisher", "magnitude"):
        assert np.argmax(score_plan(method, model, batches(), precision="fp32").neurons) == 2 * full_neurons(model).n_neurons + 6


def test_a_model_without_any_head_still_has_scores_of_neurons() -> None:
    model = prune(tiny_model("bert"), HeadMask([[0] * 4] * 3))
    before = copy.deepcopy(model.state_dict())
    found = score_plan("gradient", model, batches(), precision="fp32")
    assert np.isnan(found.heads.values).all()
    assert (found.neurons > 0).any()
    bare = prune(model, WHOLE, neurons=NeuronMask(np.zeros(full_neurons(model).shape, bool)))
    assert np.isnan(score_plan("gradient", bare, batches(), precision="fp32").neurons).all()
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert before.keys() == model.state_dict().keys()


def test_sentence_classifiers_have_scores_of_neurons() -> None:
    model = tiny_classifier("roberta", dtype=torch.float64)
    given = scoring_batches(tiny_sentences(token_types=False), budget=24)
    found = score_plan("gradient", model, given, precision="fp32")
    assert found.heads.n == 4
    assert (found.neurons > 0).mean() > 0.9


def test_methods_that_do_not_score_neurons_are_refused() -> None:
    with pytest.raises(SettingError, match="shapley does not score neurons; these do: gradient, fisher, magnitude, random"):
        score_plan("shapley", tiny_model("bert"), batches())
    with pytest.raises(UnknownNameError):
        score_plan("fischer", tiny_model("bert"), batches())
