"""Pruning curves, areas and their intervals: against single evaluations, sums by hand and planted differences."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from conformance.tiny import PAD, tiny_model
from curve_case import LABELS, labelled

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.tasks import TASKS
from polyhead.importance.baselines import random_scores
from polyhead.learning.inference import evaluate
from polyhead.learning.metrics import metric_from_counts
from polyhead.models.architectures import attention_sites, head_mask
from polyhead.models.pruning import prune
from polyhead.selection.curves import (
    Curve,
    area,
    bootstrap_areas,
    bootstrap_changes,
    default_depth,
    pruning_curve,
    pruning_curves,
    random_order,
)
from polyhead.selection.ranking import rank

ACCURACY = partial(metric_from_counts, TASKS["pos"])
FULL = HeadMask.full(3, 4)


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_points_are_single_evaluations_with_the_first_k_heads_gone(task: str) -> None:
    model, data = tiny_model("bert"), labelled(task)
    orders = {"low": random_order(FULL, seed=3), "high": random_order(FULL, seed=3)[::-1], "other": random_order(FULL, seed=4)}
    curves = pruning_curves(model, data, TASKS[task], LABELS[task], orders, pad_id=PAD, budget=40)
    assert list(curves) == ["low", "high", "other"]
    for name, curve in curves.items():
        assert curve.order == name
        assert curve.ks == tuple(range(7)), "half of twelve heads unless told otherwise"
        for k, score, counts in zip(curve.ks, curve.scores, curve.counts, strict=True):
            mask = HeadMask.without(3, 4, orders[name][:k])
            alone = evaluate(model, {"": data}, TASKS[task], LABELS[task], pad_id=PAD, device=torch.device("cpu"), mask=mask)[""]
            assert score == alone.metrics[TASKS[task].metric]
            assert counts.tolist() == alone.counts.tolist()
    assert curves["low"].scores.tolist() != curves["high"].scores.tolist()


def test_k_0_is_computed_once_and_lower_layers_are_shared() -> None:
    model, data = tiny_model("bert"), labelled("pos")
    runs = [0, 0, 0]

    def count(layer: int) -> None:
        runs[layer] += 1

    for site in attention_sites(model):
        site.output.register_forward_hook(lambda *_, layer=site.layer: count(layer))
    top = [HeadId(2, head) for head in range(4)]
    orders = {"one": top, "two": top[::-1]}
    pruning_curves(model, data, TASKS["pos"], LABELS["pos"], orders, pad_id=PAD, max_pruned=3, budget=10**6)
    # the first curve begins with k = 0, the second with k = 1
    assert runs == [2, 2, 7]


def test_a_pruned_model_is_judged_on_the_heads_it_has() -> None:
    model, data = tiny_model("bert"), labelled("pos")
    prune(model, HeadMask.without(3, 4, [HeadId(0, 1), HeadId(1, 2)]))
    present = head_mask(model)
    order = random_order(present, seed=0)
    assert len(order) == 10
    assert (order, default_depth(present)) == (rank(random_scores(present, seed=0)), 5)
    curve = pruning_curve(model, data, TASKS["pos"], LABELS["pos"], order, pad_id=PAD, max_pruned=10)
    assert len(curve.scores) == 11
    # an order made before the cut still names the lost heads: these are passed over and not counted
    older = [HeadId(0, 1), *order[:5], HeadId(1, 2), *order[5:]]
    again = pruning_curve(model, data, TASKS["pos"], LABELS["pos"], older, pad_id=PAD, max_pruned=10)
    assert np.array_equal(again.counts, curve.counts)
    with pytest.raises(SettingError, match="K from 1 to 10"):
        pruning_curve(model, data, TASKS["pos"], LABELS["pos"], order, pad_id=PAD, max_pruned=11)
    with pytest.raises(SettingError, match="this ranking lets 0 to 4 go"):
        pruning_curve(model, data, TASKS["pos"], LABELS["pos"], order[:4], pad_id=PAD)
    with pytest.raises(SettingError, match="at least one order"):
        pruning_curves(model, data, TASKS["pos"], LABELS["pos"], {}, pad_id=PAD)


def test_an_area_is_the_mean_over_the_score_with_all_heads() -> None:
    assert float(area([0.5, 0.5, 0.5])) == 1.0
    assert float(area([0.8, 0.6, 0.4, 0.2])) == pytest.approx(0.625)
    assert area([[0.5, 0.25], [0.0, 0.1]])[0] == 0.75
    assert math.isnan(area([0.0, 0.1]))


def curve(rates: list[float], *, seed: int, sentences: int = 200, words: int = 10) -> Curve:
    """A tagger right at `rates[k]`; what a sentence loses by k heads is the same in every curve, but for what `seed` adds."""
    hard = np.arange(len(rates))[:, None] * np.random.default_rng(99).normal(0, 0.15, size=sentences)
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(rates), sentences, 5), dtype=np.int64)
    counts[..., 1] = words
    counts[..., 0] = rng.binomial(words, np.clip(np.array(rates)[:, None] + hard, 0, 1))
    return Curve("x", tuple(range(len(rates))), ACCURACY(counts.sum(axis=1)), counts)


def test_intervals_hold_what_a_plain_bootstrap_gives() -> None:
    one = curve([0.9, 0.8, 0.6], seed=1)
    drawn = bootstrap_areas([one], ACCURACY, seed=0, draws=4000)
    rng = np.random.default_rng(5)
    plain = [float(area(ACCURACY(one.counts[:, rng.integers(0, 200, size=200)].sum(axis=1)))) for _ in range(4000)]
    assert drawn.shape == (4000,)
    assert np.mean(drawn) == pytest.approx(float(area(one.scores)), abs=2e-3)
    assert np.std(drawn) == pytest.approx(np.std(plain), rel=0.06)
    assert np.array_equal(drawn, bootstrap_areas([one], ACCURACY, seed=0, draws=4000))
    assert not np.array_equal(drawn, bootstrap_areas([one], ACCURACY, seed=1, draws=4000))


def test_draws_with_one_seed_are_paired() -> None:
    one, other = curve([0.9, 0.8, 0.6], seed=1), curve([0.9, 0.7, 0.5], seed=2)
    a, b = (bootstrap_areas([item], ACCURACY, seed=0) for item in (one, other))
    unpaired = bootstrap_areas([other], ACCURACY, seed=1)
    assert np.corrcoef(a, b)[0, 1] > 0.3
    assert np.std(a - b) < np.std(a - unpaired)
    assert bootstrap_areas([one, one], ACCURACY, seed=0) == pytest.approx(a)


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    group = [curve([0.9, 0.8, 0.6], seed=seed) for seed in (1, 2)]
    whole = bootstrap_areas(group, ACCURACY, seed=0, draws=50)
    monkeypatch.setattr("polyhead.selection.curves._BLOCK", 1400)
    assert bootstrap_areas(group, ACCURACY, seed=0, draws=50) == pytest.approx(whole, rel=1e-12)


def test_seeds_are_resampled_too() -> None:
    apart = [curve([0.9, 0.9, 0.9], seed=1), curve([0.9, 0.3, 0.3], seed=1)]
    mean = np.mean([area(item.scores) for item in apart])
    drawn = bootstrap_areas(apart, ACCURACY, seed=0)
    assert np.mean(drawn) == pytest.approx(mean, abs=0.02)
    assert np.std(drawn) > 3 * np.std(bootstrap_areas(apart[:1], ACCURACY, seed=0))
    # the same seeds are drawn for a second group of as many
    better = [curve([0.9, 0.95, 0.95], seed=1), curve([0.9, 0.35, 0.35], seed=1)]
    assert np.std(bootstrap_areas(better, ACCURACY, seed=0) - drawn) < 0.2 * np.std(drawn)


def test_what_cannot_be_resampled_is_refused() -> None:
    one = curve([0.9, 0.8], seed=1)
    bare = Curve("x", one.ks, one.scores)
    for group in ([], [bare], [one, bare], [one, curve([0.9, 0.8, 0.7], seed=1)], [one, curve([0.9, 0.8], seed=1, sentences=9)]):
        with pytest.raises(SettingError, match="each with counts"):
            bootstrap_areas(group, ACCURACY, seed=0)


def test_changes_are_paired_with_the_score_at_zero() -> None:
    """Draws of the change from k = 0 by hand: the same sentences on both sides, so a curve that is level never moves."""
    right = np.random.default_rng(3).integers(0, 5, (3, 20, 1))
    counts = np.concatenate([right, np.full_like(right, 5)], axis=2)
    counts[2] = counts[0]
    curve = Curve("x", (0, 1, 2), scores=counts[..., 0].sum(axis=1) / counts[..., 1].sum(axis=1), counts=counts)
    metric = partial(metric_from_counts, TASKS["pos"])
    drawn = bootstrap_changes([curve], metric, seed=1, draws=400)
    assert drawn.shape == (400, 3)
    assert (drawn[:, 0] == 0).all()
    assert (drawn[:, 2] == 0).all()
    assert drawn[:, 1].mean() == pytest.approx(curve.scores[1] - curve.scores[0], abs=0.02)
    areas = bootstrap_areas([curve], metric, seed=1, draws=400)
    assert np.corrcoef(areas, drawn[:, 1])[0, 1] > 0.9
