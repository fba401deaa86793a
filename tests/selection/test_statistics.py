"""Tests, intervals and families against brute force, scipy and planted effects."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from polyhead.core.errors import SettingError
from polyhead.data.tasks import TASKS
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.statistics import (
    beyond_noise,
    bootstrap_gains,
    bootstrap_interval,
    bootstrap_standard_error,
    holm,
    kendall,
    paired_randomisation,
    percentile_interval,
    selection_noise,
    spearman,
)

ACCURACY = partial(metric_from_counts, TASKS["pos"])
SPAN_F1 = partial(metric_from_counts, TASKS["ner"])


def draw(rate: float, *, seeds: int, sentences: int, seed: int, words: int = 10) -> NDArray[np.int64]:
    """Counts `[seeds, sentences, 5]` of taggers that are right at `rate`."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((seeds, sentences, 5), dtype=np.int64)
    counts[..., 0] = rng.binomial(words, rate, size=(seeds, sentences))
    counts[..., 1] = words
    return counts


def test_randomisation_agrees_with_all_swaps_of_a_small_corpus() -> None:
    rng = np.random.default_rng(1)
    gold = rng.integers(1, 4, size=(2, 7))
    a, b = (np.stack([rng.binomial(gold, rate), gold, gold], axis=-1) for rate in (0.9, 0.5))
    observed = np.mean(SPAN_F1(a.sum(axis=1)) - SPAN_F1(b.sum(axis=1)))
    extreme = 0
    for bits in itertools.product([False, True], repeat=7):
        swap = np.array(bits)[None, :, None]
        drawn = np.mean(SPAN_F1(np.where(swap, b, a).sum(axis=1)) - SPAN_F1(np.where(swap, a, b).sum(axis=1)))
        extreme += abs(drawn) >= abs(observed) - 1e-12
    test = paired_randomisation(a, b, SPAN_F1, seed=0, shuffles=40_000)
    assert test.difference == pytest.approx(observed)
    assert test.p == pytest.approx(extreme / 2**7, abs=0.01)


def test_randomisation_sees_an_effect_and_not_its_absence() -> None:
    base = draw(0.80, seeds=3, sentences=400, seed=1)
    assert paired_randomisation(draw(0.86, seeds=3, sentences=400, seed=2), base, ACCURACY, seed=0).p < 0.001
    assert paired_randomisation(base, base, ACCURACY, seed=0).p == 1.0


def test_p_values_are_uniform_where_nothing_differs() -> None:
    p = [
        paired_randomisation(
            draw(0.8, seeds=2, sentences=60, seed=2 * i),
            draw(0.8, seeds=2, sentences=60, seed=2 * i + 1),
            ACCURACY,
            seed=i,
            shuffles=200,
        ).p
        for i in range(200)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_one_bit_serves_all_seeds() -> None:
    """Seeds that repeat each other are one piece of evidence: p must not shrink with their number."""
    a, b = draw(0.83, seeds=1, sentences=80, seed=3), draw(0.80, seeds=1, sentences=80, seed=4)
    one = paired_randomisation(a, b, ACCURACY, seed=0).p
    ten = paired_randomisation(np.repeat(a, 10, axis=0), np.repeat(b, 10, axis=0), ACCURACY, seed=0).p
    assert ten == one


def test_the_number_of_shuffles_grows_with_the_table() -> None:
    counts = draw(0.8, seeds=1, sentences=5, seed=0)
    assert paired_randomisation(counts, counts, ACCURACY, seed=0).shuffles == 10_000
    assert paired_randomisation(counts, counts, ACCURACY, seed=0, n_cells=300).shuffles == 12_000


def test_the_smallest_p_is_one_over_the_shuffles_and_one() -> None:
    a, b = draw(1.0, seeds=1, sentences=200, seed=0), draw(0.0, seeds=1, sentences=200, seed=0)
    assert paired_randomisation(a, b, ACCURACY, seed=0, shuffles=99).p == 1 / 100


def test_same_seed_same_numbers() -> None:
    a, b = draw(0.82, seeds=2, sentences=50, seed=1), draw(0.8, seeds=2, sentences=50, seed=2)
    assert paired_randomisation(a, b, ACCURACY, seed=5) == paired_randomisation(a, b, ACCURACY, seed=5)
    assert bootstrap_interval(a, b, ACCURACY, seed=5) == bootstrap_interval(a, b, ACCURACY, seed=5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for i in range(200):
        a, b = draw(0.85, seeds=1, sentences=60, seed=2 * i), draw(0.80, seeds=1, sentences=60, seed=2 * i + 1)
        interval = bootstrap_interval(a, b, ACCURACY, seed=i, draws=300)
        covered += interval.low <= 0.05 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_interval_does_not_shrink_by_repeating_a_seed() -> None:
    a, b = draw(0.85, seeds=1, sentences=100, seed=1), draw(0.80, seeds=1, sentences=100, seed=2)
    one = bootstrap_interval(a, b, ACCURACY, seed=0, draws=4000)
    ten = bootstrap_interval(np.repeat(a, 10, axis=0), np.repeat(b, 10, axis=0), ACCURACY, seed=0, draws=4000)
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.1)


def test_the_interval_grows_with_the_spread_between_seeds() -> None:
    base = np.repeat(draw(0.8, seeds=1, sentences=300, seed=0), 4, axis=0)
    rates = (0.70, 0.75, 0.85, 0.90)
    spread = np.concatenate([draw(rate, seeds=1, sentences=300, seed=i) for i, rate in enumerate(rates)])
    even = draw(0.80, seeds=4, sentences=300, seed=9)
    wide, narrow = (bootstrap_interval(a, base, ACCURACY, seed=0) for a in (spread, even))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_standard_error_of_an_accuracy() -> None:
    counts = draw(0.8, seeds=1, sentences=500, seed=0)[0]
    assert bootstrap_standard_error(counts, ACCURACY, seed=0) == pytest.approx(math.sqrt(0.8 * 0.2 / 5000), rel=0.15)


def test_unequal_counts_are_refused() -> None:
    counts = draw(0.8, seeds=1, sentences=5, seed=0)
    for wrong in (counts[:, :4], counts[0], counts[:0]):
        with pytest.raises(SettingError, match="paired counts"):
            paired_randomisation(wrong, counts, ACCURACY, seed=0)
    with pytest.raises(SettingError, match="paired counts"):
        bootstrap_gains(counts[:, :0], counts[:, :0], ACCURACY, seed=0)


@given(st.lists(st.floats(0, 1), max_size=12))
@settings(deadline=None)
def test_holm_is_the_step_down_procedure(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.5):
        rejected: set[int] = set()
        for step, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[place] * (len(p_values) - step) > level:
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p <= level} == rejected


def test_holm_leaves_out_what_has_left_the_family() -> None:
    with_nan = holm([0.02, math.nan, 0.01])
    assert math.isnan(with_nan[1])
    assert (with_nan[0], with_nan[2]) == holm([0.02, 0.01])


def test_selection_noise_is_the_gain_of_a_maximum() -> None:
    rng = np.random.default_rng(0)
    dev = rng.normal(80, 1, size=2000)
    same = selection_noise(dev, dev, n=5, seed=0, draws=20_000)
    assert same.mean() == pytest.approx(1.163, abs=0.06)
    unrelated = selection_noise(dev, rng.normal(80, 1, size=2000), n=5, seed=0, draws=20_000)
    assert unrelated.mean() == pytest.approx(0.0, abs=0.05)
    assert selection_noise(dev, np.stack([dev, -dev], axis=1), n=5, seed=0).shape == (1000, 2)
    assert selection_noise(dev, dev, n=1, seed=0, draws=20_000).mean() == pytest.approx(0.0, abs=0.05)


def test_selection_noise_needs_ten_runs() -> None:
    with pytest.raises(SettingError, match="ten unpruned runs"):
        selection_noise(np.ones(9), np.ones(9), n=3, seed=0)
    with pytest.raises(SettingError, match="ten unpruned runs"):
        selection_noise(np.ones(12), np.ones(11), n=3, seed=0)


def test_beyond_noise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(1, 0.3, size=1000)
    assert beyond_noise(rng.normal(3, 0.3, size=1000), noise).low > 0
    same = beyond_noise(rng.normal(1.2, 0.3, size=1000), noise)
    assert same.low < 0 < same.high
    with pytest.raises(SettingError, match="equal"):
        beyond_noise(noise[:5], noise)


def test_percentiles() -> None:
    interval = percentile_interval(np.arange(101), level=0.9)
    assert (interval.low, interval.high, interval.level) == (pytest.approx(5), pytest.approx(95), 0.9)


def test_correlations_are_scipys_without_the_heads_that_are_gone() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    expected = stats.spearmanr(a.ravel()[1:], b.ravel()[1:])
    a[0, 0] = np.nan
    assert (spearman(a, b).value, spearman(a, b).p, spearman(a, b).n) == (
        pytest.approx(expected[0]),
        pytest.approx(expected[1]),
        11,
    )
    assert kendall(a, b).value == pytest.approx(stats.kendalltau(a.ravel()[1:], b.ravel()[1:])[0])


@pytest.mark.filterwarnings("error")
def test_a_constant_has_no_correlation_and_no_warning() -> None:
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]).value)
    assert math.isnan(kendall([1.0], [2.0]).p)
    with pytest.raises(SettingError, match="cannot be paired"):
        spearman([1, 2], [1, 2, 3])
