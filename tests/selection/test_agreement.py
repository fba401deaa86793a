"""Agreement measures against their definitions, and groups of runs."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Silent
from polyhead.selection.agreement import agreement, agreement_table
from polyhead.selection.ranking import rank

Array = NDArray[np.float64]
FIGURES = ("spearman", "kendall", "weighted_tau", "lowest", "highest")
LADDER = np.arange(12.0).reshape(3, 4)


def pairs_of_scores(n: int) -> st.SearchStrategy[Array]:
    # few values, so that ties are common
    return arrays(np.float64, (2, n), elements=st.integers(0, 4).map(float))


def by_hand(one: Array, other: Array, k: int) -> list[float]:
    """The five figures of one sample, by the library and by sorting."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return [float("nan")] * 5
    orders = [np.argsort(values, kind="stable") for values in (one, other)]
    shared = [len(set(a.tolist()) & set(b.tolist())) / k for a, b in ([o[:k] for o in orders], [o[-k:] for o in orders])]
    return [
        stats.spearmanr(one, other).statistic,
        stats.kendalltau(one, other).statistic,
        stats.weightedtau(one, other, rank=True).statistic,
        *shared,
    ]


@given(pairs_of_scores(8), st.integers(1, 8))
@settings(deadline=None, max_examples=60)
def test_the_values_are_those_of_the_library(scores: Array, k: int) -> None:
    found = agreement(scores[0].reshape(2, 4), scores[1].reshape(2, 4), k=k)
    values = [getattr(found, name).value for name in FIGURES]
    np.testing.assert_allclose(values, by_hand(scores[0], scores[1], k), atol=1e-12)
    assert (found.n_heads, found.n_pairs) == (8, 1)


@given(pairs_of_scores(8), st.integers(1, 8))
@settings(deadline=None, max_examples=60)
def test_both_sides_are_treated_alike(scores: Array, k: int) -> None:
    one, other = scores.reshape(2, 2, 4)
    ab, ba = agreement(one, other, k=k), agreement(other, one, k=k)
    for name in FIGURES:
        a, b = getattr(ab, name), getattr(ba, name)
        np.testing.assert_allclose(a.value, b.value)


def test_overlaps_break_ties_as_ranking_does() -> None:
    one, other = np.array([[1.0, 1.0, 1.0, 2.0]]), np.array([[3.0, 0.0, 0.0, 0.0]])
    found = agreement(one, other, k=2)
    lowest, highest = ([set(rank(values)[end]) for values in (one, other)] for end in (np.s_[:2], np.s_[-2:]))
    assert found.lowest.value == len(lowest[0] & lowest[1]) / 2 == 0.5
    assert found.highest.value == len(highest[0] & highest[1]) / 2 == 0.5


def test_weighted_tau_minds_the_top_most() -> None:
    top, bottom = LADDER.copy(), LADDER.copy()
    top[-1, [-1, -2]], bottom[0, [0, 1]] = top[-1, [-2, -1]], bottom[0, [1, 0]]
    at_top, at_bottom = agreement(LADDER, top, k=3), agreement(LADDER, bottom, k=3)
    assert at_top.kendall.value == pytest.approx(at_bottom.kendall.value)
    assert at_top.weighted_tau.value < at_bottom.weighted_tau.value < 1


def test_opposite_and_equal_orders() -> None:
    same, opposite = agreement(LADDER, LADDER**2, k=3), agreement(LADDER, HeadScores(-LADDER, "x"), k=3)
    for name in FIGURES:
        assert getattr(same, name).value == pytest.approx(1), name
    assert [getattr(opposite, name).value for name in FIGURES] == pytest.approx([-1, -1, -1, 0, 0])


def test_heads_that_either_side_lacks_do_not_count() -> None:
    one, other = LADDER.copy(), LADDER.copy()
    one[0, 0], other[2, 3] = np.nan, np.nan
    one[2, 3], other[0, 0] = -100, 100
    found = agreement(one, other, k=10)
    assert (found.n_heads, found.spearman.value) == (10, pytest.approx(1))
    with pytest.raises(SettingError, match="k = 11: expected 1 to 10"):
        agreement(one, other, k=11)


def test_a_constant_matrix_agrees_with_nothing() -> None:
    found = agreement(LADDER, np.ones((3, 4)), k=3)
    for name in FIGURES:
        measure = getattr(found, name)
        assert np.isnan([measure.value, measure.min, measure.max]).all(), name


def test_groups_are_compared_over_all_pairs_of_runs() -> None:
    rng = np.random.default_rng(4)
    runs = [LADDER + 6 * rng.random((3, 4)) for _ in range(5)]
    table = agreement_table({"a": runs[:2], "b": runs[2:4], "alone": runs[4:]}, k=3)
    assert list(table) == [("a", "b"), ("a", "alone"), ("b", "alone"), ("a", "a"), ("b", "b")]
    found = table["a", "b"]
    single = [agreement(one, other, k=3) for one in runs[:2] for other in runs[2:4]]
    for name in FIGURES:
        measure, values = getattr(found, name), [getattr(item, name).value for item in single]
        assert measure.value == pytest.approx(np.mean(values))
        assert (measure.min, measure.max) == (min(values), max(values))
    assert found.n_pairs == 4
    assert table["a", "a"] == agreement(runs[0], runs[1], k=3)


def test_groups_whose_encoders_lack_different_heads_are_compared_over_those_that_both_have() -> None:
    rng = np.random.default_rng(5)
    items = {name: [LADDER + 6 * rng.random((3, 4)) for _ in range(2)] for name in "abc"}
    items["b"][0][0, 1], items["c"][1][2, 2] = np.nan, np.nan
    table = agreement_table(items, k=3)
    pairs_of_groups = [key for key in table if key[0] != key[1]]
    assert [table[key].n_heads for key in pairs_of_groups] == [11, 11, 10]
    for one, other in pairs_of_groups:
        gone = np.isnan([*items[one], *items[other]]).any(axis=0)
        pairs = [[np.where(gone, np.nan, matrix) for matrix in pair] for pair in product(items[one], items[other])]
        values = [agreement(*pair, k=3).weighted_tau.value for pair in pairs]
        assert table[one, other].weighted_tau.value == pytest.approx(np.mean(values))


def test_progress_counts_pairs_of_groups() -> None:
    class Counted(Silent):
        def __init__(self) -> None:
            self.total, self.done = 0, 0

        def start(self, total: int, what: str) -> None:
            self.total = total

        def advance(self, n: int) -> None:
            self.done += n

    progress = Counted()
    agreement_table({"a": [LADDER, -LADDER], "b": [LADDER**2], "c": [LADDER]}, k=1, progress=progress)
    assert (progress.total, progress.done) == (4, 4)


def test_runs_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(SettingError, match="cannot be compared"):
        agreement(LADDER, LADDER[:2], k=1)
    with pytest.raises(SettingError, match="k = 0"):
        agreement(LADDER, LADDER, k=0)
    with pytest.raises(SettingError, match="group 'a' has no scores"):
        agreement_table({"a": [], "b": [LADDER]}, k=1)
    with pytest.raises(SettingError, match="expected 1 to 0"):
        agreement(LADDER, np.full((3, 4), np.nan), k=1)
