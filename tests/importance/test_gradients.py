"""Squared gate gradients against those of every sentence by itself."""

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model
from transformers import PreTrainedModel

from polyhead.importance.gate_pass import sentence_gradients
from polyhead.importance.gradients import fisher
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.selection.combining import combine


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("electra", dtype=torch.float64)


def batches(seed: int = 0, budget: int = 40) -> list[Batch]:
    return scoring_batches(tiny_encoded(seed=seed), budget=budget)


def test_gradients_are_squared_before_they_are_added(model: PreTrainedModel) -> None:
    every = sentence_gradients(model, batches(), precision="fp32")
    scores = fisher(model, batches(), precision="fp32")
    assert scores.n == len(every) == 6
    assert scores.total is not None
    assert scores.signed is None
    np.testing.assert_allclose(scores.total, (every**2).sum(0), rtol=1e-9)
    np.testing.assert_allclose(scores.values, (every**2).mean(0), rtol=1e-9)
    assert not np.allclose(scores.values, every.mean(0) ** 2, rtol=0.05)


def test_small_gradients_do_not_vanish_when_squared() -> None:
    model = tiny_model("bert")
    usual = fisher(model, batches(), precision="fp32").values
    with torch.no_grad():
        model.classifier.weight *= 1e-24  # gradients as small as that: float32 has no square of them
    found = fisher(model, batches(), precision="fp32").values
    assert (found > 0).all()
    assert found.max() < 1e-40 < usual.min()


def test_languages_merge_as_if_scored_together(model: PreTrainedModel) -> None:
    parts = [fisher(model, batches(seed), precision="fp32") for seed in (0, 1)]
    together = fisher(model, batches(0) + batches(1), precision="fp32")
    np.testing.assert_allclose(combine(parts, "merged")[0].values, together.values, rtol=1e-9)


def test_bf16_stays_near_float32_and_is_noted() -> None:
    model = tiny_model("bert")
    one, other = (fisher(model, batches(), precision=precision) for precision in ("fp32", "bf16"))
    assert (one.settings["precision"], other.settings["precision"]) == ("fp32", "bf16")
    assert not np.array_equal(one.values, other.values)
    assert np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1] > 0.98
