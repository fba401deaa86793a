"""Heads that stay are rescaled so that what goes through each layer is as in the full model, and nothing else is touched."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import FAMILIES, MASKS, logits, tiny_inputs, tiny_model
from torch import Tensor
from transformers import PreTrainedModel
from watch import Watch, interrupt

from polyhead.compression.refit import refit
from polyhead.compression.repair import fold_means
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.head_means import head_means
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune

# layers that do not run one after the other, or share weights or position biases, are for other tests
REFUSED = {
    "xlm": "not the output",
    "flaubert": "not the output",
    "deberta-v2+conv": "not the output",
    "albert+shared": "serve 2 layers",
}
REFITTED = [
    family
    for family in FAMILIES
    if attention_sites(tiny_model(family))[0].output.bias is not None and family not in {**REFUSED, "mpnet": ""}
]


@pytest.fixture(params=REFITTED)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def text(budget: int = 40) -> list[Batch]:
    return scoring_batches(tiny_encoded(), budget=budget)


def twin_heads(family: str, dtype: torch.dtype = torch.float32, *, copies: tuple[int, ...] = (3,)) -> PreTrainedModel:
    """A model in whose layer 1 the heads `copies` do what head 0 does."""
    model = tiny_model(family, dtype=dtype)
    site = attention_sites(model)[1]
    with torch.no_grad():
        for head in copies:
            for part in site.parts():
                part.parameter.index_copy_(part.dim, part.index[head], part.parameter.index_select(part.dim, part.index[0]))
    return model


def outputs(model: PreTrainedModel, batches: list[Batch]) -> list[Tensor]:
    """Each layer's input plus its attention output, `[positions, width]`, at all tokens of the text."""
    found: list[list[Tensor]] = [[] for _ in attention_sites(model)]
    for batch in batches:
        real = batch.attention_mask.bool()

        inputs: dict[int, Tensor] = {}

        def take(layer: int, inputs: dict[int, Tensor] = inputs) -> Callable[..., None]:
            return lambda module, args: inputs.update({layer: args[0]})

        def keep(layer: int, real: Tensor = real, inputs: dict[int, Tensor] = inputs) -> Callable[..., None]:
            return lambda module, args, output: found[layer].append((inputs[layer] + output)[real])

        handles = [site.output.register_forward_hook(keep(site.layer)) for site in attention_sites(model)]
        handles += [site.block.register_forward_pre_hook(take(site.layer)) for site in attention_sites(model)]
        with torch.no_grad():
            model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        for handle in handles:
            handle.remove()
    return [torch.cat(parts) for parts in found]


def errors(model: PreTrainedModel, full: PreTrainedModel) -> list[float]:
    pairs = zip(outputs(model, text()), outputs(full, text()), strict=True)
    return [float((own - wanted).double().square().mean()) for own, wanted in pairs]


def pruned_copy(full: PreTrainedModel, mask: HeadMask) -> PreTrainedModel:
    return prune(copy.deepcopy(full), mask)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.float64, 1e-6)])
def test_a_head_that_was_one_of_two_counts_double(family: str, dtype: torch.dtype, close: float) -> None:
    full = twin_heads(family, dtype)
    mask = HeadMask.without(3, 4, [HeadId(1, 3)])
    model = pruned_copy(full, mask)
    before = attention_sites(model)[1].output.weight.detach().clone()
    lost = (logits(model, tiny_inputs()) - logits(full, tiny_inputs())).abs().max()
    assert refit(model, full, text(), precision="fp32") is model
    site = attention_sites(model)[1]
    ratio = (site.output.weight / before)[:, site.head_columns()]
    assert torch.allclose(ratio[:, 0], torch.full_like(ratio[:, 0], 2), atol=1e-4)
    assert torch.allclose(ratio[:, 1:], torch.ones_like(ratio[:, 1:]), atol=1e-4)
    assert (logits(model, tiny_inputs()) - logits(full, tiny_inputs())).abs().max() < close < lost / 100


@pytest.mark.parametrize(("family", "reason"), REFUSED.items())
def test_layers_that_are_no_chain_are_refused(family: str, reason: str) -> None:
    full = tiny_model(family)
    with pytest.raises(ArchitectureError, match=f"layer .: .*{reason}.*cannot be refitted; repair by means"):
        refit(pruned_copy(full, MASKS["uneven"]), full, text(), precision="fp32")


def test_two_equal_heads_share_what_a_third_left() -> None:
    full = twin_heads("bert", copies=(1, 3))
    model = refit(pruned_copy(full, HeadMask.without(3, 4, [HeadId(1, 3)])), full, text(), precision="fp32")
    site, was = attention_sites(model)[1], attention_sites(full)[1]
    columns = site.head_columns()
    ratio = site.output.weight[:, columns] / was.output.weight[:, columns]
    assert torch.allclose(ratio[:, :2], torch.full_like(ratio[:, :2], 1.5), atol=1e-3)


def test_a_dead_head_stays_as_it_is() -> None:
    full = tiny_model("bert")
    site = attention_sites(full)[2]
    with torch.no_grad():
        site.output.weight[:, site.head_columns()[1]] = 0
    model = refit(pruned_copy(full, MASKS["one-head"]), full, text(), precision="fp32")
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
    with torch.no_grad():
        site.output.weight.zero_()  # and so do four
    model = refit(pruned_copy(full, MASKS["one-head"]), full, text(), precision="fp32")
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


@pytest.mark.parametrize("name", ["one-head", "uneven", "zero-head-layer"])
def test_each_repair_brings_a_layer_nearer_than_the_one_before(family: str, name: str) -> None:
    full, mask = tiny_model(family), MASKS[name]
    means = head_means(full, text(), precision="fp32")
    plain = errors(pruned_copy(full, mask), full)
    folded = errors(prune(fold_means(copy.deepcopy(full), mask, means), mask), full)
    refitted = errors(refit(pruned_copy(full, mask), full, text(), precision="fp32"), full)
    lowest = next(layer for layer in range(3) if mask.keep[layer].sum() < 4)
    assert refitted[:lowest] == plain[:lowest] == [0.0] * lowest
    assert refitted[lowest] <= folded[lowest] * (1 + 1e-5) < plain[lowest]
    for layer in range(lowest + 1, 3):  # their inputs differ by then, so this is no theorem
        assert refitted[layer] < plain[layer]


def test_nothing_smaller_is_reached_by_other_factors() -> None:
    full, mask = tiny_model("bert", dtype=torch.float64), MASKS["uneven"]
    model = refit(pruned_copy(full, mask), full, text(), precision="fp32")
    best = errors(model, full)[0]
    site = attention_sites(model)[0]
    for step in (0.99, 1.01):
        for columns in site.head_columns():
            moved = copy.deepcopy(model)
            with torch.no_grad():
                attention_sites(moved)[0].output.weight[:, columns] *= step
            assert errors(moved, full)[0] > best
    moved = copy.deepcopy(model)
    with torch.no_grad():
        attention_sites(moved)[0].output.bias[0] += 0.01
    assert errors(moved, full)[0] > best


@pytest.mark.parametrize("name", ["uneven", "zero-head-layer", "everything"])
def test_means_are_those_of_the_full_model_even_in_layers_without_heads(family: str, name: str) -> None:
    full = tiny_model(family)
    model = refit(pruned_copy(full, MASKS[name]), full, text(), precision="fp32")
    for own, wanted in zip(outputs(model, text()), outputs(full, text()), strict=True):
        assert torch.allclose(own.mean(0), wanted.mean(0), atol=1e-5)


def test_a_model_pruned_before_is_the_full_one_then() -> None:
    once = prune(tiny_model("electra"), MASKS["uneven"])
    before = {name: value.clone() for name, value in once.state_dict().items()}
    again = pruned_copy(once, MASKS["one-head"])
    plain = errors(again, once)
    refit(again, once, text(), precision="fp32")
    assert errors(again, once)[1] < plain[1]
    assert all(torch.equal(value, before[name]) for name, value in once.state_dict().items())
    unchanged = refit(pruned_copy(once, MASKS["uneven"]), once, text(), precision="fp32")
    assert all(torch.equal(value, before[name]) for name, value in unchanged.state_dict().items())


def test_only_output_projections_from_the_lowest_cut_upwards_change(family: str) -> None:
    full, mask = tiny_model(family), MASKS["one-head"]
    plain = pruned_copy(full, mask)
    model = refit(copy.deepcopy(plain), full, text(), precision="fp32")
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, plain.state_dict()[name])}
    names = {module: name for name, module in model.named_modules()}
    allowed = {f"{names[site.output]}.{part}" for site in attention_sites(model)[1:] for part in ("weight", "bias")}
    assert changed == allowed


def test_batches_do_not_matter() -> None:
    full, mask = tiny_model("roberta", dtype=torch.float64), MASKS["uneven"]
    one, other = (
        refit(pruned_copy(full, mask), full, batches, precision="fp32") for batches in (text(1000), list(reversed(text(20))))
    )
    for name, value in one.state_dict().items():
        assert torch.allclose(value, other.state_dict()[name], atol=1e-9), name


def test_bf16_comes_near_float32() -> None:
    full, mask = tiny_model("bert"), MASKS["uneven"]
    model, coarse = (refit(pruned_copy(full, mask), full, text(), precision=precision) for precision in ("fp32", "bf16"))
    assert {parameter.dtype for parameter in coarse.parameters()} == {torch.float32}
    assert errors(coarse, full)[0] < errors(pruned_copy(full, mask), full)[0]
    weight, wanted = (attention_sites(each)[0].output.weight for each in (coarse, model))
    assert (weight - wanted).norm() < 0.05 * wanted.norm()
    narrow = full.to(torch.bfloat16)
    refit(pruned_copy(narrow, mask), narrow, text(), precision="fp32")


@contextmanager
def unchanged_state(*models: PreTrainedModel) -> Iterator[None]:
    def state(model: PreTrainedModel) -> list[object]:
        hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in m.__dict__) for m in model.modules()]
        return [hooks, [m.training for m in model.modules()], [(p.requires_grad, p.dtype) for p in model.parameters()]]

    before = [state(model) for model in models]
    yield
    assert [state(model) for model in models] == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_modes_hooks_and_the_full_model_are_left_as_they_were(precision: str) -> None:
    full = tiny_model("xlm-roberta")
    full.classifier.train()
    attention_sites(full)[1].output.weight.requires_grad_(False)
    weights = {name: value.clone() for name, value in full.state_dict().items()}
    model = pruned_copy(full, MASKS["uneven"])
    with unchanged_state(full, model):
        with pytest.raises(KeyboardInterrupt):
            refit(model, full, text(), precision=precision, progress=Watch(3, interrupt))  # type: ignore[arg-type]
        refit(model, full, text(), precision=precision)  # type: ignore[arg-type]
    assert all(torch.equal(value, weights[name]) for name, value in full.state_dict().items())


def test_compiled_layers_are_heard_too() -> None:
    full, mask = tiny_model("bert"), MASKS["uneven"]
    wanted = refit(pruned_copy(full, mask), full, text(), precision="fp32")
    model = pruned_copy(full, mask)
    for each in (model, full):
        each.bert.encoder.layer[1] = torch.compile(each.bert.encoder.layer[1], backend="eager")
        with torch.no_grad():
            each(input_ids=text()[0].input_ids)
    refit(model, full, text(), precision="fp32")
    for own, other in zip(attention_sites(model), attention_sites(wanted), strict=True):
        assert torch.equal(own.output.weight, other.output.weight)


def test_what_cannot_be_refitted_is_refused() -> None:
    full = tiny_model("bert")
    pruned = pruned_copy(full, MASKS["one-head"])
    with pytest.raises(SettingError, match="heads that the full one lacks"):
        refit(full, pruned, text())
    with pytest.raises(SettingError, match="2 layers x 4 heads"):
        refit(tiny_model("bert", layers=2), full, text())
    with pytest.raises(SettingError, match="no sentence"):
        refit(pruned, full, [])
    attention_sites(pruned)[2].output.bias = None
    with pytest.raises(ArchitectureError, match="layer 2: the output projection has no bias"):
        refit(pruned, full, text())
