"""Means over fine-tunings, families and noise against simulations with measured variances, scipy and planted effects."""

import itertools
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from polyhead.core.errors import SettingError
from polyhead.data.tasks import TASKS
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.resampling import Interval
from polyhead.selection.statistics import SelectionNoise, beyond_noise, holm, mean_gain, seed_mean, selection_noise

ACCURACY = partial(metric_from_counts, TASKS["pos"])
SPAN_F1 = partial(metric_from_counts, TASKS["ner"])


def draw(rate: float, *, seeds: int, sentences: int, seed: int, words: int = 10) -> NDArray[np.int64]:
    """Counts `[seeds, sentences, 5]` of taggers that are right at `rate`."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((seeds, sentences, 5), dtype=np.int64)
    counts[..., 0] = rng.binomial(words, rate, size=(seeds, sentences))
    counts[..., 1] = words
    return counts


def test_the_gain_is_the_mean_over_seeds_and_sets_of_whole_corpora() -> None:
    rng = np.random.default_rng(1)
    gold = rng.integers(1, 4, size=(3, 7))
    a, b = (np.stack([rng.binomial(gold, rate), gold, gold], axis=-1) for rate in (0.9, 0.5))
    by_seed = SPAN_F1(a.sum(axis=1)) - SPAN_F1(b.sum(axis=1))
    found = mean_gain([(a, b)], SPAN_F1, seed=0)
    assert found.by_seed == pytest.approx(by_seed)
    assert found.value == pytest.approx(by_seed.mean())
    two = mean_gain([(a, b), (b, a)], SPAN_F1, seed=0)
    assert two.by_seed == pytest.approx([0, 0, 0])


def test_the_arithmetic_is_that_of_the_method() -> None:
    gains, v, own, n = [0.1, 0.5, -0.2, 0.9, 0.4], 0.02, [0.05, 0.06, 0.04, 0.05, 0.05], 500
    s2 = float(np.var(gains, ddof=1))
    u = (np.mean(own) - v) / 4
    variance = s2 / 5 + v - u
    df = variance**2 / ((s2 / 5) ** 2 / 4 + v**2 / 499)
    found = seed_mean(gains, sentence_variance=v, own_sentence_variances=own, n_sentences=n)
    assert found.standard_error == pytest.approx(math.sqrt(variance))
    assert found.degrees_of_freedom == pytest.approx(df)
    assert found.interval is not None
    assert found.interval.high - found.value == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(variance))
    assert found.p == pytest.approx(2 * stats.t.sf(np.mean(gains) / math.sqrt(variance), df))


@pytest.mark.parametrize(
    ("gains", "v", "own", "expected"),
    [
        ([0.0, 0.0, 0.0], 0.04, 0.05, 0.04),  # no spread over seeds: the sentences alone
        ([1.0, -1.0, 0.0], 0.0, 0.9, 1 / 3),  # what both hold is larger than v: the seeds alone
    ],
)
def test_no_variance_falls_below_that_of_either_source(gains: list[float], v: float, own: float, expected: float) -> None:
    found = seed_mean(gains, sentence_variance=v, own_sentence_variances=[own] * 3, n_sentences=100)
    assert found.standard_error == pytest.approx(math.sqrt(expected))


def test_few_seeds_make_no_claim() -> None:
    found = [
        seed_mean([0.3] * n + [0.5], sentence_variance=0.1, own_sentence_variances=[0.1] * (n + 1), n_sentences=50)
        for n in range(6)
    ]
    assert [item.standard_error is not None for item in found] == [False, True, True, True, True, True]
    assert [item.interval is not None for item in found] == [False, False, True, True, True, True]
    assert [item.detectable is not None for item in found] == [False, False, True, True, True, True]
    assert [item.p is not None for item in found] == [False, False, False, False, True, True]


def test_the_detectable_gain_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    spread = rng.normal(size=5)
    spread = (spread - spread.mean()) / spread.std(ddof=1)
    exact = seed_mean(spread.tolist(), sentence_variance=0.0, own_sentence_variances=[0.0] * 5, n_sentences=50)
    assert exact.detectable is not None
    drawn = rng.normal(exact.detectable, 1, size=(20_000, 5))
    p = stats.ttest_1samp(drawn, 0, axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.01)


def test_no_variance_means_no_uncertainty() -> None:
    counts = draw(0.8, seeds=5, sentences=10, seed=0)
    found = mean_gain([(counts, counts)], ACCURACY, seed=0)
    assert (found.value, found.p, found.interval) == (0.0, 1.0, Interval(0.0, 0.0))


def test_identical_seeds_are_one_observation() -> None:
    a, b = draw(0.85, seeds=1, sentences=100, seed=1), draw(0.80, seeds=1, sentences=100, seed=2)
    few, many = (mean_gain([(np.repeat(a, n, axis=0), np.repeat(b, n, axis=0))], ACCURACY, seed=0) for n in (3, 12))
    assert many.standard_error == pytest.approx(few.standard_error, rel=1e-9)


def test_the_interval_grows_with_the_spread_between_seeds() -> None:
    base = np.repeat(draw(0.8, seeds=1, sentences=300, seed=0), 4, axis=0)
    rates = (0.70, 0.75, 0.85, 0.90)
    spread = np.concatenate([draw(rate, seeds=1, sentences=300, seed=i) for i, rate in enumerate(rates)])
    even = draw(0.80, seeds=4, sentences=300, seed=9)
    wide, narrow = (mean_gain([(a, base)], ACCURACY, seed=0).standard_error for a in (spread, even))
    assert wide is not None
    assert narrow is not None
    assert wide > 3 * narrow


def test_translations_are_drawn_by_row_together() -> None:
    """A second set that copies the first adds nothing; drawn by itself it would halve the sentences' variance."""
    a, b = (
        np.repeat(draw(0.85, seeds=1, sentences=200, seed=1), 3, axis=0),
        np.repeat(draw(0.8, seeds=1, sentences=200, seed=2), 3, axis=0),
    )
    one = mean_gain([(a, b)], ACCURACY, seed=0).standard_error
    jointly = mean_gain([(a, b), (a, b)], ACCURACY, seed=0, parallel=["pud", "pud"]).standard_error
    apart = mean_gain([(a, b), (a, b)], ACCURACY, seed=0).standard_error
    assert jointly == pytest.approx(one)
    assert apart == pytest.approx(one / math.sqrt(2), rel=0.1)


VARIANCES = {
    name: row["model"]
    for name, row in json.loads((Path(__file__).parents[2] / "benchmarks/results/seed_variance.json").read_text())["gain"].items()
}


def p_values(variances: dict[str, float], n_seeds: int, *, pruned: float = 1.0) -> NDArray[np.float64]:
    """Of 2,000 runs without a true gain in which a seed prunes with that probability; its gain is exactly 0 otherwise."""
    rng, n = np.random.default_rng(n_seeds), int(variances["sentences"])
    found = []
    for _ in range(2000):
        prunes = rng.random(n_seeds) < pruned
        shared, alone = variances["sentences_shared"], variances["sentences_own"]
        gains = prunes * (
            rng.normal(0, math.sqrt(variances["seeds"]), n_seeds)
            + rng.normal(0, math.sqrt(shared))
            + rng.normal(0, math.sqrt(alone), n_seeds)
        )
        share = prunes.mean()
        result = seed_mean(
            gains.tolist(),
            sentence_variance=share**2 * shared + share * alone / n_seeds,
            own_sentence_variances=(prunes * (shared + alone)).tolist(),
            n_sentences=n,
        )
        assert result.p is not None
        assert result.interval is not None
        assert (result.interval.low <= 0 <= result.interval.high) == (result.p >= 0.05)
        found.append(result.p)
    return np.array(found)


UNSEEN = [name for name in VARIANCES if name != "en"]


@pytest.mark.parametrize("pruned", [1.0, 0.8])
@pytest.mark.parametrize("n_seeds", [5, 8, 15])
@pytest.mark.parametrize("name", UNSEEN)
def test_pure_noise_is_called_significant_as_often_as_is_said(name: str, n_seeds: int, pruned: float) -> None:
    """With the variances measured on a real encoder (`benchmarks/seed_variance.py`) and no true gain."""
    assert 0.02 <= (p_values(VARIANCES[name], n_seeds, pruned=pruned) < 0.05).mean() <= 0.07


@pytest.mark.parametrize(("name", "pruned"), [("en", 1.0), ("mean of the eight", 0.5)])
@pytest.mark.parametrize("n_seeds", [5, 8, 15])
def test_where_it_is_off_it_is_on_the_safe_side(name: str, pruned: float, n_seeds: int) -> None:
    """In the language trained on, seeds add nothing to the noise of the sentences; and where half of the seeds choose k = 0."""
    assert 0.003 <= (p_values(VARIANCES[name], n_seeds, pruned=pruned) < 0.05).mean() <= 0.05


def test_unequal_counts_are_refused() -> None:
    counts = draw(0.8, seeds=2, sentences=5, seed=0)
    for wrong in (counts[:, :4], counts[0], counts[:0]):
        with pytest.raises(SettingError, match="paired counts"):
            mean_gain([(wrong, counts)], ACCURACY, seed=0)
    one, longer = counts[:1], draw(0.8, seeds=2, sentences=6, seed=0)
    twice: list[str] = ["a", "a"]
    for sets, labels in (([], []), ([(counts, counts), (one, one)], []), ([(counts, counts), (longer, longer)], twice)):
        with pytest.raises(SettingError, match="expected at least one set, equal numbers of seeds"):
            mean_gain(sets, ACCURACY, seed=0, parallel=labels)
    with pytest.raises(SettingError, match="one label per set"):
        mean_gain([(counts, counts)], ACCURACY, seed=0, parallel=twice)
    with pytest.raises(SettingError, match="expected as many, at least one"):
        seed_mean([], sentence_variance=0.1, own_sentence_variances=[], n_sentences=5)


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


def test_holm_leaves_nan_out_of_the_family() -> None:
    with_nan = holm([0.02, math.nan, 0.01])
    assert math.isnan(with_nan[1])
    assert (with_nan[0], with_nan[2]) == holm([0.02, 0.01])


def test_selection_noise_is_the_gain_of_a_maximum() -> None:
    dev = np.random.default_rng(0).normal(80, 1, size=60)
    other = np.random.default_rng(1).permutation(dev)
    assert selection_noise(dev, dev, n=5).mean == pytest.approx(1.163, abs=0.2)
    assert selection_noise(dev, dev, n=1).mean == pytest.approx(0.0, abs=1e-9)
    two, back = np.stack([dev, other], axis=1), np.stack([dev, -dev], axis=1)
    assert selection_noise(dev, back, n=5).mean == pytest.approx(0, abs=1e-9), "one choice, by dev, for both targets"
    assert selection_noise(two, two, n=5).mean == pytest.approx(selection_noise(dev, dev, n=5).mean), "a choice for each"


def test_selection_noise_is_the_mean_over_all_draws_without_replacement() -> None:
    dev, test = np.array([0.0, 1.0, 2.0, 2.0, 4.0, 3.0]), np.array([3.0, 1.0, 7.0, 2.0, 4.0, 9.0])
    drawn = []
    for runs in itertools.combinations(range(6), 3):
        best = max(dev[list(runs)])
        drawn.append(np.mean([test[run] for run in runs if dev[run] == best]) - test.mean())
    assert selection_noise(dev, test, n=3).mean == pytest.approx(np.mean(drawn))


def test_selection_noise_of_many_models() -> None:
    """Numbers of possible draws that no 64-bit integer holds."""
    rng = np.random.default_rng(0)
    dev = rng.normal(80, 1, size=100)
    drawn = np.mean([rng.permutation(dev)[:50].max() for _ in range(2000)]) - dev.mean()
    assert selection_noise(dev, dev, n=50).mean == pytest.approx(drawn, abs=0.03)


def test_the_standard_error_of_noise_is_the_spread_over_pools() -> None:
    pools = np.random.default_rng(0).normal(80, 1, size=(2000, 2, 10))
    found = [selection_noise(dev, dev + test, n=3) for dev, test in pools]
    spread = np.std([item.mean for item in found], ddof=1)
    assert np.sqrt(np.mean([item.standard_error**2 for item in found])) == pytest.approx(spread, rel=0.2)


def test_selection_noise_needs_twice_as_many_runs_as_models_were_compared() -> None:
    for dev, test, n in ((9, 9, 5), (12, 11, 3), (12, 12, 0)):
        with pytest.raises(SettingError, match="twice as many unpruned runs"):
            selection_noise(np.ones(dev), np.ones(test), n=n)


def test_beyond_noise() -> None:
    gain = seed_mean([3.0, 3.1, 2.9, 3.0], sentence_variance=0.01, own_sentence_variances=[0.01] * 4, n_sentences=300)
    value, interval = beyond_noise(gain, SelectionNoise(1.0, 0.3, 9.0))
    assert value == pytest.approx(2.0)
    assert interval is not None
    assert gain.standard_error is not None
    assert interval.low > 0
    assert interval.high - interval.low > 2 * 1.96 * math.hypot(0.3, gain.standard_error)
    same = beyond_noise(gain, SelectionNoise(2.9, 0.3, 9.0))[1]
    assert same is not None
    assert same.low < 0 < same.high
    few = seed_mean([3.0, 3.1], sentence_variance=0.01, own_sentence_variances=[0.01] * 2, n_sentences=300)
    assert beyond_noise(few, SelectionNoise(1.0, 0.3, 9.0))[1] is None


def test_one_sentence_gives_no_interval() -> None:
    found = seed_mean([0.1, 0.2, 0.3, 0.1, 0.2], sentence_variance=0.0, own_sentence_variances=[0.0] * 5, n_sentences=1)
    assert (found.value, found.interval, found.p) == (pytest.approx(0.18), None, None)
