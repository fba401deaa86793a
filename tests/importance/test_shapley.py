"""Shapley values against enumeration, their limits, and resuming after a stop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance.scoring_case import DEAD, model_with_dead_head
from conformance.tiny import MASKS, tiny_model
from importance.shapley_case import FIVE, exact, five_heads, tiny_batches
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.methods import score_heads
from polyhead.importance.shapley_walks import Order, expected_cost, walk
from polyhead.learning.batching import Batch
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune


def shapley(
    model: PreTrainedModel,
    batches: list[Batch],
    *,
    seed: int = 42,
    precision: Any = "auto",
    progress: Progress | None = None,
    resume_file: Path | None = None,
    **options: Any,
) -> HeadScores:
    return score_heads(
        "shapley", model, batches, seed=seed, precision=precision, progress=progress, resume_file=resume_file, options=options
    )


@pytest.fixture
def never_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhead.importance.shapley_estimate._EPSILON", -1.0)


@pytest.mark.usefixtures("never_settled")
def test_the_estimate_is_near_the_value_by_enumeration_and_its_intervals_say_how_near() -> None:
    model, given, rounds, seeds = five_heads(), tiny_batches(), 4, 5
    expected = (sum((exact(model, batch) for batch in given), np.zeros((3, 4))) / 6)[FIVE.keep]
    estimates, inside = [], []
    for seed in range(seeds):
        scores = shapley(model, given, seed=seed, max_rounds=rounds)
        assert np.array_equal(np.isnan(scores.values), ~FIVE.keep)
        assert scores.low is not None
        assert scores.high is not None
        estimates.append(scores.values[FIVE.keep])
        inside.append((scores.low[FIVE.keep] <= expected) & (expected <= scores.high[FIVE.keep]))
    # by 3,000 rounds of a table of all sets, a round has a standard deviation of 0.0019 to 0.0040 in these heads
    error = 0.004 / np.sqrt(rounds * seeds)
    np.testing.assert_allclose(np.mean(estimates, axis=0), expected, rtol=0, atol=4 * error)
    assert np.abs(expected).max() > 100 * error
    # of so few rounds of three batches the intervals are somewhat narrow
    assert np.mean(inside) > 0.7


@pytest.mark.parametrize("mask", ["nothing", "uneven", "zero-head-layer"])
def test_the_values_add_up_to_what_all_heads_give_together(mask: str) -> None:
    model = prune(tiny_model("distilbert", dtype=torch.float64), MASKS[mask])
    scores = shapley(model, tiny_batches(), max_rounds=2)
    v_all, v_none = (scores.settings[name] for name in ("v_all", "v_none"))
    assert isinstance(v_all, float)
    assert isinstance(v_none, float)
    assert abs(v_all - v_none) > 0.01
    assert np.nansum(scores.values) == pytest.approx(v_all - v_none, abs=1e-9)


def test_truncation_leaves_tails_out_and_saves_passes() -> None:
    model = five_heads()
    whole, cut = (shapley(model, tiny_batches(), max_rounds=2, truncation=share) for share in (0.0, 0.5))
    assert cut.forward_passes < whole.forward_passes
    assert cut.settings["truncation"] == 0.5
    for name in ("v_all", "v_none"):
        assert cut.settings[name] == whole.settings[name]
    lost = abs(np.nansum(whole.values) - np.nansum(cut.values))
    assert lost > 1e-4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_dead_head_gives_exactly_nothing(precision: Any) -> None:
    scores = shapley(model_with_dead_head("bert").float(), tiny_batches(), max_rounds=2, precision=precision)
    place = (DEAD.layer, DEAD.head)
    assert scores.low is not None
    assert scores.high is not None
    assert scores.values[place] == scores.low[place] == scores.high[place] == 0
    assert np.count_nonzero(scores.values) == 11


def test_seeds_and_batches_decide_the_orders() -> None:
    model = five_heads()
    one, same, other, cut = (
        shapley(model, given, seed=seed, max_rounds=2).values[FIVE.keep]
        for seed, given in ((1, tiny_batches()), (1, tiny_batches()), (2, tiny_batches()), (1, tiny_batches(1)))
    )
    assert np.array_equal(one, same)
    assert not np.allclose(one, other, rtol=1e-3)
    assert not np.allclose(one, cut, rtol=1e-3)


def test_it_stops_when_the_lowest_are_settled_or_at_a_limit() -> None:
    model = five_heads()
    easy = shapley(model, tiny_batches(), n_lowest=1)
    assert easy.settings["settled"] is True
    assert isinstance(easy.settings["epsilon"], float)
    assert easy.settings["epsilon"] <= 0.02
    rounds = easy.settings["rounds"]
    assert isinstance(rounds, int)
    assert rounds >= 3
    for n_lowest, used in ((1, 1), (4, 4), (12, 4)):
        short = shapley(model, tiny_batches(), n_lowest=n_lowest, max_rounds=2)
        assert (short.settings["settled"], short.settings["rounds"], short.settings["n_lowest"]) == (False, 2, used)


@pytest.mark.usefixtures("never_settled")
def test_no_round_is_begun_that_would_cost_too_much_but_two_are_always_made() -> None:
    model, given = five_heads(), tiny_batches(200)
    rounds = 2 * expected_cost(FIVE)
    for limit, expected in ((2 + 1.1 * rounds, 2), (2 + 3.4 * rounds, 3), (2 + 4.4 * rounds, 4)):
        scores = shapley(model, given, max_passes=limit, n_lowest=4)
        assert scores.settings["rounds"] == expected
        assert scores.settings["settled"] is False
    with pytest.raises(SettingError, match=r"max_passes 7: on this model a round of shapley takes about 6 forward passes"):
        shapley(model, given, max_passes=7)


def test_passes_and_sentence_passes_are_those_made() -> None:
    model, given = tiny_model("bert"), tiny_batches()
    shapes: list[tuple[int, ...]] = []
    for site in attention_sites(model):
        site.output.register_forward_hook(lambda m, args, z: shapes.append(tuple(z.shape[:2])))
    scores = shapley(model, given, max_rounds=2)
    assert len(shapes) / 3 / len(given) == pytest.approx(scores.forward_passes)
    sentences = {tuple(batch.input_ids.shape): len(batch.sentences) for batch in given}
    assert len(sentences) == len(given)
    assert any(rows != n for (rows, _), n in sentences.items())
    assert scores.settings["sentence_passes"] == pytest.approx(sum(sentences[shape] for shape in shapes) / 3)


class Stops(Silent):
    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, n: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def stopped(keep: Path, after: int, **settings: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        shapley(five_heads().float(), tiny_batches(), resume_file=keep, progress=Stops(after), **settings)
    assert keep.exists()


@pytest.mark.parametrize("after", [4, 5, 6, 7, 11])
def test_a_stopped_call_continues_to_the_same_bits(tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, keep, given = five_heads().float(), tmp_path / "kept", tiny_batches()
    assert len(given) == 3
    expected = shapley(model, given, max_rounds=3, n_lowest=4)
    stopped(keep, after, max_rounds=3, n_lowest=4)
    walks: list[int] = []

    def counted(*args: Any, **settings: Any) -> Any:
        walks.append(1)
        return walk(*args, **settings)

    monkeypatch.setattr("polyhead.importance.shapley.walk", counted)
    monkeypatch.setattr("polyhead.importance.shapley.find_ends", None)
    found = shapley(model, given, max_rounds=3, n_lowest=4, resume_file=keep)
    # the first three steps are the ends; then each is an order and its reverse for one batch, nine in all
    assert len(walks) == 2 * (9 - (after - 3))
    assert keep.exists(), "left for the caller, so that a result that cannot be written is not lost"
    for name in ("values", "low", "high", "total"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.settings == expected.settings
    assert found.forward_passes == expected.forward_passes


def test_each_order_is_walked_together_with_its_reverse(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[Order] = []

    def noted(model: PreTrainedModel, batch: Batch, order: Order, *args: Any, **settings: Any) -> Any:
        orders.append(order)
        return walk(model, batch, order, *args, **settings)

    monkeypatch.setattr("polyhead.importance.shapley.walk", noted)
    shapley(five_heads(), tiny_batches(), max_rounds=2)
    assert len(orders) == 2 * 3 * 2
    for there, back in zip(orders[::2], orders[1::2], strict=True):
        assert there.layers.tolist() == back.layers.tolist()[::-1]
        assert there.heads.tolist() == back.heads.tolist()[::-1]
    # of so few heads two orders may be the same by chance
    assert len({str((order.layers, order.heads)) for order in orders}) > 8


def test_a_saved_file_continues_under_other_limits_but_not_for_another_seed(tmp_path: Path) -> None:
    model, keep = five_heads().float(), tmp_path / "kept"
    stopped(keep, 10, max_rounds=3, n_lowest=4)
    expected = shapley(model, tiny_batches(), max_rounds=4, n_lowest=3).values
    np.testing.assert_array_equal(shapley(model, tiny_batches(), max_rounds=4, n_lowest=3, resume_file=keep).values, expected)
    kept = keep.read_bytes()
    with pytest.raises(StoreError, match=r"belongs to other work \(seed was \d+, is \d+\);"):
        shapley(model, tiny_batches(), max_rounds=4, n_lowest=3, resume_file=keep, seed=7)
    fewer = shapley(model, tiny_batches(), max_rounds=2, n_lowest=3)
    found = shapley(model, tiny_batches(), max_rounds=2, n_lowest=3, resume_file=keep)
    np.testing.assert_array_equal(found.values, fewer.values)
    assert found.settings == fewer.settings
    assert keep.read_bytes() == kept, "rounds beyond these limits are not lost"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_lowest": 0}, "n_lowest = 0"),
        ({"max_rounds": 1}, "max_rounds = 1"),
        ({"truncation": 1.0}, "truncation = 1.0"),
        ({"truncation": -0.1}, "truncation = -0.1"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        shapley(tiny_model("bert"), tiny_batches(), **settings)


def test_a_model_with_one_head_or_none() -> None:
    one = prune(tiny_model("bert", dtype=torch.float64), HeadMask([[0] * 4, [0, 0, 1, 0], [0] * 4]))
    scores = shapley(one, tiny_batches())
    assert scores.settings["settled"] is True
    assert scores.values[1, 2] == pytest.approx(scores.settings["v_all"] - scores.settings["v_none"], rel=1e-9)  # type: ignore[operator]
    assert scores.forward_passes == 2
    none = shapley(prune(tiny_model("bert"), MASKS["everything"]), tiny_batches())
    assert np.isnan(none.values).all()
    with pytest.raises(SettingError, match="no sentence has a labelled word"):
        shapley(one, [])
