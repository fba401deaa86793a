"""Head means against a loop over sentences, one at a time and without padding."""

import copy

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import FAMILIES, HEAD_DIM, PAD, tiny_model
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Silent
from polyhead.learning.batching import collate, scoring_batches
from polyhead.learning.head_means import head_means
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune

ENCODED = tiny_encoded()


def plain_means(model: PreTrainedModel) -> torch.Tensor:
    """Means `[layers, heads, head_dim]` over the tokens of all windows, each window in a pass of its own."""
    seen: dict[int, list[torch.Tensor]] = {}
    handles = [
        site.output.register_forward_pre_hook(lambda m, args, layer=site.layer: seen.setdefault(layer, []).append(args[0][0]))
        for site in attention_sites(model)
        if site.kept
    ]
    with torch.no_grad():
        for window in ENCODED.windows:
            model(input_ids=collate([[window]], pad_id=PAD).input_ids)
    for handle in handles:
        handle.remove()
    means = torch.zeros(3, 4, HEAD_DIM, dtype=model.dtype)
    for site in attention_sites(model):
        if site.kept:
            means[site.layer, list(site.kept)] = torch.cat(seen[site.layer]).mean(dim=0).view(-1, HEAD_DIM)
    return means


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mask", ["nothing", "everything but one layer"])
def test_the_mean_is_over_all_tokens_and_no_padding(family: str, mask: str) -> None:
    keep = HeadMask.full(3, 4) if mask == "nothing" else HeadMask([[1] * 4, [0] * 4, [0] * 4])
    model = prune(tiny_model(family, dtype=torch.float64), keep)
    batches = scoring_batches(ENCODED, budget=60)
    assert any(batch.has_padding for batch in batches)
    found = head_means(model, batches)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, plain_means(model), rtol=1e-10, atol=1e-13)
    assert np.array_equal((found != 0).any(dim=-1).numpy(), keep.keep)


def test_neither_batches_nor_their_order_matter() -> None:
    model = tiny_model("bert", dtype=torch.float64)
    one, other = (head_means(model, scoring_batches(ENCODED, budget=budget)) for budget in (1, 200))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_pass_in_float32_and_the_means_can_be_trained_on(precision: str) -> None:
    model = tiny_model("bert").train()
    before = copy.deepcopy(model.state_dict())
    batches = scoring_batches(ENCODED, budget=40)
    runs: list[int] = []
    handle = attention_sites(model)[1].output.register_forward_hook(lambda *_: runs.append(1))
    found = head_means(model, batches, precision=precision)  # type: ignore[arg-type]
    handle.remove()
    assert len(runs) == len(batches)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain_means(model.eval()), rtol=0.1 if precision == "bf16" else 1e-4, atol=2e-2)
    scale = torch.ones(3, 4, 1, requires_grad=True)
    (found * scale).sum().backward()
    assert scale.grad is not None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_compiled_layers_are_seen_too() -> None:
    model = tiny_model("bert")
    batches = scoring_batches(ENCODED, budget=40)
    expected = head_means(model, batches, precision="fp32")
    model.bert.encoder.layer[1] = torch.compile(model.bert.encoder.layer[1], backend="eager")
    model.requires_grad_(False)
    with torch.no_grad():
        for batch in batches:  # compiled for these very calls, in which no hook was there
            model(input_ids=batch.input_ids, attention_mask=batch.attention_mask if batch.has_padding else None)
    assert torch.equal(head_means(model, batches, precision="fp32"), expected)


def test_a_head_that_always_says_the_same_is_its_mean() -> None:
    model = tiny_model("bert", dtype=torch.float64)
    site = attention_sites(model)[1]
    with torch.no_grad():
        site.value.weight[site.head_rows("value")[2]] = 0
    batches = scoring_batches(ENCODED, budget=40)
    means = head_means(model, batches)
    torch.testing.assert_close(means[1, 2], site.value.bias[site.head_rows("value")[2]].detach(), rtol=1e-12, atol=0)
    inputs = {"input_ids": batches[0].input_ids, "attention_mask": batches[0].attention_mask}
    with torch.no_grad():
        expected = model(**inputs).logits
        keep = torch.ones(3, 4, dtype=torch.bool)
        keep[1, 2] = False
        with gated(model, keep, fill=means):
            torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=1e-12)


class Stops(Silent):
    def advance(self, n: int) -> None:
        raise KeyboardInterrupt


def test_stopping_leaves_no_hook_and_no_data_is_refused() -> None:
    model = tiny_model("bert")
    with pytest.raises(KeyboardInterrupt):
        head_means(model, scoring_batches(ENCODED), progress=Stops())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    with pytest.raises(SettingError, match="no sentence"):
        head_means(model, [])
