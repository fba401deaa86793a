"""The rules leave the forward pass unchanged, change the backward of their modules, and are removed after the block."""

from typing import Literal

import pytest
import torch
from conformance.tiny import FAMILIES, KERNELS, masks_of, tiny_inputs, tiny_model
from torch import nn
from torch.nn.functional import gelu

from polyhead.core.errors import ArchitectureError
from polyhead.importance.relevance_rules import Variant, relevance_rules
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune

variants = pytest.mark.parametrize("variant", ["cp", "attn"])


@variants
@pytest.mark.parametrize(("family", "kernel"), [(family, kernel) for family in FAMILIES for kernel in KERNELS[family]])
def test_the_forward_pass_is_what_it_was(family: str, kernel: Literal["sdpa", "eager"], variant: Variant) -> None:
    inputs = tiny_inputs()
    for mask in masks_of(tiny_model(family)).values():
        model = prune(tiny_model(family, kernel=kernel), mask)
        expected = model(**inputs).logits
        with relevance_rules(model, variant):
            assert torch.equal(model(**inputs).logits, expected)


def test_an_activation_is_a_product_with_a_constant() -> None:
    model = tiny_model("bert", dtype=torch.float64)
    activation = model.bert.encoder.layer[1].intermediate.intermediate_act_fn
    x = torch.tensor([0.0, 1.0, -2.0, 1e-300], dtype=torch.float64, requires_grad=True)
    with relevance_rules(model, "cp"):
        (found,) = torch.autograd.grad(activation(x).sum(), x)
    y = gelu(x.detach())
    torch.testing.assert_close(found, torch.stack([torch.tensor(0.5).double(), y[1], y[2] / -2, torch.tensor(0.5).double()]))


def test_layer_norm_is_linear_but_for_its_bias() -> None:
    model = tiny_model("distilbert", dtype=torch.float64)
    norm = model.distilbert.transformer.layer[0].sa_layer_norm
    x, direction = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, 16))
    x.requires_grad_(True)
    with relevance_rules(model, "cp"):
        (found,) = torch.autograd.grad((norm(x) * direction).sum(), x)
    centred = x.detach() - x.detach().mean(-1, keepdim=True)
    linear = (centred * direction * norm.weight).sum(-1) / (centred.square().mean(-1) + norm.eps).sqrt()
    torch.testing.assert_close((x * found).sum(-1), linear)
    # and nothing comes of a shift of all dimensions
    assert found.sum(-1).abs().max() < 1e-12


@pytest.mark.parametrize(("variant", "factors"), [("cp", (0, 0, 1)), ("attn", (0.25, 0.25, 0.5))])
def test_gradients_of_queries_keys_and_values_are_scaled(variant: Variant, factors: tuple[float, ...]) -> None:
    model = tiny_model("electra", dtype=torch.float64)
    site = attention_sites(model)[2]
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    with relevance_rules(model, variant):
        for projection, factor in zip((site.query, site.key, site.value), factors, strict=True):
            (found,) = torch.autograd.grad(projection(x).sum() + 0 * x.sum(), x)
            torch.testing.assert_close(found, factor * projection.weight.detach().sum(0).expand(3, -1))


@variants
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_the_rules_go_with_the_block_also_after_an_exception(family: str, variant: Variant) -> None:
    model = tiny_model(family)
    attributes = {module: set(vars(module)) for module in model.modules()}

    def stopped() -> None:
        with relevance_rules(model, variant):
            assert sum(len(module._forward_hooks) for module in model.modules()) == 7 + 3 + 9  # norms, activations, projections
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert {module: set(vars(module)) for module in model.modules()} == attributes


@pytest.mark.parametrize(
    ("family", "path"),
    [("t5", "encoder.final_layer_norm"), ("eurobert", "norm"), ("deberta", "encoder.layer.1.output.LayerNorm")],
)
def test_other_norms_are_linear_but_for_their_bias(family: str, path: str) -> None:
    model = tiny_model(family, dtype=torch.float64)
    norm = model.base_model.get_submodule(path)
    x, direction = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, 16))
    x.requires_grad_(True)
    with relevance_rules(model, "cp"):
        (found,) = torch.autograd.grad((norm(x) * direction).sum(), x)
    bias = norm.bias.detach() if family == "deberta" else 0
    torch.testing.assert_close((x * found).sum(-1), ((norm(x) - bias) * direction).sum(-1), rtol=1e-5, atol=1e-5)


def test_a_product_of_two_activations_gives_half_to_each() -> None:
    mlp = tiny_model("nomic_bert", dtype=torch.float64).nomic_bert.layers[0].mlp
    model = tiny_model("nomic_bert", dtype=torch.float64)
    mlp = model.nomic_bert.layers[0].mlp
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    expected = mlp(x)
    with relevance_rules(model, "cp"):
        y = mlp(x)
        (found,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, expected)
    torch.testing.assert_close((x * found).sum(), y.sum())


def test_an_activation_without_a_rule_is_refused() -> None:
    model = tiny_model("bert")
    model.bert.encoder.layer[1].intermediate.intermediate_act_fn = nn.Identity()
    with pytest.raises(ArchitectureError, match=r"layer 1: no activation"), relevance_rules(model, "cp"):
        pass
    assert not any(module._forward_hooks for module in model.modules())
