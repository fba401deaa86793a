"""Confidence and entropy against a loop over sentences, windows and queries of the eager kernel's own weights."""

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from conformance.scoring_case import DEAD, model_with_dead_head, tiny_encoded
from conformance.tiny import MASKS, PAD, tiny_model
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.importance.attention import confidence, entropy
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.learning.encoding import Encoded
from polyhead.models.architectures import attention_sites
from polyhead.models.pruning import prune
from polyhead.selection.combining import combine

ENCODED = tiny_encoded()
LAYERS, HEADS = 3, 4
both = pytest.mark.parametrize("method", [confidence, entropy])
Method = Callable[..., HeadScores]


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
    assert (scores.method, scores.signed) == (method.__name__, None)


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
