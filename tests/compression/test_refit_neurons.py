"""Least squares for kept neurons, on every family with biases: nearer than means, exact where it can be, nothing else changed."""

import copy

import pytest
import torch
from compression.test_refit import REFITTED, text
from conformance.tiny import logits, tiny_inputs, tiny_model
from transformers import PreTrainedModel

from polyhead.compression.plan_repair import pruned_to
from polyhead.compression.refit import refit
from polyhead.compression.refit_neurons import Moments, Target, solve_neurons
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.model_neurons import full_neurons, has_neurons, neuron_sites
from polyhead.models.pruning import prune

FAMILIES = [
    family
    for family in REFITTED
    if has_neurons(tiny_model(family).config) and neuron_sites(tiny_model(family))[0].output.bias is not None
]


def plan_for(model: PreTrainedModel, *, heads: tuple[HeadId, ...] = (), layers: tuple[int, ...] = (1, 2)) -> Plan:
    """Without every other neuron of some layers, and without all of them in the last."""
    full = full_neurons(model)
    keep = full.keep.copy()
    for layer in layers:
        keep[layer, ::2] = False
    keep[-1] &= layers != (1, 2)
    return Plan(HeadMask.without(*full_mask(model).shape, heads), NeuronMask(keep))


def last_hidden(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        found = [
            model.base_model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state[
                batch.attention_mask.bool()
            ]
            for batch in text()
        ]
    return torch.cat(found)


def distance(model: PreTrainedModel, full: PreTrainedModel) -> float:
    return float((last_hidden(model) - last_hidden(full)).double().square().mean())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("heads", [(), (HeadId(1, 3), HeadId(2, 0))])
def test_hidden_states_come_nearer_than_with_means(family: str, heads: tuple[HeadId, ...]) -> None:
    full = tiny_model(family)
    plan = plan_for(full, heads=heads)
    apart = {
        how: distance(pruned_to(full, plan, text(), how=how, precision="fp32"), full)  # type: ignore[arg-type]
        for how in ("none", "means", "refit")
    }
    assert apart["refit"] < 0.9 * min(apart["means"], apart["none"])


def test_a_neuron_that_was_one_of_two_takes_over_the_other() -> None:
    full = tiny_model("bert", dtype=torch.float64)
    site = neuron_sites(full)[1]
    with torch.no_grad():
        site.inputs[0].weight[1] = site.inputs[0].weight[0]
        site.inputs[0].bias[1] = site.inputs[0].bias[0]
        site.inputs[0].weight[:2] *= 5  # more than the ridge sees of the others
        site.output.weight[:, :2] *= 20
    keep = full_neurons(full).keep.copy()
    keep[1, 1] = False
    plan = Plan(full_mask(full), NeuronMask(keep))
    lost, left = (
        (logits(pruned_to(full, plan, text(), how=how, precision="fp32"), tiny_inputs()) - logits(full, tiny_inputs()))
        .abs()
        .max()
        for how in ("none", "refit")
    )
    assert left < lost / 5
    small = pruned_to(full, plan, text(), how="refit", precision="fp32")
    wanted = site.output.weight[:, 0] + site.output.weight[:, 1]
    found = neuron_sites(small)[1].output.weight[:, 0]
    assert float((found - wanted).norm().detach()) < 0.2 * float(site.output.weight[:, 1].norm().detach())


def test_activations_that_hardly_move_are_fitted_without_rounding_errors() -> None:
    full = tiny_model("bert")
    site = neuron_sites(full)[1]
    with torch.no_grad():
        site.inputs[0].bias.add_(100)
    plan = plan_for(full, layers=(1,))
    small = pruned_to(full, plan, text(), how="refit", precision="fp32")
    assert distance(small, full) < 0.5 * distance(pruned_to(full, plan, text(), how="none"), full)


def test_only_outputs_from_the_lowest_change_upwards_are_written() -> None:
    full = tiny_model("bert")
    plan = plan_for(full, layers=(1,))
    plain = prune(copy.deepcopy(full), plan.heads, neurons=plan.neurons)
    before = {name: value.clone() for name, value in full.state_dict().items()}
    small = refit(copy.deepcopy(plain), full, text(), precision="fp32")
    changed = {name for name, value in small.state_dict().items() if not torch.equal(value, plain.state_dict()[name])}
    layers = "bert.encoder.layer"
    allowed = {f"{layers}.{i}.output.dense.{part}" for i in (1, 2) for part in ("weight", "bias")}
    allowed |= {f"{layers}.2.attention.output.dense.{part}" for part in ("weight", "bias")}
    assert changed <= allowed
    assert f"{layers}.1.output.dense.weight" in changed
    assert all(torch.equal(value, before[name]) for name, value in full.state_dict().items())


def test_without_pruned_neurons_heads_alone_are_fitted() -> None:
    full = tiny_model("bert")
    small = refit(prune(copy.deepcopy(full), HeadMask.without(3, 4, [HeadId(0, 1)])), full, text(), precision="fp32")
    for own, was in zip(neuron_sites(small), neuron_sites(full), strict=True):
        assert torch.equal(own.output.weight, was.output.weight)
    assert not torch.equal(attention_sites(small)[2].output.weight, attention_sites(full)[2].output.weight)


def test_a_layer_without_neurons_gets_a_bias() -> None:
    full = tiny_model("bert")
    plan = plan_for(full)
    small, plain = (pruned_to(full, plan, text(), how=how, precision="fp32") for how in ("refit", "none"))  # type: ignore[arg-type]
    assert neuron_sites(small)[2].kept == ()
    assert not torch.equal(neuron_sites(small)[2].output.bias, neuron_sites(plain)[2].output.bias)


def test_a_special_token_that_is_a_hundred_times_as_large_does_not_decide() -> None:
    full = tiny_model("bert")
    site = neuron_sites(full)[0]
    with torch.no_grad():  # one neuron answers to the first token of every sentence alone
        first = full.bert.embeddings(text()[0].input_ids)[0, 0]
        site.inputs[0].weight[0] = 300 * (first - first.mean()) / first.norm() ** 2
        site.output.weight[:, 0] = torch.linspace(-5, 5, len(first))
    keep = full_neurons(full).keep.copy()
    keep[0, :8] = False
    plan = Plan(full_mask(full), NeuronMask(keep))
    words = torch.cat([batch.is_text[batch.attention_mask.bool()] for batch in text()])
    apart = {
        how: float(
            (last_hidden(pruned_to(full, plan, text(), how=how, precision="fp32")) - last_hidden(full))[words].square().mean()
        )  # type: ignore[arg-type]
        for how in ("none", "refit")
    }
    assert apart["refit"] < apart["none"]


@pytest.mark.parametrize("noisy", [False, True])
def test_the_ridge_is_the_one_that_other_text_likes(noisy: bool) -> None:
    full = tiny_model("bert", dtype=torch.float64)
    site, generator = neuron_sites(full)[0], torch.Generator().manual_seed(0)
    weight = site.output.weight.detach().clone()
    n = len(site.kept)

    def half(rows: int) -> Moments:
        a = torch.randn(rows, n, generator=generator, dtype=torch.float64)
        y = a @ weight.T * (1 if noisy else 2)
        y = y + (100 * torch.randn(*y.shape, generator=generator, dtype=torch.float64) if noisy else 0)
        return Moments(rows, a.sum(0), y.sum(0), a.T @ a, a.T @ y, float(y.square().sum()))

    nothing = torch.zeros(n, dtype=torch.float64), torch.zeros(len(weight), dtype=torch.float64)
    solve_neurons(site, Target(*nothing, (half(2 * n), half(2 * n))))
    if noisy:
        assert torch.allclose(site.output.weight, weight), "noise alone: the weights stay"
    else:
        assert torch.allclose(site.output.weight, 2 * weight, rtol=0.01, atol=1e-3)


def test_what_cannot_be_fitted_is_refused() -> None:
    full = tiny_model("bert")
    plan = plan_for(full)
    small = prune(copy.deepcopy(full), plan.heads, neurons=plan.neurons)
    with pytest.raises(SettingError, match="neurons that the full one lacks"):
        refit(prune(copy.deepcopy(full), plan.heads, neurons=plan_for(full, layers=(0,)).neurons), small, text())
    neuron_sites(small)[2].output.bias = None
    with pytest.raises(ArchitectureError, match="layer 2: the feed-forward output has no bias"):
        refit(small, full, text())
