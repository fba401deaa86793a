"""Several masks in one model: each sentence of a mixed batch is read as the model pruned to its own mask reads it."""

import copy
import json
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.tiny import MASKS, tiny_inputs, tiny_model
from torch import Tensor
from transformers import AutoModelForTokenClassification, PreTrainedModel

from polyhead.core.errors import CheckpointError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.models.gates import gated
from polyhead.models.loading import load_saved
from polyhead.models.model_heads import head_mask
from polyhead.models.named_masks import head_masks
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned

NAMED = {"de": MASKS["uneven"], "ja": MASKS["zero-head-layer"], "zh-Hans": MASKS["one-head"]}
EVERY = {
    **NAMED,
    "sw": HeadMask([[1, 0, 1, 0], [1, 0, 0, 1], [0, 0, 0, 1]]),
    "yo": HeadMask([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]),
}
FEW = {"sw": EVERY["sw"], "yo": EVERY["yo"]}


def out(model: PreTrainedModel, **more: object) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(**tiny_inputs(), **more).logits
    return logits


def of_one(family: str, name: str | None) -> Tensor:
    """Logits of the model that is pruned to one mask alone."""
    return out(tiny_model(family) if name is None else prune(tiny_model(family), EVERY[name]))


def hooks(model: PreTrainedModel) -> int:
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


@pytest.mark.parametrize("family", ["bert", "distilbert"])
@pytest.mark.parametrize("names", [["de", "ja", None], ["ja", "de", "ja"], ["zh-Hans"] * 3, [None] * 3])
def test_each_row_is_read_as_by_the_model_pruned_to_its_own_mask(family: str, names: list[str | None]) -> None:
    model = prune(tiny_model(family), NAMED)
    assert head_mask(model) == MASKS["nothing"], "some mask keeps each head"
    before = hooks(model)
    found = out(model, mask_names=names)
    tokens = tiny_inputs()["attention_mask"].bool()
    for row, name in enumerate(names):
        expected = of_one(family, name)[row]
        torch.testing.assert_close(found[row][tokens[row]], expected[tokens[row]], atol=1e-5, rtol=0)
    assert hooks(model) == before
    assert torch.equal(out(model), of_one(family, None)), "without names all heads are used"


def test_heads_that_no_mask_keeps_are_gone_and_all_else_is_saved_and_copied(tmp_path: Path) -> None:
    model = prune(tiny_model("bert"), FEW)
    union = HeadMask(FEW["sw"].keep | FEW["yo"].keep)
    assert head_mask(model) == union
    assert head_masks(model) == FEW
    expected = out(model, mask_names=["sw", "yo", "sw"])
    torch.testing.assert_close(expected[1][:7], of_one("bert", "yo")[1][:7], atol=1e-5, rtol=0)
    save_pruned(model, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "mask_names" in card
    assert "| sw | 5 of 12 |" in card
    stock = AutoModelForTokenClassification.from_pretrained(tmp_path / "model")
    for again in (stock, load_saved(tmp_path / "model"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert head_masks(again) == FEW
        assert torch.equal(out(again, mask_names=["sw", "yo", "sw"]), expected)
    assert hooks(stock) == 2
    stock.save_pretrained(tmp_path / "again")
    assert head_masks(load_saved(tmp_path / "again")) == FEW


def test_pruning_further_takes_heads_from_every_mask_and_new_names_replace_the_old() -> None:
    model = prune(prune(tiny_model("bert"), NAMED), EVERY["sw"])
    assert head_masks(model) == {name: mask & EVERY["sw"] for name, mask in NAMED.items()}
    both = prune(prune(tiny_model("bert"), NAMED), {"de": NAMED["de"]})
    assert (head_masks(both), head_mask(both)) == ({"de": NAMED["de"]}, NAMED["de"])
    assert hooks(both) == 2
    torch.testing.assert_close(out(both), of_one("bert", "de"), atol=1e-5, rtol=0)


def test_gates_of_other_blocks_multiply_and_gradients_flow() -> None:
    model = prune(tiny_model("bert"), NAMED)
    gates = torch.full((3, 4), 0.5, requires_grad=True)
    with gated(model, gates):
        model(**tiny_inputs(), mask_names=["de", "ja", "de"]).logits.sum().backward()
    assert gates.grad is not None
    assert gates.grad[1, 1] != 0
    assert gates.grad[0, 0] != 0, "ja keeps it"
    model.gradient_checkpointing_enable()
    model.train()
    with pytest.raises(SettingError, match=r"without their masks; call backward inside polyhead\.gated"):
        model(**tiny_inputs(), mask_names=["de", "ja", "de"])
    assert out(model).shape == (3, 9, 5)


def test_calls_from_other_threads_wait() -> None:
    model = prune(tiny_model("bert"), NAMED)
    wanted = {name: out(model, mask_names=[name] * 3) for name in NAMED} | {None: out(model)}
    found: dict[tuple[str | None, int], Tensor] = {}

    def call(name: str | None) -> None:
        for turn in range(5):
            found[name, turn] = out(model, **({} if name is None else {"mask_names": [name] * 3}))

    threads = [threading.Thread(target=call, args=(name,)) for name in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(torch.equal(logits, wanted[name]) for (name, _), logits in found.items())


def test_a_compiled_model_runs_without_names_and_refuses_them() -> None:
    model = prune(tiny_model("bert"), NAMED)
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(out(compiled), out(model), atol=1e-5, rtol=0)
    names = ["de", "ja", None]
    with pytest.raises(Exception, match="compiled and exported code has no gates"):
        out(compiled, mask_names=names)
    torch.testing.assert_close(out(compiled), out(model), atol=1e-5, rtol=0)
    torch.testing.assert_close(out(model, mask_names=names)[0][:9], of_one("bert", "de")[0][:9], atol=1e-5, rtol=0)


def test_bad_names_are_one_line_with_the_names_there_are() -> None:
    model = prune(tiny_model("bert"), NAMED)
    before = hooks(model)
    for names, said in (
        (["de", "jp", "de"], "mask 'jp': this model has no such mask; expected one of de, ja, zh-Hans"),
        (["de", "ja"], "2 names for a batch of 3 rows"),
        ("dej", "expected one name for each sentence"),
    ):
        with pytest.raises(SettingError) as error:
            model(**tiny_inputs(), mask_names=names)
        assert said in str(error.value)
        assert "\n" not in str(error.value)
    assert hooks(model) == before
    assert torch.equal(out(model), of_one("bert", None)), "nothing is left after an error"
    for masks, said in (
        ({}, "there is none"),
        ({"de.x": NAMED["de"]}, "expected letters, digits, - and _"),
        ({"de": HeadMask.full(2, 4)}, "mask de of 2 layers x 4 heads: this model has 3 x 4 before pruning"),
    ):
        with pytest.raises(SettingError, match=said):
            prune(tiny_model("bert"), masks)
    with pytest.raises(TypeError, match="mask de is"):
        prune(tiny_model("bert"), {"de": np.ones((3, 4))})  # type: ignore[dict-item]


def test_an_error_in_the_forward_pass_leaves_no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    model = prune(tiny_model("bert"), NAMED)
    with pytest.raises(IndexError):
        model(input_ids=torch.full((3, 4), 10_000), mask_names=["de"] * 3)
    assert torch.equal(out(model), of_one("bert", None))


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([1], "masks is [1]"),
        ({"de": [1]}, "mask de: pruned_heads is [1]"),
        ({"de": {"7": [0]}}, "layer '7'"),
        ({"de": {}}, "mask de keeps head 0.1, which the model does not have"),
    ],
)
def test_a_corrupt_record_is_refused(masks: object, said: str, tmp_path: Path) -> None:
    save_pruned(prune(tiny_model("bert"), FEW), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"]["masks"] = masks
    (tmp_path / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError) as error:
        load_saved(tmp_path / "model")
    assert said in str(error.value)


def test_a_dense_copy_holds_one_set_of_heads(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"masks for de, ja, zh-Hans, and a dense copy holds one set of heads"):
        densify(prune(tiny_model("bert"), NAMED), tmp_path / "dense")
    one = densify(prune(tiny_model("bert"), {"de": NAMED["de"]}), tmp_path / "dense")
    torch.testing.assert_close(out(load_saved(one)), of_one("bert", "de"), atol=1e-5, rtol=0)
