"""What holds for heads holds for neurons, over every row that says where they are: masked is pruned, gradients, checkpoints."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.tiny import FAMILIES, MASKS, logits, tiny_inputs, tiny_model
from torch import nn
from transformers import AutoModelForTokenClassification, PreTrainedModel

from polyhead.core.errors import PolyheadError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models.gates import gated
from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import full_neurons, neuron_mask, neuron_sites
from polyhead.models.pruning import fitted, prune
from polyhead.models.saving import densify, save_pruned

install_loader_hook()
families = pytest.mark.parametrize("family", FAMILIES)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
WHOLE = HeadMask.full(3, 4)


@cache
def built(family: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    return tiny_model(family, dtype=dtype)


def fresh(family: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    return copy.deepcopy(built(family, dtype))


def some(model: PreTrainedModel, name: str) -> NeuronMask:
    """A mask of the model's neurons."""
    keep = np.ones(full_neurons(model).shape, bool)
    if name == "uneven":
        keep[0, ::3], keep[2, 5:] = False, False
    elif name == "other":
        keep[0, 4:9], keep[1, 1:], keep[2, ::2] = False, False, False
    elif name == "zero-neuron-layer":
        keep[0, 3], keep[1] = False, False
    elif name == "everything":
        keep[:] = False
    return NeuronMask(keep)


def heads_of(model: PreTrainedModel, name: str) -> HeadMask:
    """Heads to prune together with some neurons; those of a layer without neurons go too."""
    return fitted(model, MASKS[{"zero-neuron-layer": "zero-head-layer", "everything": "uneven"}.get(name, "nothing")])


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def loss_of(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    labels = (inputs["input_ids"] % 5).masked_fill(inputs["attention_mask"] == 0, -100)
    return nn.functional.cross_entropy(model(**inputs).logits.flatten(0, 1), labels.flatten())


@families
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_gated_equals_pruned(family: str, dtype: torch.dtype) -> None:
    inputs, model = tiny_inputs(), built(family, dtype)
    untouched = logits(model, inputs)
    for name in ("nothing", "uneven", "zero-neuron-layer", "everything"):
        neurons, heads = some(model, name), heads_of(model, name)
        with gated(model, heads, neurons=neurons):
            masked = logits(model, inputs)
        smaller = prune(copy.deepcopy(model), heads, neurons=neurons)
        assert neuron_mask(smaller) == neurons
        assert head_mask(smaller) == heads
        assert neuron_sites(smaller)[2].kept == tuple(neurons.keep[2].nonzero()[0])
        assert distance(masked, logits(smaller, inputs)) <= TOLERANCE[dtype], name
        assert (distance(untouched, masked) > 1e-3) == (name != "nothing"), name
        with torch.enable_grad():
            loss_of(smaller, inputs).backward()
    assert torch.equal(logits(model, inputs), untouched)


@families
def test_weights_of_a_neuron_are_those_that_go(family: str) -> None:
    model = built(family)
    keep = np.ones(full_neurons(model).shape, bool)
    keep[1, 2:4] = False
    smaller = prune(copy.deepcopy(model), WHOLE, neurons=NeuronMask(keep))
    gone = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in smaller.parameters())
    assert gone == 2 * neuron_sites(model)[1].weights_per_neuron
    assert neuron_sites(smaller)[1].weights_per_neuron == neuron_sites(model)[1].weights_per_neuron


@families
def test_a_pruned_model_is_gated_and_pruned_again_in_the_first_numbering(family: str) -> None:
    inputs, model = tiny_inputs(), fresh(family)
    first, second = some(model, "uneven"), some(model, "other")
    expected = logits(prune(fresh(family), WHOLE, neurons=first & second), inputs)
    prune(model, WHOLE, neurons=first)
    with gated(model, WHOLE, neurons=second):
        assert distance(logits(model, inputs), expected) <= 1e-10
    again = copy.deepcopy(prune(model, WHOLE, neurons=second))
    assert neuron_mask(prune(again, fitted(model, MASKS["uneven"]))) == first & second, "pruning heads leaves the neurons"
    assert distance(logits(model, inputs), expected) <= 1e-10


@families
def test_gates_of_one_change_nothing_and_no_hook_stays(family: str) -> None:
    model, inputs = built(family, torch.float32), tiny_inputs()
    shape, expected = full_neurons(model).shape, logits(model, inputs)
    hooks = sum(len(module._forward_pre_hooks) for module in model.modules())
    with gated(model, torch.ones(3, 4), neurons=torch.ones(shape)):
        assert torch.equal(logits(model, inputs), expected)
    with pytest.raises(KeyError), gated(model, WHOLE, neurons=some(model, "uneven")):
        raise KeyError
    with pytest.raises(PolyheadError, match=r"neurons of shape \[2, 2\]"), gated(model, WHOLE, neurons=torch.ones(2, 2)):
        pass
    assert sum(len(module._forward_pre_hooks) for module in model.modules()) == hooks
    assert torch.equal(logits(model, inputs), expected)


@families
def test_every_sentence_may_have_its_own_mask(family: str) -> None:
    model, inputs = built(family), tiny_inputs()
    names = ("uneven", "nothing", "zero-neuron-layer")
    gates = torch.stack([torch.tensor(some(model, name).keep, dtype=torch.float64) for name in names])
    with torch.no_grad(), gated(model, WHOLE, neurons=gates, rows=torch.arange(3)):
        together = model(**inputs).logits
    for row, name in enumerate(names[::2]):
        alone = {key: value[2 * row : 2 * row + 1] for key, value in inputs.items()}
        cut = logits(prune(fresh(family), WHOLE, neurons=some(model, name)), alone)
        assert distance(together[2 * row][alone["attention_mask"][0].bool()], cut) <= 1e-10


@families
def test_the_gate_gradient_equals_the_finite_difference(family: str) -> None:
    model, inputs = built(family), tiny_inputs()
    gates = torch.ones(full_neurons(model).shape, dtype=torch.float64, requires_grad=True)
    with gated(model, WHOLE, neurons=gates):
        (gradient,) = torch.autograd.grad(loss_of(model, inputs), gates)
    for layer, neuron in [(0, 0), (1, 17), (2, 31)]:
        sides = []
        for sign in (1, -1):
            moved = torch.ones_like(gates)
            moved[layer, neuron] += sign * 2.0**-6
            with torch.no_grad(), gated(model, WHOLE, neurons=moved):
                sides.append(float(loss_of(model, inputs)))
        bound = 1e-2 * float(gradient.abs().max())  # some families compute norms in float32
        assert float(gradient[layer, neuron]) == pytest.approx((sides[0] - sides[1]) / 2**-5, rel=1e-2, abs=bound)


@families
def test_a_checkpoint_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    inputs, model = tiny_inputs("left"), fresh(family, torch.float32)
    for name in ("uneven", "zero-neuron-layer"):
        smaller = prune(copy.deepcopy(model), heads_of(model, name), neurons=some(model, name))
        save_pruned(smaller, tmp_path / name)
        loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / name)
        assert neuron_mask(loaded) == some(model, name)
        read = copy.deepcopy(loaded) if family.startswith("deberta") else loaded  # its products depend on the place in memory
        assert torch.equal(logits(read, inputs), logits(smaller, inputs))
        dense = AutoModelForTokenClassification.from_pretrained(densify(smaller, tmp_path / f"{name}-dense"))
        assert neuron_mask(dense).n_pruned == 0
        assert distance(logits(dense, inputs), logits(smaller, inputs)) <= 1e-5


@families
def test_blocks_of_neurons_and_heads_multiply(family: str) -> None:
    model, inputs = built(family), tiny_inputs()
    one, other = some(model, "uneven"), some(model, "other")
    heads = fitted(model, MASKS["uneven"])
    with gated(model, heads, neurons=one), gated(model, WHOLE, neurons=other):
        both = logits(model, inputs)
    assert distance(both, logits(prune(fresh(family), heads, neurons=one & other), inputs)) <= 1e-10


@families
def test_masks_of_heads_and_neurons_equal_pruning_under_autocast(family: str) -> None:
    inputs, model = tiny_inputs(), built(family, torch.float32)
    heads, neurons = fitted(model, MASKS["uneven"]), some(model, "uneven")
    smaller = prune(copy.deepcopy(model), heads, neurons=neurons)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        try:
            logits(model, inputs)
        except RuntimeError:
            pytest.skip("fails without gates as well")
        untouched, expected = logits(model, inputs).float(), logits(smaller, inputs).float()
        with gated(model, heads, neurons=neurons):
            masked = logits(model, inputs).float()
    scale = float(expected.abs().max())
    assert distance(masked, expected) <= 0.05 * max(scale, 1.0)  # bfloat16 keeps eight bits
    assert distance(masked, expected) < distance(masked, untouched) / 2


@families
def test_gradient_checkpointing_recomputes_under_the_gates_of_neurons(family: str) -> None:
    model, inputs = fresh(family), tiny_inputs()
    if not model.supports_gradient_checkpointing:
        pytest.skip("Transformers has no checkpointing for the family")
    for module in model.modules():  # checkpointing is on in training mode only, where dropout would differ between passes
        for name in ("p", "dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    model.train()
    heads, results = torch.tensor(fitted(model, MASKS["uneven"]).keep, dtype=torch.float64) * 0.5, []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        gates = [heads.clone(), torch.tensor(some(model, "uneven").keep, dtype=torch.float64) * 0.5]
        for own in gates:
            own.requires_grad_()
        with gated(model, gates[0], neurons=gates[1]):
            results.append(torch.autograd.grad(loss_of(model, inputs), gates))
    assert all(float(own.abs().max()) > 0 for own in results[0])
    assert all(distance(one, other) <= 1e-8 for one, other in zip(*results, strict=True))
