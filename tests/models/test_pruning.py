import copy
import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.tiny import FAMILIES, HEAD_DIM, MASKS, logits, masks_of, tiny_inputs, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import BertConfig, BertForTokenClassification, PreTrainedModel

from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores
from polyhead.models.architectures import ARCHITECTURES
from polyhead.models.gates import gated
from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.pruning import fitted, full_state, prune
from polyhead.models.saving import save_pruned
from polyhead.selection.ranking import prune_lowest

install_loader_hook()

masks = st.lists(st.booleans(), min_size=12, max_size=12).map(lambda keep: HeadMask(np.reshape(keep, (3, 4))))


def parameters(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters())


PLAIN = [row for row in ARCHITECTURES if row in ("bert", "xlm-roberta", "electra", "distilbert", "albert")]


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("family", PLAIN)
def test_matrices_shrink_and_no_attribute_is_stale(family: str, mask: HeadMask) -> None:
    model = tiny_model(family)
    before = sum(p.numel() for p in model.parameters())
    assert prune(model, mask) is model
    for site in attention_sites(model):
        width = HEAD_DIM * int(mask.keep[site.layer].sum())
        assert site.kept == tuple(np.flatnonzero(mask.keep[site.layer]))
        for linear in (site.query, site.key, site.value):
            assert tuple(linear.weight.shape) == (linear.out_features, linear.in_features) == (width, 16)
            assert linear.bias.shape == (width,)
        assert tuple(site.output.weight.shape) == (site.output.out_features, site.output.in_features) == (16, width)
        assert getattr(site.attention, ARCHITECTURES[family].head_count) == width // HEAD_DIM
        assert getattr(site.attention, ARCHITECTURES[family].width) == width
    per_head = HEAD_DIM * (4 * 16 + 3)
    assert before - sum(p.numel() for p in model.parameters()) == mask.n_pruned * per_head
    assert head_mask(model) == mask


def test_the_right_blocks_are_removed() -> None:
    model, mask = tiny_model("bert"), MASKS["uneven"]
    whole = copy.deepcopy(model)
    prune(model, mask)
    for old, new in zip(attention_sites(whole), attention_sites(model), strict=True):
        for position, head in enumerate(new.kept):
            was, now = slice(4 * head, 4 * head + 4), slice(4 * position, 4 * position + 4)
            assert torch.equal(old.value.weight[was], new.value.weight[now])
            assert torch.equal(old.key.bias[was], new.key.bias[now])
            assert torch.equal(old.output.weight[:, was], new.output.weight[:, now])


@settings(max_examples=15, deadline=None)
@given(masks, masks)
def test_pruning_twice_is_pruning_by_both_masks(first: HeadMask, second: HeadMask) -> None:
    twice = prune(prune(tiny_model("roberta"), first), second)
    once = prune(tiny_model("roberta"), first & second)
    assert head_mask(twice) == head_mask(once) == first & second
    assert all(torch.equal(a, b) for a, b in zip(twice.parameters(), once.parameters(), strict=True))


def test_pruning_again_with_the_same_mask_touches_nothing() -> None:
    model = prune(tiny_model("bert"), MASKS["uneven"])
    before = parameters(model)
    prune(model, MASKS["uneven"])
    assert all(parameter is before[name] for name, parameter in parameters(model).items())


def test_a_pruned_head_stays_pruned() -> None:
    model = prune(tiny_model("bert"), MASKS["uneven"])
    prune(model, HeadMask.full(3, 4))
    assert head_mask(model) == MASKS["uneven"]


def test_nothing_pruned_leaves_the_config_alone() -> None:
    model = tiny_model("bert")
    config = model.config
    prune(model, HeadMask.full(3, 4))
    assert model.config is config
    assert not hasattr(config, "quantization_config")


def test_the_record_is_of_this_model_only() -> None:
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=4, intermediate_size=8)
    one, other = BertForTokenClassification(config), BertForTokenClassification(config)
    prune(one, MASKS["uneven"])
    assert head_mask(other) == HeadMask.full(3, 4)
    assert head_mask(one) == MASKS["uneven"]
    held = {id(module.config) for module in one.modules() if hasattr(module, "config")}
    assert held == {id(one.config)}


def test_the_kernel_can_still_be_changed_afterwards() -> None:
    model, inputs = prune(tiny_model("bert", kernel="sdpa"), MASKS["uneven"]), tiny_inputs()
    expected = logits(model, inputs)
    model.set_attn_implementation("eager")
    assert model(**inputs, output_attentions=True).attentions[0].shape[1] == 2
    torch.testing.assert_close(logits(model, inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_grad_flags_mode_and_module_identity_are_kept(dtype: torch.dtype) -> None:
    model = tiny_model("electra", dtype=dtype).train()
    sites = attention_sites(model)
    sites[0].key.weight.requires_grad_(False)
    sites[2].output.bias.requires_grad_(False)
    flags = {name: parameter.requires_grad for name, parameter in parameters(model).items()}
    prune(model, MASKS["uneven"])
    assert {name: parameter.requires_grad for name, parameter in parameters(model).items()} == flags
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert all(module.training for module in model.modules())
    assert [site.key for site in attention_sites(model)] == [site.key for site in sites]


def test_a_deep_copy_keeps_the_record_and_is_independent() -> None:
    model = prune(tiny_model("bert"), MASKS["one-head"])
    twin = copy.deepcopy(model)
    prune(twin, MASKS["uneven"])
    assert head_mask(model) == MASKS["one-head"]
    assert head_mask(twin) == MASKS["one-head"] & MASKS["uneven"]


def test_the_cut_weights_are_freed() -> None:
    model = tiny_model("bert")
    old = [site.query.weight.untyped_storage() for site in attention_sites(model)]
    sizes = [storage.nbytes() for storage in old]
    prune(model, MASKS["zero-head-layer"])
    gc.collect()
    for site, size in zip(attention_sites(model), sizes, strict=True):
        for weight in (site.query.weight, site.output.weight):
            assert weight.untyped_storage().nbytes() == weight.numel() * 4 < size
            assert weight.is_contiguous()


def test_a_pruned_model_trains() -> None:
    model, inputs = prune(tiny_model("distilbert"), MASKS["zero-head-layer"]).train(), tiny_inputs()
    labels = torch.zeros_like(inputs["input_ids"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(8):
        loss = model(**inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_full_state_has_zeros_where_heads_were(family: str) -> None:
    assert "uneven" in masks_of(tiny_model(family))
    whole, model = tiny_model(family), prune(tiny_model(family), MASKS["uneven"])
    whole.load_state_dict(full_state(model))
    torch.testing.assert_close(logits(whole, tiny_inputs()), logits(model, tiny_inputs()), atol=1e-5, rtol=0)
    for site in attention_sites(whole):
        keep = torch.tensor(MASKS["uneven"].keep[site.layer])
        for part in site.parts():
            needed = set(part.positions(keep.nonzero()[:, 0]).tolist())
            removed = torch.tensor([i for i in part.positions(slice(None)).tolist() if i not in needed], dtype=torch.int64)
            assert not part.parameter.index_select(part.dim, removed).any()
        assert site.output.bias is None or site.output.bias.any()


def test_a_mask_of_another_shape_is_refused_and_nothing_is_pruned() -> None:
    model = tiny_model("bert")
    with pytest.raises(SettingError, match="mask of 3 layers x 5 heads: this model has 3 x 4"):
        prune(model, HeadMask.full(3, 5))
    assert head_mask(model) == HeadMask.full(3, 4)


def test_weights_that_are_not_in_memory_are_refused() -> None:
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=4, intermediate_size=8)
    with torch.device("meta"):
        model = BertForTokenClassification(config)
    with pytest.raises(ArchitectureError, match="not in memory"):
        prune(model, MASKS["uneven"])


def test_heads_that_share_a_key_stay_in_equal_numbers() -> None:
    model = tiny_model("eurobert")  # heads 0 and 1 share a key, 2 and 3 another
    before = {name: value.clone() for name, value in parameters(model).items()}
    message = r"layer 1: heads that share a key .* but 1 of 0\.\.1, 2 of 2\.\.3 would stay; leave 1\.1 or prune 1\.3 as well"
    with pytest.raises(SettingError, match=message):
        prune(model, HeadMask.without(3, 4, [HeadId(0, 0), HeadId(0, 3), HeadId(1, 1)]))
    assert all(torch.equal(value, before[name]) for name, value in parameters(model).items())
    fitting = fitted(model, HeadMask.without(3, 4, [HeadId(0, 0), HeadId(0, 3), HeadId(1, 1)]))
    assert fitting.pruned == (HeadId(0, 0), HeadId(0, 3), HeadId(1, 0), HeadId(1, 1))
    prune(model, fitting)
    sites = attention_sites(model)
    assert [site.key.out_features // HEAD_DIM for site in sites] == [2, 1, 2]
    assert [site.attention.num_key_value_groups for site in sites] == [1, 2, 2]
    # what may be left depends on what was pruned before
    with pytest.raises(
        SettingError, match=r"layer 2: .*but 1 of 0\.\.1, 2 of 2\.\.3 would stay; leave 2\.0 or prune 2\.3 as well"
    ):
        prune(model, HeadMask.without(3, 4, [HeadId(2, 0)]))


def test_the_lowest_heads_of_a_model_with_shared_keys_can_be_pruned() -> None:
    model = tiny_model("eurobert")
    assert head_mask(model).group == 2
    scores = HeadScores(np.random.default_rng(0).random((3, 4)), "x")
    for k in range(0, 13, 2):
        prune(copy.deepcopy(model), prune_lowest(scores, k, present=head_mask(model)))
    prune(model, prune_lowest(scores, 4, present=head_mask(model)))
    assert (head_mask(model).group, head_mask(model).n_pruned) == (2, 4)
    assert head_mask(tiny_model("bert")).group == 1


def test_layers_that_share_weights_are_one_layer() -> None:
    model = tiny_model("albert+shared")
    assert (model.config.num_hidden_layers, head_mask(model).shape) == (6, (3, 4))
    before = sum(p.numel() for p in model.parameters())
    prune(model, HeadMask.without(3, 4, [HeadId(1, 2)]))
    assert before - sum(p.numel() for p in model.parameters()) == HEAD_DIM * (4 * 16 + 3)


@pytest.mark.parametrize("family", ["t5", "mpnet"])
def test_a_position_bias_of_all_layers_stays_whole_and_is_pruned_again(family: str) -> None:
    if family not in FAMILIES:
        pytest.skip("not in this release")
    names = set(tiny_model(family).state_dict())
    model = prune(prune(tiny_model(family), MASKS["zero-head-layer"]), MASKS["uneven"])
    assert set(model.state_dict()) == names
    (table,) = [value for name, value in parameters(model).items() if name.endswith("relative_attention_bias.weight")]
    assert table.shape[1] == 4
    once = prune(tiny_model(family), MASKS["zero-head-layer"] & MASKS["uneven"])
    assert torch.equal(logits(model, tiny_inputs()), logits(once, tiny_inputs()))
    # the copy looks up its own embedding, not that of the original
    copied = copy.deepcopy(model)
    with torch.no_grad():
        table.zero_()
    assert torch.equal(logits(copied, tiny_inputs()), logits(once, tiny_inputs()))
    assert not torch.equal(logits(model, tiny_inputs()), logits(once, tiny_inputs()))
    # and a gradient reaches the columns of the heads that are left anywhere
    copied(**tiny_inputs()).logits.sum().backward()
    (table,) = [value for name, value in parameters(copied).items() if name.endswith("relative_attention_bias.weight")]
    left = (MASKS["zero-head-layer"] & MASKS["uneven"]).keep.any(axis=0)
    assert np.array_equal((table.grad != 0).any(dim=0).numpy(), left)  # type: ignore[union-attr]


@pytest.mark.parametrize("family", ["deberta-v2", "xlm", "umt5"])
def test_a_layer_that_needs_a_head_keeps_one_that_is_zero_also_after_training(family: str) -> None:
    model = prune(tiny_model(family), MASKS["zero-head-layer"]).train()
    site = attention_sites(model)[1]
    assert (site.kept, site.n_blocks) == ((), 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        model(**tiny_inputs()).logits.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not any(part.parameter.any() for part in site.parts() if part.module is site.output)
    assert not site.value.weight.any()


def test_a_model_that_mixes_its_heads_is_refused() -> None:
    model = tiny_model("deberta")
    model.config.talking_head = True
    with pytest.raises(ArchitectureError, match="talking_head is True, so heads are mixed before the output projection"):
        prune(model, MASKS["uneven"])


@pytest.mark.parametrize("family", ["deberta-v2", "xlm-roberta", "t5", "modernbert"])
def test_a_bare_encoder_gives_the_masked_embeddings(family: str, tmp_path: Path) -> None:
    model, real = tiny_model(family).base_model, tiny_inputs()["attention_mask"].bool()
    with torch.no_grad():
        with gated(model, MASKS["uneven"]):
            masked = model(**tiny_inputs()).last_hidden_state
        prune(model, MASKS["uneven"])
        again = type(model).from_pretrained(save_pruned(model, tmp_path / "pruned")).eval()
        assert head_mask(again) == MASKS["uneven"]
        for each in (model, again):
            assert (each(**tiny_inputs()).last_hidden_state - masked)[real].abs().max() < 1e-5


def test_an_encoder_inside_another_model_is_pruned() -> None:
    """As in GLiNER, which holds a bare DeBERTa."""

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = tiny_model("deberta-v2+v3").base_model
            self.spans = nn.Linear(16, 3)

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.spans(self.encoder(**inputs).last_hidden_state)
            return found

    outer = Outer().eval()
    with torch.no_grad():
        with gated(outer.encoder, MASKS["zero-head-layer"]):
            masked = outer(**tiny_inputs())
        prune(outer.encoder, MASKS["zero-head-layer"])
        assert (outer(**tiny_inputs()) - masked).abs().max() < 1e-5
