"""Relevance of heads against a model written out with detached factors, and its conservation from layer to layer."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import FAMILIES, KERNELS, PAD, tiny_model
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.importance.methods import score_heads
from polyhead.importance.relevance import propagated
from polyhead.importance.relevance_rules import Variant, relevance_rules
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.model_heads import attention_sites
from polyhead.selection.combining import combine

ENCODED = tiny_encoded()
LABELLED = [0, 1, 2, 3, 4, 6]
variants = pytest.mark.parametrize("variant", ["cp", "attn"])


def batches(budget: int = 40) -> list[Batch]:
    return scoring_batches(ENCODED, budget=budget)


def relevance(model: PreTrainedModel, batches: list[Batch], *, variant: Variant = "cp") -> HeadScores:
    return score_heads("relevance" if variant == "cp" else "relevance-attn", model, batches)


def conservation(model: PreTrainedModel, batches: list[Batch], *, variant: Variant = "cp") -> NDArray[np.float64]:
    """Share of f that reaches each layer's input, `[layers]`."""
    with scoring_mode(model, "fp32"), relevance_rules(model, variant), torch.enable_grad():
        found = [propagated(model, batch) for batch in batches]
    return np.sum([own.arrived for own in found], axis=0) / sum(own.sent for own in found)


def linear_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt().detach() * norm.weight + norm.bias


def partly(x: Tensor, share: float) -> Tensor:
    """x with a share of its gradient."""
    return share * x + (1 - share) * x.detach()


def plain_relevance(model: PreTrainedModel, sentence: int, variant: Variant) -> NDArray[np.float64]:
    """Σ z·∂f/∂z `[layers, heads]` of one sentence, a BERT written out by hand, one window after another."""
    shares = {"cp": (0, 0, 1), "attn": (0.25, 0.25, 0.5)}[variant]
    sums = torch.zeros(3, 4, dtype=torch.float64)
    for window in (w for w in ENCODED.windows if w.sentence == sentence):
        x = model.bert.embeddings(input_ids=collate([[window]], pad_id=PAD).input_ids)[0].detach()
        written: list[Tensor] = []
        for layer in model.bert.encoder.layer:
            own, out = layer.attention.self, layer.attention.output
            projected = (m(x).unflatten(-1, (4, 4)).transpose(0, 1) for m in (own.query, own.key, own.value))
            query, key, value = (partly(heads, share) for heads, share in zip(projected, shares, strict=True))
            weights = (query @ key.transpose(1, 2) / 2).softmax(-1)
            written.append((weights @ value).transpose(0, 1))
            x = linear_norm(out.LayerNorm, out.dense(written[-1].flatten(1)) + x)
            inner = layer.intermediate.dense(x)
            x = linear_norm(layer.output.LayerNorm, layer.output.dense(inner * (gelu(inner) / inner).detach()) + x)
        logits = model.classifier(x)[window.anchor_positions.tolist()]
        gold = torch.as_tensor(window.label_ids).long()
        f = logits[gold != -100].gather(1, gold[gold != -100][:, None]).sum()
        for place, (z, dz) in enumerate(zip(written, torch.autograd.grad(f, written), strict=True)):
            sums[place] += (z * dz).sum(dim=(0, 2)).detach()
    return sums.numpy()


@variants
def test_scores_are_the_mean_absolute_shares_of_a_model_written_out(variant: Variant) -> None:
    model = tiny_model("bert", dtype=torch.float64)
    every = np.stack([plain_relevance(model, sentence, variant) for sentence in LABELLED])
    shares = every / np.abs(every).sum(axis=2, keepdims=True)
    scores = relevance(model, batches(), variant=variant)
    np.testing.assert_allclose(scores.values, np.abs(shares).mean(axis=0), rtol=1e-9)
    assert scores.total is not None
    assert scores.signed is not None
    np.testing.assert_allclose(scores.total, np.abs(shares).sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(scores.signed, shares.mean(axis=0), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(scores.values.sum(axis=1), 1)
    assert scores.n == len(LABELLED)
    arrived = pytest.approx(conservation(model, batches(), variant=variant)[0])
    assert scores.settings == {"variant": variant, "precision": "fp32", "conserved": arrived}


def test_the_two_variants_differ() -> None:
    model = tiny_model("bert")
    assert not np.allclose(relevance(model, batches()).values, relevance(model, batches(), variant="attn").values, rtol=0.05)


@variants
def test_scores_do_not_depend_on_batches_even_with_windows(variant: Variant) -> None:
    model = tiny_model("roberta", dtype=torch.float64)
    one, other = (relevance(model, given, variant=variant) for given in (batches(1), batches(200)[::-1]))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)


def test_languages_merge_as_if_scored_together() -> None:
    model, every = tiny_model("bert", dtype=torch.float64), batches(1)
    merged = combine([relevance(model, part) for part in (every[:2], every[2:])], "merged")[0]
    together = relevance(model, every)
    np.testing.assert_allclose(merged.values, together.values, rtol=1e-9)
    np.testing.assert_allclose(merged.signed, together.signed, rtol=1e-9)


def test_a_head_that_speaks_for_the_gold_label_is_positive_in_the_signed_scores() -> None:
    model = tiny_model("bert", dtype=torch.float64, layers=1)
    batch = batches(1)[0]
    before = gold_logits(model, batch)
    scores = relevance(model, [batch])
    assert scores.signed is not None
    head = int(np.abs(scores.signed[0]).argmax())
    dense = model.bert.encoder.layer[0].attention.output.dense
    with torch.no_grad():
        dense.weight[:, 4 * head : 4 * head + 4] *= 0.9
    assert (gold_logits(model, batch) < before) == (scores.signed[0, head] > 0)


def gold_logits(model: PreTrainedModel, batch: Batch) -> float:
    with torch.no_grad():
        logits = model(input_ids=batch.input_ids).logits
    where = batch.labels != -100
    return float(logits[where].gather(1, batch.labels[where][:, None]).sum())


def without_biases(model: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return model


# Families with a module for a whole layer, and of these the ones with biases. DeBERTa's convolution is no module with a rule.
LAYERED = [
    family
    for family in FAMILIES
    if (site := attention_sites(tiny_model(family))[0]).block is not site.attention and not family.endswith("+conv")
]
BIASED = [family for family in LAYERED if attention_sites(tiny_model(family))[0].output.bias is not None]


@pytest.mark.parametrize(("family", "kernel"), [(family, kernel) for family in LAYERED for kernel in KERNELS[family]])
def test_without_biases_cp_hands_all_relevance_down(family: str, kernel: Literal["sdpa", "eager"]) -> None:
    model = without_biases(tiny_model(family, kernel=kernel, dtype=torch.float64))
    close = 1e-4 if family.startswith(("deberta", "eurobert")) else 1e-9  # some families normalise in float32
    for given in (batches(), *([batch] for batch in batches(1) if bool((batch.anchor_labels != -100).any()))):
        found = conservation(model, given)
        np.testing.assert_allclose(found, np.ones_like(found), atol=close)
    assert np.abs(conservation(model, batches(), variant="attn")[0] - 1) > 1e-3


@pytest.mark.parametrize("family", BIASED)
def test_biases_keep_some_of_it(family: str) -> None:
    model = tiny_model(family, dtype=torch.float64)
    assert (np.abs(conservation(model, batches()) - 1) > 1e-3).all()


def test_compiled_models_follow_the_rules_too() -> None:
    model = tiny_model("bert", dtype=torch.float64).requires_grad_(False)
    batch = next(batch for batch in batches() if batch.has_padding)
    expected = conservation(model, [batch]), relevance(model, [batch]).values
    for layer in model.bert.encoder.layer:
        layer.compile(backend="eager")
    embedded = model.bert.embeddings.word_embeddings(batch.input_ids).requires_grad_(True)
    model(inputs_embeds=embedded, attention_mask=batch.attention_mask)  # compiles, for just such layer inputs
    np.testing.assert_allclose(conservation(model, [batch]), expected[0], rtol=1e-9)
    np.testing.assert_allclose(relevance(model, [batch]).values, expected[1], rtol=1e-9)


def test_the_model_is_left_as_it_was_found() -> None:
    model: Any = tiny_model("distilbert").train()
    relevance(model, batches(), variant="attn")
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_calling_it_without_gradients_enabled_is_fine() -> None:
    model = tiny_model("bert")
    expected = relevance(model, batches()).values
    with torch.no_grad():
        np.testing.assert_array_equal(relevance(model, batches()).values, expected)


def test_without_a_label_there_is_no_relevance() -> None:
    unlabelled = [batch for batch in batches(1) if not bool((batch.anchor_labels != -100).any())]
    with pytest.raises(SettingError, match=r"no .*labelled word"):
        relevance(tiny_model("bert"), unlabelled)
