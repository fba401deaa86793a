"""The library's central promise, over every row of ARCHITECTURES: gating by a mask and pruning by it give the same logits."""

import copy
from functools import cache
from typing import Literal

import pytest
import torch
from conformance.tiny import FAMILIES, KERNELS, MASKS, logits, masks_of, tiny_inputs, tiny_model
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, PolyheadError
from polyhead.core.heads import HeadMask
from polyhead.models.gates import gated
from polyhead.models.pruning import fitted, prune

Kernel = Literal["sdpa", "eager"]
Padding = Literal["none", "right", "left"]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}

families = pytest.mark.parametrize("family", FAMILIES)
under_kernels = pytest.mark.parametrize(
    ("family", "kernel"), [(family, kernel) for family in FAMILIES for kernel in KERNELS[family]]
)


@cache
def built(family: str, kernel: Kernel, dtype: torch.dtype) -> PreTrainedModel:
    return tiny_model(family, kernel=kernel, dtype=dtype)


def fresh(family: str, kernel: Kernel = "sdpa", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    return copy.deepcopy(built(family, kernel, dtype))


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def loss_of(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    labels = (inputs["input_ids"] % 5).masked_fill(inputs["attention_mask"] == 0, -100)
    return nn.functional.cross_entropy(model(**inputs).logits.flatten(0, 1), labels.flatten())


@under_kernels
@pytest.mark.parametrize("padding", ["none", "right", "left"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_gated_equals_pruned(family: str, kernel: Kernel, padding: Padding, dtype: torch.dtype) -> None:
    inputs, model = tiny_inputs(padding), built(family, kernel, dtype)
    untouched = logits(model, inputs)
    for name, mask in masks_of(model).items():
        with gated(model, mask):
            masked = logits(model, inputs)
        cut = logits(prune(copy.deepcopy(model), mask), inputs)
        assert distance(masked, cut) <= TOLERANCE[dtype], name
        # else the tolerance would hide a gate that does nothing
        assert (distance(untouched, cut) > 1e-2) == (name != "nothing"), name
    assert torch.equal(logits(model, inputs), untouched)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@under_kernels
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_gated_equals_pruned_on_cuda(family: str, kernel: Kernel, dtype: torch.dtype) -> None:
    inputs = {key: value.cuda() for key, value in tiny_inputs("left").items()}
    model = fresh(family, kernel, dtype).cuda()
    for name, mask in masks_of(model).items():
        with gated(model, mask):
            masked = logits(model, inputs)
        cut = prune(copy.deepcopy(model), mask)
        assert {parameter.device.type for parameter in cut.parameters()} == {"cuda"}
        assert distance(masked, logits(cut, inputs)) <= TOLERANCE[dtype], name
        loss_of(cut, inputs).backward()


@under_kernels
def test_gates_of_one_change_nothing(family: str, kernel: Kernel) -> None:
    model, inputs = built(family, kernel, torch.float32), tiny_inputs()
    expected = logits(model, inputs)
    with gated(model, torch.ones(3, 4)):
        assert torch.equal(logits(model, inputs), expected)


@under_kernels
def test_every_sentence_may_have_its_own_mask(family: str, kernel: Kernel) -> None:
    model, inputs = built(family, kernel, torch.float64), tiny_inputs()
    chosen = [fitted(model, MASKS[name]) for name in ("uneven", "nothing", "zero-head-layer")]
    gates = torch.stack([torch.tensor(mask.keep, dtype=torch.float32) for mask in chosen])
    with torch.no_grad(), gated(model, gates):
        together = model(**inputs).logits
    for row, mask in enumerate(chosen):
        alone = {key: value[row : row + 1] for key, value in inputs.items()}
        real = alone["attention_mask"][0].bool()
        cut = logits(prune(copy.deepcopy(model), mask), alone)
        assert distance(together[row][real], cut) <= 1e-10


@families
def test_gates_address_a_pruned_model_in_the_original_numbering(family: str) -> None:
    first, second = (fitted(built(family, "sdpa", torch.float64), MASKS[name]) for name in ("zero-head-layer", "uneven"))
    model, inputs = prune(fresh(family, dtype=torch.float64), first), tiny_inputs()
    with gated(model, second):
        masked = logits(model, inputs)
    assert distance(masked, logits(prune(fresh(family, dtype=torch.float64), first & second), inputs)) <= 1e-10


@families
def test_nested_blocks_multiply(family: str) -> None:
    model, inputs = built(family, "sdpa", torch.float64), tiny_inputs()
    generator = torch.Generator().manual_seed(3)
    one, other = (torch.rand(3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    with gated(model, one * other):
        expected = logits(model, inputs)
    with gated(model, one), gated(model, other):
        assert distance(logits(model, inputs), expected) <= 1e-6
    first, second = (fitted(model, MASKS[name]) for name in ("uneven", "one-head"))
    with gated(model, first), gated(model, second):
        both = logits(model, inputs)
    assert distance(both, logits(prune(fresh(family, dtype=torch.float64), first & second), inputs)) <= 1e-10


@families
def test_no_hook_is_left_after_an_exception(family: str) -> None:
    model, inputs = built(family, "sdpa", torch.float32), tiny_inputs()
    expected, before = logits(model, inputs), hooks(model)
    with pytest.raises(KeyError), gated(model, MASKS["uneven"]):
        raise KeyError
    with pytest.raises((PolyheadError, RuntimeError, IndexError)), gated(model, torch.ones(2, 2)):
        model(**inputs)
    assert hooks(model) == before
    assert torch.equal(logits(model, inputs), expected)


@under_kernels
def test_the_gate_gradient_equals_the_finite_difference(family: str, kernel: Kernel) -> None:
    model, inputs = built(family, kernel, torch.float64), tiny_inputs()
    gates = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    with gated(model, gates):
        (gradient,) = torch.autograd.grad(loss_of(model, inputs), gates)
    assert gradient.abs().min() > 1e-6
    step = 2.0**-8  # gates are float32: a power of two is exact in it
    for layer, head in [(0, 0), (1, 2), (2, 3)]:
        sides = []
        for sign in (1, -1):
            moved = torch.ones(3, 4, dtype=torch.float64)
            moved[layer, head] += sign * step
            with torch.no_grad(), gated(model, moved):
                sides.append(loss_of(model, inputs))
        difference = (sides[0] - sides[1]) / (2 * step)
        # T5's norms are computed in float32
        bound = 1e-3 * float(gradient.abs().max()) if family.startswith(("t5", "mt5", "umt5")) else 1e-7
        assert float(gradient[layer, head]) == pytest.approx(float(difference), rel=1e-3, abs=bound)


@families
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_recomputes_under_the_gates(family: str, reentrant: bool) -> None:
    model, inputs = fresh(family, dtype=torch.float64), tiny_inputs()
    if not model.supports_gradient_checkpointing:
        pytest.skip("Transformers has no checkpointing for the family")
    for module in model.modules():  # checkpointing is on in training mode only, where dropout would differ between passes
        for name in ("p", "dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    model.train()
    if reentrant:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
        try:
            loss_of(model, inputs).backward()
        except RuntimeError:
            pytest.skip("fails without gates as well")
        model.gradient_checkpointing_disable()
    start = torch.tensor(MASKS["uneven"].keep, dtype=torch.float32) * 0.5
    results = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        gates = start.clone().requires_grad_()
        model.zero_grad()
        with gated(model, gates):
            loss_of(model, inputs).backward()
        assert gates.grad is not None
        results.append([gates.grad, *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    assert len(results[0]) == len(results[1]) > 10
    assert all(distance(one, other) <= 1e-6 for one, other in zip(*results, strict=True))


def gated_logits_or_refusal(model: PreTrainedModel, mask: HeadMask, inputs: dict[str, torch.Tensor]) -> torch.Tensor | None:
    try:
        with gated(model, mask):
            return logits(model, inputs)
    except ArchitectureError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("what", ["wrapper", "in-place", "submodule"])
@pytest.mark.parametrize(("family", "backend"), [("bert", "aot_eager"), ("distilbert", "eager")])
def test_a_compiled_model_never_gives_ungated_logits(family: str, what: str, backend: str) -> None:
    torch.compiler.reset()
    plain, inputs = fresh(family), tiny_inputs()
    expected = logits(prune(copy.deepcopy(plain), MASKS["uneven"]), inputs)
    untouched = logits(plain, inputs)
    model = plain
    if what == "wrapper":
        model = torch.compile(plain, backend=backend)
    elif what == "in-place":
        plain.compile(backend=backend)
    else:
        layers = plain.base_model.encoder.layer if family == "bert" else plain.base_model.transformer.layer
        layers[0] = torch.compile(layers[0], backend=backend)
    assert distance(logits(model, inputs), untouched) <= 1e-5  # compiled before it is gated
    masked = gated_logits_or_refusal(model, MASKS["uneven"], inputs)
    assert masked is None or distance(masked, expected) <= 1e-5
    assert distance(logits(model, inputs), untouched) <= 1e-5
    prune(model, MASKS["uneven"])
    assert distance(logits(model, inputs), expected) <= 1e-5
