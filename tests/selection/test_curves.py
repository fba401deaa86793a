"""Pruning curves, areas and their intervals: against single evaluations, sums by hand and planted differences."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from conformance.tiny import tiny_model
from curve_case import LABELS, labelled

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.tasks import TASKS
from polyhead.importance.baselines import random_scores
from polyhead.learning.inference import evaluate
from polyhead.learning.metrics import metric_from_counts
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.pruning import prune
from polyhead.selection.curves import Curve, area, crossed_curves, default_depth, pruning_curve, pruning_curves, random_order
from polyhead.selection.judged_orders import Order
from polyhead.selection.order_quality import areas
from polyhead.selection.ranking import rank
from polyhead.selection.resampling import redrawn

ACCURACY = partial(metric_from_counts, TASKS["pos"])
FULL = HeadMask.full(3, 4)


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_points_are_single_evaluations_with_the_first_k_heads_ablated(task: str) -> None:
    model, data = tiny_model("bert"), labelled(task)
    orders = {"low": random_order(FULL, seed=3), "high": random_order(FULL, seed=3)[::-1], "other": random_order(FULL, seed=4)}
    curves = pruning_curves(model, data, TASKS[task], LABELS[task], orders, precision="fp32", budget=40)
    assert list(curves) == ["low", "high", "other"]
    for name, curve in curves.items():
        assert len(curve.scores) == 7, "half of twelve heads unless told otherwise"
        for k, (score, counts) in enumerate(zip(curve.scores, curve.counts, strict=True)):
            mask = HeadMask.without(3, 4, orders[name][:k])
            alone = evaluate(model, {"": data}, TASKS[task], LABELS[task], precision="fp32", mask=mask)[""]
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
    pruning_curves(model, data, TASKS["pos"], LABELS["pos"], orders, max_pruned=3, budget=10**6)
    # the first curve begins with k = 0, the second with k = 1
    assert runs == [2, 2, 7]


def test_a_crossed_curve_judges_every_half_by_the_other_halfs_order() -> None:
    model, data = tiny_model("bert"), labelled("pos")
    n = data.encoded.n_sentences
    halves = ([0, 3, *range(6, n)], [1, 2, 4, 5])
    pair = (random_order(FULL, seed=3), random_order(FULL, seed=4))
    options: dict[str, Any] = {"precision": "fp32", "budget": 40, "max_pruned": 3}
    found = crossed_curves(model, data, TASKS["pos"], LABELS["pos"], {"x": pair, "y": pair[::-1]}, halves, **options)
    alone = pruning_curves(model, data, TASKS["pos"], LABELS["pos"], {"first": pair[0], "second": pair[1]}, **options)
    for name, (by_first, by_second) in {"x": ("first", "second"), "y": ("second", "first")}.items():
        expected = alone[by_second].counts.copy()
        expected[:, halves[1]] = alone[by_first].counts[:, halves[1]]
        assert np.array_equal(found[name].counts, expected)
        assert found[name].scores.tolist() == metric_from_counts(TASKS["pos"], expected.sum(axis=1)).tolist()
    assert not np.array_equal(found["x"].counts, found["y"].counts)


def test_a_pruned_model_is_judged_on_the_heads_it_has() -> None:
    model, data = tiny_model("bert"), labelled("pos")
    prune(model, HeadMask.without(3, 4, [HeadId(0, 1), HeadId(1, 2)]))
    present = head_mask(model)
    order = random_order(present, seed=0)
    assert len(order) == 10
    assert (order, default_depth(present)) == (rank(random_scores(present, seed=0)), 5)
    curve = pruning_curve(model, data, TASKS["pos"], LABELS["pos"], order, max_pruned=10)
    assert len(curve.scores) == 11
    # an order made before the cut still names the lost heads: these are passed over and not counted
    older = [HeadId(0, 1), *order[:5], HeadId(1, 2), *order[5:]]
    again = pruning_curve(model, data, TASKS["pos"], LABELS["pos"], older, max_pruned=10)
    assert np.array_equal(again.counts, curve.counts)
    with pytest.raises(SettingError, match="K from 1 to 10"):
        pruning_curve(model, data, TASKS["pos"], LABELS["pos"], order, max_pruned=11)
    with pytest.raises(SettingError, match="expected 0 to 4 with this ranking"):
        pruning_curve(model, data, TASKS["pos"], LABELS["pos"], order[:4])
    with pytest.raises(SettingError, match="at least one order"):
        pruning_curves(model, data, TASKS["pos"], LABELS["pos"], {})


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
    return Curve(ACCURACY(counts.sum(axis=1)), counts)


def test_resampled_scores_are_what_a_plain_bootstrap_gives() -> None:
    one = curve([0.9, 0.8, 0.6], seed=1)
    drawn = area(redrawn(one.counts, ACCURACY, seed=0, draws=4000))
    rng = np.random.default_rng(5)
    plain = [float(area(ACCURACY(one.counts[:, rng.integers(0, 200, size=200)].sum(axis=1)))) for _ in range(4000)]
    assert drawn.shape == (4000,)
    assert np.mean(drawn) == pytest.approx(float(area(one.scores)), abs=2e-3)
    assert np.std(drawn) == pytest.approx(np.std(plain), rel=0.06)


def test_draws_with_one_seed_are_paired() -> None:
    one, other = curve([0.9, 0.8, 0.6], seed=1), curve([0.9, 0.7, 0.5], seed=2)
    a, b = (area(redrawn(item.counts, ACCURACY, seed=0)) for item in (one, other))
    unpaired = area(redrawn(other.counts, ACCURACY, seed=1))
    assert np.corrcoef(a, b)[0, 1] > 0.3
    assert np.std(a - b) < np.std(a - unpaired)


def judged(*rates: list[float], random: int) -> dict[str, Any]:
    """The rows of `areas` by group, for one ranked order and some random ones."""
    heads = tuple(HeadId(0, head) for head in range(4))
    found = [Order("g, lowest first", "g", "lowest", heads)]
    found += [Order(f"random ({random} orders)", "random", "random", heads, seed=number) for number in range(random)]
    curves = {order.key: curve(own, seed=place) for place, (order, own) in enumerate(zip(found, rates, strict=True))}
    return {row["direction"]: row for row in areas(found, curves, TASKS["pos"], seed=0)}


def test_random_orders_are_drawn_from_as_well() -> None:
    level, spread = [[0.9, 0.6, 0.6]] * 4, [[0.9, 0.9, 0.9], [0.9, 0.6, 0.6], [0.9, 0.4, 0.4], [0.9, 0.5, 0.5]]
    narrow, wide = (judged([0.9, 0.8, 0.8], *own, random=4)["random"]["interval"] for own in (level, spread))
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])
    rows = judged([0.9, 0.8, 0.8], *spread, random=4)
    gap, own = rows["lowest"]["minus_random"], rows["lowest"]["interval"]
    assert gap["difference"] == pytest.approx(rows["lowest"]["area"] - rows["random"]["area"])
    assert gap["interval"][1] - gap["interval"][0] > 3 * (own[1] - own[0])


def test_two_random_orders_have_no_interval_and_one_has_that_of_its_sentences() -> None:
    two = judged([0.9, 0.8, 0.8], [0.9, 0.6, 0.6], [0.9, 0.5, 0.5], random=2)
    assert np.isnan([*two["random"]["interval"], *two["lowest"]["minus_random"]["interval"]]).all()
    one = judged([0.9, 0.8, 0.8], [0.9, 0.6, 0.6], random=1)
    assert not np.isnan([*one["random"]["interval"], *one["lowest"]["minus_random"]["interval"]]).any()


def test_the_change_is_paired_with_the_score_at_zero() -> None:
    """The same sentences on both sides, so a curve that is level never moves."""
    right = np.random.default_rng(3).integers(0, 5, (3, 20, 1))
    counts = np.concatenate([right, np.full_like(right, 5)], axis=2)
    counts[2] = counts[0]
    own = Curve(scores=counts[..., 0].sum(axis=1) / counts[..., 1].sum(axis=1), counts=counts)
    order = Order("x", "x", "lowest", (HeadId(0, 0), HeadId(0, 1)))
    (row,) = areas([order], {"x": own}, TASKS["pos"], seed=1)
    low, high = row["change"]["low"], row["change"]["high"]
    assert low[0] == high[0] == low[2] == high[2] == 0
    assert low[1] < 100 * (own.scores[1] - own.scores[0]) < high[1]
