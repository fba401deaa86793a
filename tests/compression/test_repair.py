"""Repaired models are ordinary pruned ones: the means of what went stand in the biases, and the model given is untouched."""

import copy
from pathlib import Path

import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import FAMILIES, MASKS, logits, masks_of, tiny_inputs, tiny_model
from transformers import AutoModelForTokenClassification

from polyhead.compression.repair import Repair, fold_means, repaired
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.head_means import head_means
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned

# output projections without a bias cannot take up a mean
FOLDABLE = [family for family in FAMILIES if attention_sites(tiny_model(family))[0].output.bias is not None]


def text() -> list[Batch]:
    return scoring_batches(tiny_encoded(), budget=40)


@pytest.mark.parametrize("family", FOLDABLE)
def test_a_head_that_always_says_the_same_is_not_missed(family: str) -> None:
    model, head = tiny_model(family), HeadId(1, 2)
    site = attention_sites(model)[head.layer]
    with torch.no_grad():
        site.value.weight[site.head_rows("value")[head.head]] = 0  # values are then the bias wherever attention looks
    if not (site.value.bias is not None or site.also):
        pytest.skip("values have no bias")
    mask = HeadMask.without(3, 4, [head])
    wanted = logits(model, tiny_inputs())
    assert (logits(prune(copy.deepcopy(model), mask), tiny_inputs()) - wanted).abs().max() > 1e-3
    found = repaired(model, mask, text(), how="means", precision="fp32")
    assert (logits(found, tiny_inputs()) - wanted).abs().max() < 1e-5
    assert found is not model


@pytest.mark.parametrize("family", FOLDABLE)
@pytest.mark.parametrize("name", MASKS)
def test_cutting_after_folding_is_ablation_by_the_mean(family: str, name: str) -> None:
    model, mask = tiny_model(family), masks_of(tiny_model(family)).get(name)
    if mask is None:
        pytest.skip("the family's heads share keys")
    means = head_means(model, text(), precision="fp32")
    with gated(model, mask, fill=means):
        wanted = logits(model, tiny_inputs())
    folded = fold_means(model, mask, means)
    assert folded is model
    assert (logits(prune(folded, mask), tiny_inputs()) - wanted).abs().max() < 1e-5


def test_means_are_addressed_as_in_the_unpruned_model() -> None:
    model, mask = prune(tiny_model("roberta"), MASKS["uneven"]), MASKS["zero-head-layer"]
    means = head_means(model, text(), precision="fp32")
    with gated(model, mask, fill=means):
        wanted = logits(model, tiny_inputs())
    assert (logits(prune(fold_means(model, mask, means), mask), tiny_inputs()) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("how", ["means", "refit"])
def test_a_repaired_model_is_an_ordinary_pruned_one(how: Repair, tmp_path: Path) -> None:
    model, mask = tiny_model("xlm-roberta").train(), MASKS["zero-head-layer"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = repaired(model, mask, text(), how=how, precision="fp32")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert head_mask(model) == HeadMask.full(3, 4)
    assert head_mask(found) == mask
    plain = prune(copy.deepcopy(model), mask)
    assert {n: v.shape for n, v in found.state_dict().items()} == {n: v.shape for n, v in plain.state_dict().items()}
    save_pruned(found, tmp_path / "model")
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "model")
    assert torch.equal(logits(loaded, tiny_inputs()), logits(found.eval(), tiny_inputs()))


@pytest.mark.parametrize("how", ["means", "refit"])
def test_a_pruned_model_is_repaired_for_what_goes_now(how: Repair) -> None:
    once = prune(tiny_model("distilbert"), MASKS["uneven"])
    twice = repaired(once, MASKS["one-head"], text(), how=how, precision="fp32")
    assert head_mask(twice) == MASKS["uneven"] & MASKS["one-head"]
    same = repaired(once, MASKS["uneven"], text(), how=how, precision="fp32")
    assert torch.equal(logits(same, tiny_inputs()), logits(once, tiny_inputs()))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_keep_their_type(precision: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = tiny_model("bert", dtype=dtype)
        for how in ("means", "refit"):
            found = repaired(model, MASKS["uneven"], text(), how=how, precision=precision)  # type: ignore[arg-type]
            assert {parameter.dtype for parameter in found.parameters()} == {dtype}


def test_what_cannot_be_repaired_is_refused_and_left_alone() -> None:
    model = tiny_model("bert")
    with pytest.raises(SettingError, match="repair 'mean': expected means or refit"):
        repaired(model, MASKS["one-head"], text(), how="mean")  # type: ignore[arg-type]
    for how in ("means", "refit"):
        with pytest.raises(SettingError, match="2 layers x 4 heads"):
            repaired(model, HeadMask.full(2, 4), text(), how=how)  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="no sentence"):
            repaired(model, MASKS["one-head"], [], how=how)  # type: ignore[arg-type]
    means = head_means(model, text())
    with pytest.raises(SettingError, match=r"means of shape \[3, 4, 3\]"):
        fold_means(model, MASKS["one-head"], means[..., 1:])
    attention_sites(model)[1].output.bias = None
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ArchitectureError, match="layer 1: the output projection has no bias"):
        fold_means(model, MASKS["zero-head-layer"], means)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
