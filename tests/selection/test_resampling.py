"""Resampled sentences: the spread of an accuracy, pairing, and percentiles."""

import math
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from polyhead.data.tasks import TASKS
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.resampling import _kept_resamples, percentile_interval, redrawn

ACCURACY = partial(metric_from_counts, TASKS["pos"])


def draw(rate: float, *, seeds: int, sentences: int, seed: int) -> NDArray[np.int64]:
    """Counts `[seeds, sentences, 5]` of taggers that are right at `rate`, ten words a sentence."""
    counts = np.zeros((seeds, sentences, 5), dtype=np.int64)
    counts[..., 0] = np.random.default_rng(seed).binomial(10, rate, size=(seeds, sentences))
    counts[..., 1] = 10
    return counts


def test_standard_error_of_an_accuracy() -> None:
    counts = draw(0.8, seeds=1, sentences=500, seed=0)[0]
    drawn = redrawn(counts, ACCURACY, seed=0)
    assert drawn.shape == (1000,)
    assert np.std(drawn) == pytest.approx(math.sqrt(0.8 * 0.2 / 5000), rel=0.15)


def test_resamples_of_one_size_and_seed_are_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = draw(0.8, seeds=2, sentences=50, seed=1)
    whole = redrawn(counts, ACCURACY, seed=5, draws=40)
    assert (whole.shape, np.array_equal(whole[:, 1], redrawn(counts[1], ACCURACY, seed=5, draws=40))) == ((40, 2), True)
    assert not np.array_equal(whole, redrawn(counts, ACCURACY, seed=6, draws=40))
    monkeypatch.setattr("polyhead.selection.resampling._BLOCK", 170)
    _kept_resamples.cache_clear()
    assert np.allclose(whole, redrawn(counts, ACCURACY, seed=5, draws=40), rtol=1e-12)
    assert redrawn(np.ones((50, 1)), lambda sums: sums[..., 0], seed=5, draws=40).tolist() == [50.0] * 40


def test_a_draw_has_as_many_items_with_repetition() -> None:
    counts = np.random.default_rng(0).normal(size=(5, 6))
    found = redrawn(counts, lambda sums: sums, seed=3, draws=200)
    times = np.linalg.lstsq(counts.T, found.T, rcond=None)[0].T
    np.testing.assert_allclose(times, np.round(times), atol=1e-6)
    np.testing.assert_allclose(times.sum(axis=1), 5)
    assert np.round(times).max() >= 3


def test_percentiles() -> None:
    interval = percentile_interval(np.arange(201))
    assert (interval.low, interval.high) == (pytest.approx(5), pytest.approx(195))
