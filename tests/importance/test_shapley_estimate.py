"""Intervals against known variances, and when the lowest heads are settled."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from polyhead.core.heads import HeadMask
from polyhead.importance.shapley_estimate import Walked, estimate_of, intervals, unsettled_by

TRUE = np.array([[1.0, -2.0], [0.0, 5.0]])


def drawn(rounds: int, n_batches: int, seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=(rounds, n_batches, 2, 2)) * [[1.0, 2.0], [0.0, 0.5]]
    return noise + TRUE / n_batches


@pytest.mark.parametrize(("rounds", "n_batches"), [(3, 30), (12, 4)])
def test_intervals_are_as_wide_as_the_estimates_spread(rounds: int, n_batches: int) -> None:
    samples = [drawn(rounds, n_batches, seed) for seed in range(200)]
    ends = [intervals(sums, seed=seed) for seed, sums in enumerate(samples)]
    inside = np.mean([(low <= TRUE) & (high >= TRUE) for low, high in ends], axis=0)
    assert (inside[[0, 0, 1], [0, 1, 1]] > 0.88).all()
    assert (inside[[0, 0, 1], [0, 1, 1]] < 0.99).all()
    spread = np.std([sums.mean(axis=0).sum(axis=0) for sums in samples], axis=0)
    width = np.mean([high - low for low, high in ends], axis=0)
    np.testing.assert_allclose(width[0] / spread[0] / (2 * 1.96), 1, atol=0.12)
    # a head that never makes a difference has no uncertainty either
    exact = np.stack([drawn(rounds, n_batches, 0) * [[0, 1], [1, 1]]])[0]
    low, high = intervals(exact, seed=0)
    assert low[0, 0] == high[0, 0] == 0


def test_batches_are_resampled_each_by_itself() -> None:
    # batches whose rounds cancel in every round together, but not one by one
    sums = np.zeros((4, 2, 1, 1))
    sums[:, 0, 0, 0] = [1, -1, 2, -2]
    sums[:, 1] = -sums[:, 0]
    low, high = intervals(sums, seed=0)
    assert low[0, 0] < -1 < 1 < high[0, 0]


def test_the_margin_is_that_between_the_lowest_and_all_others() -> None:
    values = np.array([[3.0, np.nan], [1.0, 2.0]])
    low, high = values - 0.25, values + 0.25
    assert unsettled_by(values, low, high, 1) == 0
    high[1, 0] = 2.5
    assert unsettled_by(values, low, high, 1) == pytest.approx(0.75)
    # of the two lowest the widest counts; that of the one above is its lower end
    low[0, 0] = 1.5
    assert unsettled_by(values, low, high, 2) == pytest.approx(1.0)
    # a head further up with a wider interval counts as much as the next one up
    assert unsettled_by(values, low, high, 1) == pytest.approx(1.0)
    assert unsettled_by(values, low, high, 0) == 0


def walked(sums: NDArray[np.float64], full: float = 1.0) -> Walked:
    sizes = (3, 2)
    none = np.concatenate([np.arange(1.0, n + 1) for n in sizes])
    costs = np.arange(1.0, 1 + sums.shape[0] * sums.shape[1]).tolist()
    return Walked(np.full(5, full), none, 4, len(sizes), sums.reshape(-1, 2, 2), costs, 2.5)


def test_what_an_estimate_says() -> None:
    sums = drawn(4, 2, 0)
    found = estimate_of(walked(sums), HeadMask([[1, 1], [1, 0]]), seed=1, n_lowest=1)
    expected = sums.mean(axis=0).sum(axis=0) / 4
    expected[1, 1] = np.nan
    np.testing.assert_allclose(found.values, expected)
    assert (found.low <= found.values)[~np.isnan(expected)].all()
    assert np.isnan(found.low).tolist() == np.isnan(found.high).tolist() == np.isnan(expected).tolist()
    # four labelled sentences; losses without heads 1 2 3 and 1 2, the ends keep to the sums that they were given
    assert (found.v_all, found.v_none) == (-5 / 4, -9 / 4)
    assert found.epsilon == pytest.approx(unsettled_by(found.values, found.low, found.high, 1) / 1.0)


def test_three_rounds_at_least_settle_it() -> None:
    exact = np.broadcast_to(TRUE, (4, 2, 2, 2))
    for rounds in (2, 3, 4):
        found = estimate_of(walked(exact[:rounds]), HeadMask.full(2, 2), seed=1, n_lowest=2)
        assert found.epsilon == 0
        assert found.settled == (rounds >= 3)
    noisy = exact + np.random.default_rng(0).normal(size=exact.shape)
    found = estimate_of(walked(noisy), HeadMask.full(2, 2), seed=1, n_lowest=2)
    assert found.epsilon is not None
    assert found.epsilon > 0.02
    assert not found.settled


def test_ends_that_are_equal_give_no_share() -> None:
    sums = drawn(4, 2, 0)
    flat = replace(walked(sums), none=walked(sums).full)
    found = estimate_of(flat, HeadMask.full(2, 2), seed=1, n_lowest=2)
    assert found.epsilon is None
    assert not found.settled
