"""Rank correlation of gains with a measure, within sources."""

import numpy as np
import pytest
from scipy import stats

from polyhead.core.errors import SettingError
from polyhead.selection.closeness import closeness


def test_rho_is_scipys_within_each_source() -> None:
    rng = np.random.default_rng(0)
    gains, measures = [rng.normal(size=(5, n)) for n in (6, 8)], [rng.normal(size=n) for n in (6, 8)]
    found = closeness(gains, measures)
    for seed in range(5):
        own = [stats.spearmanr(g[seed], m).statistic for g, m in zip(gains, measures, strict=True)]
        assert found.by_seed[seed] == pytest.approx(np.mean(own))
    assert found.rho == pytest.approx(np.mean(found.by_seed))
    assert found.interval is not None
    assert found.interval.low < found.rho < found.interval.high


def test_a_planted_relation_is_found_and_noise_is_not() -> None:
    """What all seeds share is one draw of targets, not five: p is uniform without a relation."""
    rng, near, p_values = np.random.default_rng(1), np.arange(8.0), []
    assert (closeness([-near + rng.normal(0, 0.5, (5, 8))], [near]).p or 1) < 0.01
    for trial in range(200):
        shared = rng.normal(size=8) + rng.normal(0, 0.1, (5, 8))
        p_values.append(closeness([shared], [near], seed=trial, permutations=200).p)
    share = np.mean(np.array(p_values, dtype=float) < 0.05)
    assert 0.01 <= share <= 0.1


def test_few_seeds_have_neither_interval_nor_p() -> None:
    two, four = (closeness([np.random.default_rng(0).normal(size=(n, 5))], [np.arange(5)]) for n in (2, 4))
    assert (two.interval, two.p) == (None, None)
    assert four.interval is not None
    assert four.p is None


def test_equal_gains_count_as_no_relation() -> None:
    assert closeness([np.zeros((5, 4))], [np.arange(4)]).rho == 0


def test_bad_shapes_are_refused() -> None:
    for gains, measures in (([], []), ([np.zeros((5, 2))], [np.zeros(2)]), ([np.zeros((5, 4))], [np.zeros(3)])):
        with pytest.raises(SettingError, match="expected sources with equal seeds"):
            closeness(gains, measures)
