"""Rank agreement of many rankings at once against the library, which takes two at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from polyhead.selection.rank_figures import rank_correlations, rank_figures

Array = NDArray[np.float64]


def by_hand(one: Array, other: Array, k: int) -> list[float]:
    """The five figures of one pair, by the library and by sorting."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return [float("nan")] * 5
    orders = [np.argsort(values, kind="stable").tolist() for values in (one, other)]
    shared = [len(set(a) & set(b)) / k for a, b in ([o[:k] for o in orders], [o[-k:] for o in orders])]
    tau, weighted = stats.kendalltau(one, other).statistic, stats.weightedtau(one, other, rank=True).statistic
    return [stats.spearmanr(one, other).statistic, tau, weighted, *shared]


@given(arrays(np.float64, (4, 7), elements=st.integers(0, 4).map(float)), st.integers(1, 7))
@settings(deadline=None, max_examples=80)
def test_every_pair_has_the_figures_of_the_library_with_ties_and_without_order(scores: Array, k: int) -> None:
    scores[3] = np.argsort(scores[3], kind="stable")  # one ranking without ties
    found = rank_figures(scores, k=k)
    expected = [[by_hand(one, other, k) for other in scores] for one in scores]
    np.testing.assert_allclose(found, np.transpose(expected, (2, 0, 1)), atol=1e-12)


def test_without_ties() -> None:
    scores = np.random.default_rng(0).random((6, 40))
    expected = [[by_hand(one, other, 10) for other in scores] for one in scores]
    np.testing.assert_allclose(rank_figures(scores, k=10), np.transpose(expected, (2, 0, 1)), atol=1e-12)


def test_rank_correlations_are_scipys() -> None:
    scores = np.random.default_rng(1).integers(0, 9, (5, 30)).astype(np.float64)
    scores[2] = 1.0
    found = rank_correlations(scores)
    assert np.isnan(found[2]).all()
    assert found[0, 4] == pytest.approx(stats.spearmanr(scores[0], scores[4]).statistic)
