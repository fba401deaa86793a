"""Attention weights against those that the eager kernel gives out; confidence and entropy against a loop over them."""

import weakref
from collections.abc import Callable
from functools import partial
from math import log
from typing import Any, Literal

import numpy as np
import pytest
import torch
from conformance.scoring_case import DEAD, model_with_dead_head, tiny_encoded
from conformance.tiny import FAMILIES, KERNELS, MASKS, PAD, masks_of, tiny_model
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.importance.attention import each_attention
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.learning.encoded import Encoded
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune
from polyhead.models.sites import AttentionSite
from polyhead.selection.combining import combine

ENCODED = tiny_encoded()
LAYERS, HEADS = 3, 4
confidence, entropy = (partial(score_heads, name) for name in ("confidence", "entropy"))
both = pytest.mark.parametrize("method", [confidence, entropy])
Method = partial[HeadScores]
BATCHES = scoring_batches(ENCODED, budget=40)
PADDED = next(batch for batch in BATCHES if batch.has_padding)


def batches(budget: int = 40, encoded: Encoded = ENCODED) -> list[Batch]:
    return scoring_batches(encoded, budget=budget)


def largest(weights: Tensor) -> float:
    return float(weights.max())


def minus_entropy(weights: Tensor) -> float:
    own = weights / weights.sum()
    return float((own * own.log()).sum())


def plain(model: PreTrainedModel, figure: Callable[[Tensor], float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean over sentences `[sentences, layers, heads]` of the mean over queries between the first and the last token."""
    sentences = []
    for sentence in range(ENCODED.n_sentences):
        queries = []
        for window in (w for w in ENCODED.windows if w.sentence == sentence):
            batch = collate([[window]], pad_id=PAD)
            with torch.no_grad():
                given = model(input_ids=batch.input_ids, output_attentions=True).attentions
            for query in range(1, len(window.input_ids) - 1):
                queries.append([[figure(given[la][0, h, query, 1:-1]) for h in range(HEADS)] for la in range(LAYERS)])
        sentences.append(np.mean(queries, axis=0))
    return np.stack(sentences)


@pytest.mark.parametrize(("method", "figure"), [(confidence, largest), (entropy, minus_entropy)])
def test_scores_are_those_of_a_plain_loop(method: Method, figure: Callable[[Tensor], float]) -> None:
    model = tiny_model("xlm-roberta", kernel="eager", dtype=torch.float64)
    expected = plain(model, figure)
    scores = method(model, batches(), precision="fp32")
    np.testing.assert_allclose(scores.values, expected.mean(axis=0), rtol=1e-9)
    assert scores.total is not None
    np.testing.assert_allclose(scores.total, expected.sum(axis=0), rtol=1e-9)
    # the sentence without a label counts like every other
    assert scores.n == ENCODED.n_sentences
    assert (scores.method, scores.signed) == (method.args[0], None)


@both
def test_scores_do_not_depend_on_batches_even_with_windows(method: Method) -> None:
    model = tiny_model("bert", dtype=torch.float64)
    one, other = (method(model, given, precision="fp32") for given in (batches(1), batches(200)[::-1]))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)


def test_a_head_that_looks_everywhere_alike() -> None:
    model = tiny_model("bert", dtype=torch.float64)
    site = attention_sites(model)[1]
    with torch.no_grad():
        for parameter in site.query.parameters():
            parameter[site.head_rows("query")[2]] = 0
    lengths = [[len(w.input_ids) for w in ENCODED.windows if w.sentence == s] for s in range(ENCODED.n_sentences)]
    text = [np.concatenate([np.full(n - 2, n - 2) for n in own]) for own in lengths]
    assert confidence(model, batches(), precision="fp32").values[1, 2] == pytest.approx(
        np.mean([np.mean(1 / (n + 2)) for n in text])
    )
    assert entropy(model, batches(), precision="fp32").values[1, 2] == pytest.approx(-np.mean([np.mean(np.log(n)) for n in text]))


def test_a_head_that_rests_on_special_tokens_is_not_confident_but_keeps_its_entropy() -> None:
    # one layer; all queries are drawn to the special tokens by so much that nothing is left of the other weights in float32
    model = tiny_model("bert", layers=1, heads=1)
    with torch.no_grad():
        for module in (model.bert.embeddings.token_type_embeddings, model.bert.embeddings.position_embeddings):
            module.weight.zero_()
        model.bert.embeddings.word_embeddings.weight[2:] = torch.tensor([1.0, -1.0, 0.0, 0.0])
        model.bert.embeddings.word_embeddings.weight[2] = torch.tensor([-1.0, 1.0, 0.0, 0.0])
        for parameter in model.bert.encoder.layer[0].attention.self.parameters():
            parameter.zero_()
        model.bert.embeddings.LayerNorm.bias.zero_()
        model.bert.encoder.layer[0].attention.self.query.bias += 1000
        model.bert.encoder.layer[0].attention.self.key.weight[0] = torch.tensor([-1.0, 1.0, 0.0, 0.0])
    (batch,) = batches(1, ENCODED)[:1]
    batch.input_ids[batch.is_text] = 7
    batch.input_ids[~batch.is_text] = 2
    n = int(batch.is_text.sum())
    assert confidence(model, [batch], precision="fp32").values.item() == 0
    assert entropy(model, [batch], precision="fp32").values.item() == pytest.approx(-log(n), rel=1e-4)


@both
def test_what_a_head_writes_plays_no_part(method: Method) -> None:
    model = model_with_dead_head("bert")
    whole = tiny_model("bert", dtype=torch.float64)
    one, other = (method(m, batches(), precision="fp32").values[DEAD.layer, DEAD.head] for m in (model, whole))
    assert one == other != 0


@both
def test_languages_merge_as_if_scored_together(method: Method) -> None:
    model = tiny_model("bert", dtype=torch.float64)
    every = batches(1)
    parts = [method(model, part, precision="fp32") for part in (every[:2], every[2:])]
    merged = combine(parts, "merged")[0]
    np.testing.assert_allclose(merged.values, method(model, every, precision="fp32").values, rtol=1e-9)


@both
def test_pruned_models_keep_their_numbering(method: Method) -> None:
    mask = MASKS["zero-head-layer"]
    found = method(prune(tiny_model("electra"), mask), batches(), precision="fp32")
    assert np.array_equal(np.isfinite(found.values), mask.keep)
    # nothing changes below the first head that is gone
    whole = method(tiny_model("electra"), batches(), precision="fp32").values
    np.testing.assert_allclose(found.values[0][mask.keep[0]], whole[0][mask.keep[0]], rtol=1e-5)


@both
def test_bf16_stays_near_float32_and_is_noted(method: Method) -> None:
    model = tiny_model("bert")
    one, other = (method(model, batches(), precision=precision) for precision in ("fp32", "bf16"))
    assert (one.settings, other.settings) == ({"precision": "fp32"}, {"precision": "bf16"})
    assert not np.array_equal(one.values, other.values)
    assert np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1] > 0.98


@both
def test_without_a_sentence_there_is_no_score(method: Method) -> None:
    with pytest.raises(SettingError, match="no sentence"):
        method(tiny_model("bert"), [])


def attentions(model: PreTrainedModel, batch: Batch, **options: Literal["bf16", "fp32"]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}

    def receive(site: AttentionSite, log_weights: Tensor) -> None:
        found[site.layer] = log_weights.exp()

    with torch.no_grad():
        each_attention(model, batch, receive, precision=options.get("precision", "fp32"))
    return found


@pytest.mark.parametrize("mask", ["nothing", "uneven", "zero-head-layer"])
@pytest.mark.parametrize(("family", "kernel"), [(family, kernel) for family in FAMILIES for kernel in KERNELS[family]])
def test_attention_weights_are_those_of_the_eager_kernel(family: str, kernel: Literal["sdpa", "eager"], mask: str) -> None:
    if mask not in masks_of(tiny_model(family)):
        pytest.skip("the family's heads share keys")
    model, eager = (prune(tiny_model(family, kernel=name), MASKS[mask]) for name in (kernel, "eager"))  # type: ignore[arg-type]
    uses = attention_sites(model)[0].uses
    for batch in BATCHES:
        real = batch.attention_mask.bool()
        with torch.no_grad():
            given = eager(input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_attentions=True).attentions
        found = attentions(model, batch)
        assert list(found) == [site.layer for site in attention_sites(model) if site.kept]
        for layer, weights in found.items():
            last = given[(layer + 1) * uses - 1]
            assert weights.shape == last.shape == (*real.shape[:1], MASKS[mask].keep[layer].sum(), *[real.shape[1]] * 2)
            torch.testing.assert_close(weights.transpose(1, 2)[real], last.transpose(1, 2)[real], rtol=0, atol=1e-6)
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
