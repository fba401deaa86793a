"""Weight gradients against plain backward passes, on the right axis and on the released code's."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import MASKS, tiny_model
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune
from polyhead.selection.combining import combine

HEADS, HEAD_DIM = 4, 4
weight_gradient = partial(score_heads, "weight-gradient")


@pytest.fixture
def model() -> PreTrainedModel:
    return tiny_model("bert", dtype=torch.float64)


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return scoring_batches(tiny_encoded(), budget=30)


def plain(model: PreTrainedModel, batches: list[Batch], *, rows: bool) -> NDArray[np.float64]:
    """|∂L/∂W| of key and value, averaged over batches with a label, and over blocks of rows or of columns."""
    sites = attention_sites(model)
    sums = [[torch.zeros_like(m.weight) for m in (site.key, site.value)] for site in sites]
    for batch in batches:
        model.zero_grad()
        loss = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels).loss
        if bool((batch.labels != -100).any()):
            loss.backward()
            for site, pair in zip(sites, sums, strict=True):
                for module, total in zip((site.key, site.value), pair, strict=True):
                    total += module.weight.grad.abs()
    model.zero_grad()
    both = torch.stack([(key + value) / 2 for key, value in sums])
    blocks = both.unflatten(1 if rows else 2, (HEADS, HEAD_DIM))
    n = sum(bool((batch.labels != -100).any()) for batch in batches)
    return blocks.mean(dim=(2, 3) if rows else (1, 3)).numpy() / n


def test_rows_are_heads(model: PreTrainedModel, batches: list[Batch]) -> None:
    found = weight_gradient(model, batches, precision="fp32").values
    np.testing.assert_allclose(found, plain(model, batches, rows=True), rtol=1e-5)


def test_the_released_axis_is_that_of_the_input(model: PreTrainedModel, batches: list[Batch]) -> None:
    found = score_heads("weight-gradient-released", model, batches, precision="fp32").values
    np.testing.assert_allclose(found, plain(model, batches, rows=False), rtol=1e-5)
    assert not np.allclose(found, weight_gradient(model, batches, precision="fp32").values, rtol=1e-2)


def test_gradients_of_one_batch_are_not_added_to_those_of_the_next(model: PreTrainedModel, batches: list[Batch]) -> None:
    once, thrice = (weight_gradient(model, batches[:1] * times, precision="fp32") for times in (1, 3))
    np.testing.assert_allclose(thrice.values, once.values, rtol=1e-5)
    assert once.total is not None
    assert thrice.total is not None
    np.testing.assert_allclose(thrice.total, 3 * once.total, rtol=1e-5)


@pytest.mark.parametrize("method", ["weight-gradient", "weight-gradient-released"])
def test_units_are_batches_with_a_label_so_that_languages_merge_as_if_scored_together(
    model: PreTrainedModel, batches: list[Batch], method: str
) -> None:
    bare = replace(batches[0], anchor_labels=torch.full_like(batches[0].anchor_labels, -100))
    together = score_heads(method, model, [*batches, bare], precision="fp32")
    labelled = [batch for batch in batches if bool((batch.anchor_labels != -100).any())]
    assert together.n == len(labelled) > 1
    assert together.total is not None
    np.testing.assert_array_equal(together.total / together.n, together.values)
    parts = [score_heads(method, model, part, precision="fp32") for part in (labelled[:1], [*labelled[1:], bare])]
    np.testing.assert_allclose(combine(parts, "merged")[0].values, together.values, rtol=1e-6)


def test_pruned_models_keep_their_numbering(model: PreTrainedModel, batches: list[Batch]) -> None:
    mask = MASKS["uneven"]
    prune(model, mask)
    found = weight_gradient(model, batches, precision="fp32").values
    for site in attention_sites(model):
        assert np.array_equal(np.flatnonzero(np.isfinite(found[site.layer])), site.kept)
