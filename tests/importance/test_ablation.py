"""Ablation against the definition: a loop over heads and sentences, and what it costs."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance.scoring_case import DEAD, model_with_dead_head, tiny_encoded
from conformance.tiny import MASKS, PAD, tiny_model
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.core.errors import StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.progress import Silent
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.learning.head_means import head_means
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune
from polyhead.selection.combining import combine

ENCODED = tiny_encoded()
LABELLED = [0, 1, 2, 3, 4, 6]
ablation = partial(score_heads, "ablation")
each_fill = pytest.mark.parametrize("method", ["ablation", "ablation-mean"])


def batches(budget: int = 40) -> list[Batch]:
    return scoring_batches(ENCODED, budget=budget)


def plain_losses(model: PreTrainedModel) -> NDArray[np.float64]:
    """Mean loss of the labelled words of every sentence by itself."""
    alone = [collate([[w for w in ENCODED.windows if w.sentence == sentence]], pad_id=PAD) for sentence in LABELLED]
    with torch.no_grad():
        return np.array(
            [
                float(
                    cross_entropy(
                        model(input_ids=b.input_ids, attention_mask=b.attention_mask).logits.flatten(0, 1), b.labels.flatten()
                    )
                )
                for b in alone
            ]
        )


def plain(model: PreTrainedModel, fill: torch.Tensor | None = None) -> NDArray[np.float64]:
    full = plain_losses(model)
    scores = np.full((3, 4), np.nan)
    for site in attention_sites(model):
        for head in site.kept:
            with gated(model, HeadMask.without(3, 4, [HeadId(site.layer, head)]), fill=fill):
                scores[site.layer, head] = (plain_losses(model) - full).mean()
    return scores


@pytest.mark.parametrize("mask", ["nothing", "uneven", "zero-head-layer"])
def test_it_is_the_mean_rise_of_the_loss(mask: str) -> None:
    model = prune(tiny_model("xlm-roberta", dtype=torch.float64), MASKS[mask])
    scores = ablation(model, batches())
    np.testing.assert_allclose(scores.values, plain(model), rtol=1e-9, atol=1e-14)
    assert scores.n == len(LABELLED)
    assert (scores.values[MASKS[mask].keep] < 0).any()
    assert (scores.values[MASKS[mask].keep] > 0).any()
    with_means = score_heads("ablation-mean", model, batches())
    np.testing.assert_allclose(with_means.values, plain(model, head_means(model, batches())), rtol=1e-9, atol=1e-14)
    assert not np.allclose(with_means.values, scores.values, rtol=0.05, equal_nan=True)
    assert (scores.method, with_means.method) == ("ablation", "ablation-mean")


@pytest.mark.parametrize(("mask", "passes"), [("nothing", 9.0), ("uneven", 1 + 2 + 8 / 3 + 1 / 3), ("everything", 1.0)])
@each_fill
def test_each_head_costs_its_own_layer_and_those_above(mask: str, passes: float, method: str) -> None:
    model = prune(tiny_model("bert"), MASKS[mask])
    runs = [0, 0, 0]

    def count(layer: int) -> None:
        runs[layer] += 1

    for site in attention_sites(model):
        site.block.attention.output.register_forward_hook(lambda *_, layer=site.layer: count(layer))
    scores = score_heads(method, model, batches())
    assert scores.forward_passes == pytest.approx(passes + (method == "ablation-mean"))
    assert sum(runs) / 3 / len(batches()) == pytest.approx(scores.forward_passes)


@each_fill
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_dead_head_makes_no_difference_at_all(method: str, precision: Any) -> None:
    model = model_with_dead_head("bert").float()
    scores = score_heads(method, model, batches(), precision=precision)
    assert scores.values[DEAD.layer, DEAD.head] == 0
    assert np.count_nonzero(scores.values) == 11


def test_languages_merge_as_if_scored_together() -> None:
    model = tiny_model("bert", dtype=torch.float64)
    together = ablation(model, batches())
    parts = [ablation(model, part) for part in (batches()[:1], batches()[1:])]
    np.testing.assert_allclose(combine(parts, "merged")[0].values, together.values, rtol=1e-9)


class Stops(Silent):
    """Ends the work after so many batches."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.seen = 0

    def advance(self, n: int) -> None:
        self.seen += n
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@each_fill
def test_a_stopped_call_continues_to_the_same_numbers(tmp_path: Path, method: str) -> None:
    model, keep, given = tiny_model("bert"), tmp_path / "kept", batches(20)
    expected = score_heads(method, model, given)
    means = len(given) if method == "ablation-mean" else 0
    with pytest.raises(KeyboardInterrupt):
        score_heads(method, model, given, resume_file=keep, progress=Stops(means + 2))
    assert keep.exists()
    runs: list[int] = []
    handle = attention_sites(model)[2].output.register_forward_hook(lambda *_: runs.append(1))
    watch = Stops(1000)
    found = score_heads(method, model, given, resume_file=keep, progress=watch)
    handle.remove()
    assert len(runs) == 13 * (len(given) - 2)
    assert watch.seen == len(given)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.n == expected.n
    assert found.forward_passes == expected.forward_passes
    assert keep.exists(), "left for the caller, so that a result that cannot be written is not lost"
    np.testing.assert_array_equal(score_heads(method, model, given, resume_file=keep).values, expected.values)


def test_partial_results_of_other_work_are_neither_taken_up_nor_lost(tmp_path: Path) -> None:
    model, keep = tiny_model("bert"), tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        ablation(model, batches(), resume_file=keep, progress=Stops(2))
    kept = keep.read_bytes()
    with pytest.raises(StoreError, match=r"belongs to other work .*method was "):
        score_heads("ablation-mean", model, batches(), resume_file=keep)
    assert keep.read_bytes() == kept
