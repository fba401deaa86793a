"""Gates beyond what the conformance tests hold over every family: rows, tokens, precision, and what is refused."""

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from conformance.tiny import MASKS, logits, tiny_inputs, tiny_model
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune


@pytest.fixture
def model() -> PreTrainedModel:
    return tiny_model("bert", dtype=torch.float64)


def n_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) for module in model.modules())


def test_layers_that_a_mask_leaves_alone_have_no_hook(model: PreTrainedModel) -> None:
    with gated(model, HeadMask.full(3, 4)):
        assert n_hooks(model) == 0
    with gated(model, MASKS["one-head"]):
        assert n_hooks(model) == 1
    # a tensor may be written to inside the block
    with gated(model, torch.ones(3, 4)), gated(model, torch.ones(3, 4, dtype=torch.bool)):
        assert n_hooks(model) == 6
    assert n_hooks(model) == 0


def written(gates: torch.Tensor, how: str, *, keep: torch.Tensor) -> None:
    with torch.no_grad():
        if how == "in place":
            gates.mul_(keep) if gates.is_floating_point() else gates.logical_and_(keep)
        elif how == "numpy":
            gates.detach().numpy()[~keep.numpy()] = 0
        else:
            gates.data[~keep] = 0


@pytest.mark.parametrize("how", ["in place", "numpy", "data"])
@pytest.mark.parametrize("kind", ["plain", "trained", "bool", "inference"])
def test_gates_of_one_that_are_changed_inside_the_block_take_effect(model: PreTrainedModel, kind: str, how: str) -> None:
    inputs, keep = tiny_inputs(), torch.tensor(MASKS["uneven"].keep)
    with torch.inference_mode(kind == "inference"):
        gates = torch.ones(3, 4, dtype=torch.bool if kind == "bool" else torch.float64)
    with gated(model, keep):
        expected = logits(model, inputs)
    plain = logits(model, inputs)
    with gated(model, gates.requires_grad_() if kind == "trained" else gates):
        assert torch.equal(logits(model, inputs), plain)
        with torch.inference_mode(kind == "inference"):
            written(gates, how, keep=keep)
        assert torch.allclose(logits(model, inputs), expected, atol=1e-12)
        if kind == "trained":
            (found,) = torch.autograd.grad(model(**inputs).logits.square().sum(), gates)
            assert (found != 0).any(dim=1).all()
        with torch.inference_mode(kind == "inference"):
            gates.data.fill_(1)
        assert torch.equal(logits(model, inputs), plain)


def test_gates_that_leave_one_have_the_gradient_of_where_they_are(model: PreTrainedModel) -> None:
    inputs = tiny_inputs()
    updated, fresh = torch.ones(3, 4, dtype=torch.float64), torch.full((3, 4), 0.5, dtype=torch.float64)
    found = []
    with gated(model, updated.requires_grad_()):
        model(**inputs)
        with torch.no_grad():
            updated.fill_(0.5)
        found += torch.autograd.grad(model(**inputs).logits.square().sum(), updated)
    with gated(model, fresh.requires_grad_()):
        found += torch.autograd.grad(model(**inputs).logits.square().sum(), fresh)
    assert torch.equal(*found)


def test_boolean_gates_do_what_the_mask_does(model: PreTrainedModel) -> None:
    inputs, keep = tiny_inputs(), torch.tensor(MASKS["uneven"].keep)
    with gated(model, MASKS["uneven"]):
        expected = logits(model, inputs)
    with gated(model, keep):
        assert torch.equal(logits(model, inputs), expected)
    with gated(model, keep[None], rows=torch.zeros(3, dtype=torch.int64)):
        assert torch.equal(logits(model, inputs), expected)
    with gated(model, keep.float()):
        assert torch.allclose(logits(model, inputs), expected, atol=1e-12)


def test_rows_pick_the_gates_of_their_sentence_and_gradients_add_up(model: PreTrainedModel) -> None:
    inputs, rows = tiny_inputs("none"), torch.tensor([1, 0, 1])
    generator = torch.Generator().manual_seed(0)
    two = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    three = two.detach()[rows].requires_grad_()
    with gated(model, two, rows=rows):
        chosen = model(**inputs).logits
        (by_sentence,) = torch.autograd.grad(chosen.square().sum(), two)
    with gated(model, three):
        plain = model(**inputs).logits
        (by_row,) = torch.autograd.grad(plain.square().sum(), three)
    assert torch.equal(chosen, plain)
    assert torch.allclose(by_sentence, torch.zeros_like(by_sentence).index_add(0, rows, by_row), atol=1e-12)


def test_token_gates_split_the_gradient_over_positions_and_padding_has_none(model: PreTrainedModel) -> None:
    inputs = tiny_inputs()
    labels = inputs["input_ids"] % 5
    whole = torch.ones(3, 3, 4, dtype=torch.float64, requires_grad=True)
    tokens = torch.ones(3, 9, 3, 4, dtype=torch.float64, requires_grad=True)
    found = []
    for gates in (whole, tokens):
        with gated(model, gates):
            losses = nn.functional.cross_entropy(model(**inputs).logits.transpose(1, 2), labels, reduction="none")
            found += torch.autograd.grad((losses * inputs["attention_mask"]).sum(), gates)
    assert torch.allclose(found[1].sum(dim=1), found[0], atol=1e-12)
    padding = inputs["attention_mask"] == 0
    assert padding.any()
    assert (found[1][padding] == 0).all()
    assert (found[1][~padding] != 0).any()


def test_gates_stay_float32_under_autocast() -> None:
    model, inputs = tiny_model("bert"), tiny_inputs()
    site = attention_sites(model)[1]
    seen: list[torch.Tensor] = []
    handle = site.output.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    gates = torch.ones(3, 4)
    gates[1] = 1 - 2**-8  # a quarter of a unit in bfloat16's last place short of one would round to one
    gates.requires_grad_()
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(**inputs)
            with gated(model, gates):
                before = n_hooks(model)
                loss = model(**inputs).logits.float().square().sum()
                (gradient,) = torch.autograd.grad(loss, gates)
    finally:
        handle.remove()
    assert before == 4
    assert seen[0].dtype == torch.bfloat16
    assert gradient.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_gate_just_below_one_is_not_rounded_to_one(dtype: torch.dtype) -> None:
    model = tiny_model("bert", dtype=dtype)
    site = attention_sites(model)[0]
    seen: list[torch.Tensor] = []
    with gated(model, torch.full((3, 4), 1 - 2**-9)):
        handle = site.output.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        z = torch.ones(1, 2, 16, dtype=dtype)
        with torch.no_grad():
            site.output(z * (1 + 2**-7))
        handle.remove()
    assert seen[0].dtype == dtype
    expected = (torch.tensor(1 + 2**-7) * (1 - 2**-9)).to(dtype)
    assert (seen[0] == expected).all()


def test_gradients_reach_what_the_gates_were_made_from(model: PreTrainedModel) -> None:
    parameter = torch.zeros(3, 4, requires_grad=True)
    with gated(model, parameter.sigmoid()):
        model(**tiny_inputs()).logits.square().sum().backward()
    assert parameter.grad is not None
    assert (parameter.grad != 0).all()


def test_gates_of_pruned_heads_have_no_gradient(model: PreTrainedModel) -> None:
    mask = MASKS["zero-head-layer"]
    gates = torch.ones(3, 4, requires_grad=True)
    with gated(prune(model, mask), gates):
        (gradient,) = torch.autograd.grad(model(**tiny_inputs()).logits.square().sum(), gates)
    assert np.array_equal(gradient.numpy() != 0, mask.keep)


def replaced(model: PreTrainedModel, inputs: dict[str, torch.Tensor], weight: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    """Logits with every head's output mixed with its fill by hand; weight `[batch rows or 1, layers, heads]`."""

    def hook(layer: int, z: torch.Tensor) -> tuple[torch.Tensor]:
        part = weight[:, None, layer, :, None]
        return ((z.unflatten(-1, (4, 4)) * part + (1 - part) * fill[layer]).flatten(-2),)

    sites = attention_sites(model)
    handles = [s.output.register_forward_pre_hook(lambda m, args, layer=s.layer: hook(layer, args[0])) for s in sites]
    found = logits(model, inputs)
    for handle in handles:
        handle.remove()
    return found


def random_fill() -> torch.Tensor:
    return torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_a_head_that_is_off_puts_its_fill_in(model: PreTrainedModel) -> None:
    inputs, fill, keep = tiny_inputs(), random_fill(), torch.tensor(MASKS["uneven"].keep)
    rows = torch.tensor([1, 0, 1])
    expected = replaced(model, inputs, keep[None].double(), fill)
    assert not torch.allclose(expected, replaced(model, inputs, keep[None].double(), 0 * fill), atol=1e-3)
    for gates in (MASKS["uneven"], keep, keep.float()):
        with gated(model, gates, fill=fill):
            assert torch.allclose(logits(model, inputs), expected, atol=1e-12)
    both = torch.stack([keep, ~keep])
    expected = replaced(model, inputs, both[rows].double(), fill)
    for by_sentence in (both, both.double()):
        with gated(model, by_sentence, rows=rows, fill=fill):
            assert torch.allclose(logits(model, inputs), expected, atol=1e-12)


def test_between_off_and_on_a_head_is_mixed_with_its_fill_and_the_gradient_says_so(model: PreTrainedModel) -> None:
    inputs, fill = tiny_inputs("none"), random_fill()
    generator = torch.Generator().manual_seed(0)
    gates = torch.rand(3, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    expected = replaced(model, inputs, gates.detach(), fill)
    with gated(model, gates, fill=fill):
        assert torch.allclose(logits(model, inputs), expected, atol=1e-12)
    with gated(model, gates, fill=fill.requires_grad_()):
        assert torch.autograd.gradcheck(lambda *_: model(**inputs).logits.square().sum(), (gates, fill))
    ones = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    with gated(model, ones, fill=fill.detach()):
        plain = model(**inputs).logits
        (at_one,) = torch.autograd.grad(plain.square().sum(), ones)
    assert torch.equal(plain, model(**inputs).logits)
    with gated(model, ones):
        (without,) = torch.autograd.grad(model(**inputs).logits.square().sum(), ones)
    # what a head would put in instead changes what turning it down does
    assert not torch.allclose(at_one, without, rtol=1e-2)


def test_the_fill_of_pruned_heads_is_ignored_and_the_precision_is_kept() -> None:
    mask, inputs, fill = MASKS["zero-head-layer"], tiny_inputs(), random_fill()
    pruned = prune(tiny_model("bert", dtype=torch.bfloat16), mask)
    off = HeadMask([[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1]])
    with gated(pruned, off, fill=fill):
        found = logits(pruned, inputs)
    fill[~torch.tensor(mask.keep)] = torch.nan
    with gated(pruned, off, fill=fill):
        assert torch.equal(logits(pruned, inputs), found)
    assert found.dtype == torch.bfloat16
    with gated(pruned, torch.tensor(off.keep).float(), fill=fill):
        assert torch.equal(logits(pruned, inputs), found)


@pytest.mark.parametrize("fill", [torch.zeros(3, 4), torch.zeros(3, 4, 5), torch.zeros(3, 4, 4, dtype=torch.int64)])
def test_a_fill_of_another_shape_is_refused(model: PreTrainedModel, fill: torch.Tensor) -> None:
    with pytest.raises(SettingError, match=re.escape("[3, 4, 4]")), gated(model, MASKS["uneven"], fill=fill):
        raise AssertionError("entered")
    assert n_hooks(model) == 0


@pytest.mark.parametrize(
    ("gates", "rows", "message"),
    [
        (torch.ones(4, 3), None, "[4, 3]"),
        (torch.ones(3), None, "[3]"),
        (torch.ones(2, 2, 2, 3, 4), None, "takes [3, 4]"),
        (torch.ones(3, 4, dtype=torch.int64), None, "int64"),
        (torch.ones(3, 4), torch.zeros(3, dtype=torch.int64), "omit rows"),
        (torch.ones(2, 3, 4), torch.tensor([0, 1, 2]), "rows from 0 to 2"),
        (torch.ones(2, 3, 4), torch.tensor([0.0, 1.0]), "float32"),
    ],
)
def test_wrong_shapes_are_refused_on_entry(
    model: PreTrainedModel, gates: torch.Tensor, rows: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(SettingError, match=re.escape(message)), gated(model, gates, rows=rows):
        raise AssertionError("entered")
    assert n_hooks(model) == 0


def test_a_mask_of_another_model_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(SettingError, match=re.escape("[3, 4]")), gated(model, HeadMask.full(2, 4)):
        raise AssertionError("entered")


def test_gates_that_do_not_fit_the_batch_are_refused(model: PreTrainedModel) -> None:
    with gated(model, torch.zeros(2, 3, 4)), pytest.raises(SettingError, match="one gate row per batch row"):
        model(**tiny_inputs())
    with gated(model, torch.zeros(2, 3, 4), rows=torch.tensor([0, 1])), pytest.raises(SettingError, match="batch is"):
        model(**tiny_inputs())


def test_a_traced_model_is_refused(model: PreTrainedModel) -> None:
    layer = attention_sites(model)[0].block.attention.output
    layer.dense = torch.jit.trace(copy.deepcopy(layer.dense), torch.ones(1, 2, 16, dtype=torch.float64))
    with pytest.raises(ArchitectureError, match="layer 0"), gated(model, MASKS["uneven"]):
        raise AssertionError("entered")


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ([[1.0] * 4] * 3, "gates is of type list; expected HeadMask or Tensor"),
        (np.ones((3, 4)), "gates is of type ndarray"),
        (None, "gates is None"),
        (torch.full((3, 4), torch.nan), "NaN or infinite"),
        (torch.full((3, 4), torch.inf), "NaN or infinite"),
        (torch.ones(3, 4, device="meta"), "without values"),
        (torch.ones(3, 4).to_sparse(), "without values"),
    ],
)
def test_what_is_not_gates_is_refused(model: PreTrainedModel, gates: Any, message: str) -> None:
    error = SettingError if isinstance(gates, torch.Tensor) else TypeError
    with pytest.raises(error, match=message), gated(model, gates):
        raise AssertionError("entered")
    with pytest.raises(TypeError, match="expected HeadMask"):
        prune(model, gates)
    assert n_hooks(model) == 0


def test_what_is_not_rows_or_fill_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(TypeError, match="rows is of type list"), gated(model, torch.ones(3, 3, 4), rows=[0, 1, 2]):  # type: ignore[arg-type]
        raise AssertionError("entered")
    with pytest.raises(TypeError, match="fill is of type ndarray"), gated(model, MASKS["uneven"], fill=np.zeros((3, 4, 4))):  # type: ignore[arg-type]
        raise AssertionError("entered")
    fill = torch.zeros(3, 4, 4)
    fill[2, 1, 0] = torch.inf
    with (
        pytest.raises(SettingError, match="fill holds NaN or infinite numbers for layer 2"),
        gated(model, MASKS["uneven"], fill=fill),
    ):
        raise AssertionError("entered")


def test_a_model_is_not_copied_inside_the_block(model: PreTrainedModel) -> None:
    with gated(model, MASKS["uneven"]):
        for copied in (copy.deepcopy, pickle.dumps):
            with pytest.raises(SettingError, match="copied or pickled inside `gated`"):
                copied(model)
    assert n_hooks(copy.deepcopy(model)) == 0


def test_one_thread_at_a_time(model: PreTrainedModel) -> None:
    def elsewhere() -> str:
        try:
            with gated(model.base_model, torch.ones(3, 4)):
                return ""
        except SettingError as error:
            return str(error)

    with ThreadPoolExecutor(1) as pool:
        with gated(model, MASKS["uneven"]), gated(model, MASKS["one-head"]):
            assert "another thread" in pool.submit(elsewhere).result()
        with gated(tiny_model("bert"), MASKS["uneven"]):
            assert pool.submit(elsewhere).result() == ""
    with gated(model, MASKS["uneven"]):
        pass


@pytest.mark.parametrize("whole", [False, True], ids=["in parts", "whole"])
@pytest.mark.parametrize("gates", [MASKS["uneven"], torch.ones(3, 4)], ids=["mask", "numbers"])
def test_a_block_inside_compiled_code_is_refused(gates: HeadMask | torch.Tensor, whole: bool) -> None:
    model, inputs = tiny_model("bert"), tiny_inputs()
    torch.compiler.reset()

    def tagged(**inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), gated(model, gates):
            found: torch.Tensor = model(**inputs).logits
        return found

    # Dynamo wraps the error where it may not fall back to eager code
    with pytest.raises(Exception, match="gated is used inside code that torch compiles or exports; compile the model alone"):
        torch.compile(tagged, backend="eager", fullgraph=whole)(**inputs)
    assert n_hooks(model) == 0
    assert tagged(**inputs).shape == (3, 9, 5)


def test_a_block_inside_an_exported_module_is_refused(model: PreTrainedModel) -> None:
    class Gated(nn.Module):
        def forward(self, **inputs: torch.Tensor) -> Any:
            with gated(model, MASKS["uneven"]):
                return model(**inputs).logits

    with pytest.raises(ArchitectureError, match="inside code that torch compiles or exports"):
        torch.export.export(Gated(), (), tiny_inputs())


class LikePeft(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.base, self.config = model, model.config

    def get_base_model(self) -> PreTrainedModel:
        return self.base


@pytest.mark.parametrize(("wrapper", "way_out"), [(nn.DataParallel, r"pass its \.module"), (LikePeft, "get_base_model")])
def test_wrappers_are_refused_with_the_way_out(model: PreTrainedModel, wrapper: Any, way_out: str) -> None:
    wrapped = wrapper(model)
    for use in (lambda: gated(wrapped, MASKS["uneven"]).__enter__(), lambda: prune(wrapped, MASKS["uneven"])):
        with pytest.raises(ArchitectureError, match=way_out):
            use()


def test_projections_that_share_weights_are_refused(model: PreTrainedModel) -> None:
    attention = model.base_model.encoder.layer[1].attention.self
    key = attention.key
    attention.key = attention.query
    for _ in range(2):
        with pytest.raises(ArchitectureError, match="layer 1: query, key and value share weights"):
            prune(model, MASKS["uneven"])
        attention.key, key.weight = key, attention.query.weight
