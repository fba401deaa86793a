"""Attention weights from queries and keys against those that the eager kernel itself gives out."""

import weakref
from typing import Literal

import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import MASKS, tiny_model
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.importance.attention import each_attention
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.models.architectures import ARCHITECTURES, AttentionSite, attention_sites
from polyhead.models.pruning import prune

BATCHES = scoring_batches(tiny_encoded(), budget=40)
PADDED = next(batch for batch in BATCHES if batch.has_padding)


def attentions(model: PreTrainedModel, batch: Batch, **options: Literal["bf16", "fp32"]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}

    def receive(site: AttentionSite, log_weights: Tensor) -> None:
        found[site.layer] = log_weights.exp()

    with torch.no_grad():
        each_attention(model, batch, receive, precision=options.get("precision", "fp32"))
    return found


@pytest.mark.parametrize("mask", ["nothing", "uneven", "zero-head-layer"])
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ARCHITECTURES)
def test_they_are_those_of_the_eager_kernel(family: str, kernel: Literal["sdpa", "eager"], mask: str) -> None:
    model, eager = (prune(tiny_model(family, kernel=name), MASKS[mask]) for name in (kernel, "eager"))  # type: ignore[arg-type]
    for batch in BATCHES:
        real = batch.attention_mask.bool()
        with torch.no_grad():
            given = eager(input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_attentions=True).attentions
        found = attentions(model, batch)
        assert list(found) == [site.layer for site in attention_sites(model) if site.kept]
        for layer, weights in found.items():
            assert weights.shape == given[layer].shape == (*real.shape[:1], MASKS[mask].keep[layer].sum(), *[real.shape[1]] * 2)
            torch.testing.assert_close(weights.transpose(1, 2)[real], given[layer].transpose(1, 2)[real], rtol=0, atol=1e-6)
    assert any(batch.has_padding for batch in BATCHES)


def test_padding_gets_nothing_and_the_rest_adds_up_to_one() -> None:
    for weights in attentions(tiny_model("bert", dtype=torch.float64), PADDED).values():
        assert weights.dtype == torch.float64
        assert (weights.sum(dim=-1) - 1).abs().max() < 1e-12
        assert not weights.masked_select(~PADDED.attention_mask.bool()[:, None, None, :]).any()


def test_weights_too_small_for_a_number_keep_their_logarithm() -> None:
    model = tiny_model("bert")
    with torch.no_grad():
        attention_sites(model)[0].query.weight *= 300
    found: list[Tensor] = []
    with torch.no_grad():
        each_attention(model, BATCHES[0], lambda site, log_weights: found.append(log_weights), precision="fp32")
    assert (found[0].exp() == 0).any()
    assert found[0].isfinite().all() or BATCHES[0].has_padding
    assert found[0][(found[0] > -torch.inf) & (found[0].exp() == 0)].numel()


def test_under_bf16_the_weights_are_float32() -> None:
    model = tiny_model("bert")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attentions(model, PADDED, precision="bf16")
    exact = attentions(model, PADDED)
    assert all(weights.dtype == torch.float32 for weights in found.values())
    assert all((weights.sum(dim=-1) - 1).abs().max() < 1e-5 for weights in found.values())
    assert all(0 < (found[layer] - exact[layer]).abs().max() < 0.2 for layer in exact)


def test_one_layer_is_gone_before_the_next_comes() -> None:
    model = tiny_model("electra")
    own: list[weakref.ref[Tensor]] = []
    before: list[weakref.ref[Tensor]] = []

    def receive(site: AttentionSite, log_weights: Tensor) -> None:
        assert not any(reference() is not None for reference in before)
        before.extend([*own, weakref.ref(log_weights)])
        own.clear()

    for site in attention_sites(model):
        site.key.register_forward_hook(lambda module, args, output: own.append(weakref.ref(output)))
    with torch.no_grad():
        each_attention(model, PADDED, receive, precision="fp32")
    assert len(before) == 6


def test_hooks_go_also_after_an_exception() -> None:
    model = tiny_model("distilbert")

    def receive(site: AttentionSite, log_weights: Tensor) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        each_attention(model, PADDED, receive, precision="fp32")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_compiled_models_are_watched_too() -> None:
    model = tiny_model("bert")
    expected = attentions(model, PADDED)
    for site in attention_sites(model):
        site.block.compile(backend="eager")
    with torch.no_grad():
        model(input_ids=PADDED.input_ids, attention_mask=PADDED.attention_mask)  # compiles
    found = attentions(model, PADDED)
    assert list(found) == [0, 1, 2]
    assert all(torch.allclose(found[layer], expected[layer], atol=1e-6) for layer in found)
