"""Inference over fine-tunings: mean gains with interval and p, families of tests, and selection noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from polyhead.core.errors import SettingError
from polyhead.selection.resampling import DRAWS, LEVEL, Array, CorpusMetric, Interval, redrawn

POWER: Final = 0.8
SEEDS_FOR_INTERVAL: Final = 3
SEEDS_FOR_P: Final = 5


@dataclass(frozen=True)
class SeedMean:
    """A mean over fine-tunings with different seeds, and its uncertainty.

    Attributes:
        value: The mean, in the metric's unit.
        by_seed: Value of each seed.
        standard_error: Over other seeds and other sentences; None with one seed or one sentence.
        degrees_of_freedom: For Student's t, by Satterthwaite; None as the standard error.
        interval: 95 % interval; None below three seeds.
        p: Two-sided, for a mean of 0; None below five seeds.
    """

    value: float
    by_seed: tuple[float, ...]
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    interval: Interval | None = None
    p: float | None = None

    @property
    def detectable(self) -> float | None:
        """The smallest true mean that a two-sided test at 5 % detects with power 0.8; None without an interval."""
        if self.interval is None or self.standard_error is None or self.degrees_of_freedom is None:
            return None
        critical = _critical(self.degrees_of_freedom)
        return self.standard_error * float(special.nctdtrinc(self.degrees_of_freedom, 1 - POWER, critical))


@dataclass(frozen=True)
class SelectionNoise:
    """Mean gain by chance from choosing the best of several equal models, and its standard error."""

    mean: float
    standard_error: float
    degrees_of_freedom: float


def mean_gain(
    sets: Sequence[tuple[ArrayLike, ArrayLike]],
    metric: CorpusMetric,
    *,
    seed: int,
    parallel: Sequence[str] = (),
    draws: int = DRAWS,
) -> SeedMean:
    """The mean gain over fine-tunings, averaged over one or more test sets.

    A gain is metric(pruned) − metric(unpruned) of a whole corpus, both of one seed. All seeds and both sides have the same
    sentences in a set, so one resample serves them all.

    Args:
        sets: Pruned and unpruned counts of each test set, `[seeds, sentences, columns]`, seeds in the same order.
        metric: From summed counts to the metric, in whose unit the result is.
        seed: Random seed of the resamples.
        parallel: A label for each set. Row i is a translation of row i of the sets with the same label: they are resampled
            together. By default, and between labels, sets are resampled independently.
        draws: Number of resamples.

    Raises:
        SettingError: No set, an empty set, two sides of different shapes, sets with different numbers of seeds, not one label per
            set, or one label for sets with different numbers of sentences.
    """
    pairs = [_paired(pruned, unpruned) for pruned, unpruned in sets]
    labels = list(parallel) or list(map(str, range(len(pairs))))
    seeds, sizes = {pair.shape[1] for pair in pairs}, [pair.shape[2] for pair in pairs]
    if len(seeds) != 1 or len(labels) != len(pairs) or len(set(zip(labels, sizes, strict=True))) != len(set(labels)):
        raise SettingError(
            f"{len(pairs)} test sets with {sorted(seeds)} seeds and {sizes} sentences, labels {labels}: expected at least one "
            "set, equal numbers of seeds, one label per set, and equal numbers of sentences under one label"
        )
    measured = [metric(pair.sum(axis=2, dtype=np.float64)) for pair in pairs]
    drawn = [redrawn(pair, metric, seed=(seed, labels.index(own)), draws=draws) for own, pair in zip(labels, pairs, strict=True)]
    return mean_over_seeds(
        np.mean([after - before for after, before in measured], axis=0),
        np.mean([own[:, 0] - own[:, 1] for own in drawn], axis=0),
        n_sentences=min(sizes),
    )


def _paired(pruned: ArrayLike, unpruned: ArrayLike) -> NDArray[np.number]:
    """Both sides, `[2, seeds, sentences, columns]`."""
    a, b = np.asarray(pruned), np.asarray(unpruned)
    if a.shape != b.shape or a.ndim != 3 or 0 in a.shape:
        raise SettingError(f"paired counts of shapes {a.shape} and {b.shape}: shapes must be equal, [seeds, sentences, columns]")
    return np.stack([a, b])


def mean_over_seeds(values: ArrayLike, drawn: ArrayLike, *, n_sentences: int) -> SeedMean:
    """The mean over fine-tunings, from their values `[seeds]` and those over resampled sentences `[draws, seeds]`."""
    by_draw = np.asarray(drawn, dtype=np.float64)
    return seed_mean(
        np.asarray(values, dtype=np.float64).tolist(),
        sentence_variance=float(by_draw.mean(axis=1).var(ddof=1)),
        own_sentence_variances=by_draw.var(axis=0, ddof=1).tolist(),
        n_sentences=n_sentences,
    )


def seed_mean(
    by_seed: Sequence[float], *, sentence_variance: float, own_sentence_variances: Sequence[float], n_sentences: int
) -> SeedMean:
    """The mean over S fine-tunings with its standard error, interval and p.

    SE² = max(s²/S + v − u, s²/S, v): s² is the variance over seeds; v is the variance of the mean over resampled sentences, which
    all seeds share; u = (mean of the seeds' own sentence variances − v)/(S − 1) is counted in both. Student's t with
    Satterthwaite's degrees of freedom, from S − 1 for s²/S and n − 1 for v.

    Args:
        by_seed: Value of each fine-tuning.
        sentence_variance: v.
        own_sentence_variances: Variance of each fine-tuning's value over resampled sentences.
        n_sentences: n, of the smallest test set; below two there is no interval.

    Raises:
        SettingError: No fine-tuning, or a different number of variances.

    Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components".
    """
    n_seeds, v = len(by_seed), sentence_variance
    if n_seeds == 0 or len(own_sentence_variances) != n_seeds:
        raise SettingError(f"fine-tunings: {n_seeds}, variances: {len(own_sentence_variances)}; expected as many, at least one")
    value = math.fsum(by_seed) / n_seeds
    if n_seeds == 1 or n_sentences < 2:  # from one sentence nothing can be resampled
        return SeedMean(value, tuple(by_seed))
    over_seeds = math.fsum((own - value) ** 2 for own in by_seed) / (n_seeds - 1) / n_seeds
    both = (math.fsum(own_sentence_variances) / n_seeds - v) / (n_seeds - 1)
    total = max(over_seeds + v - both, over_seeds, v)
    df, error = _degrees_of_freedom(total, (over_seeds, n_seeds - 1), (v, n_sentences - 1)), math.sqrt(total)
    interval = _around(value, error, df) if n_seeds >= SEEDS_FOR_INTERVAL else None
    two_sided = 2 * float(special.stdtr(df, -abs(value) / error)) if error else float(value == 0)
    p = two_sided if n_seeds >= SEEDS_FOR_P else None
    return SeedMean(value, tuple(by_seed), error, df, interval, p)


def _degrees_of_freedom(total: float, *parts: tuple[float, float]) -> float:
    """Satterthwaite's, of a total variance from its parts, each with its own; those of the first part if all are 0."""
    spread = sum(variance**2 / own for variance, own in parts)
    return total**2 / spread if spread > 0 else float(parts[0][1])


def seeds_to_detect(found: SeedMean, gain: float, *, n_sentences: int, most: int = 10_000) -> int | None:
    """Seeds with which a two-sided test at 5 % detects a true mean of this size with power 0.8.

    The variance over seeds is that of the seeds at hand, and shrinks with their number; what the test sentences add is shared by
    all seeds and does not. So a small test set may hide a gain however many seeds there are.

    Args:
        found: A mean over three or more seeds.
        gain: The size to detect, in its unit.
        n_sentences: Of the smallest test set.
        most: Largest number of seeds considered.

    Returns:
        At least five, the fewest with a p value; None if `most` are not enough, or the mean has no interval.

    Raises:
        SettingError: The gain is not above 0.

    >>> seeds_to_detect(seed_mean([0.1, 0.9, 0.5, 0.7, 0.2], sentence_variance=0, own_sentence_variances=[0] * 5, n_sentences=9),
    ...                 0.3, n_sentences=9)
    12
    """
    if not gain > 0:
        raise SettingError(f"gain {gain}: should be a number of points above 0")
    if found.interval is None or found.standard_error is None:
        return None
    n, value = len(found.by_seed), found.value
    variance = math.fsum((own - value) ** 2 for own in found.by_seed) / (n - 1)
    shared = max(0.0, found.standard_error**2 - variance / n)

    def detects(seeds: int) -> bool:
        total = variance / seeds + shared
        df = _degrees_of_freedom(total, (variance / seeds, seeds - 1), (shared, n_sentences - 1))
        return math.sqrt(total) * float(special.nctdtrinc(df, 1 - POWER, _critical(df))) <= gain

    if not detects(most):
        return None
    low, high = SEEDS_FOR_P, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if detects(middle) else (middle + 1, high)
    return low


def _around(value: float, standard_error: float, degrees_of_freedom: float) -> Interval:
    half = _critical(degrees_of_freedom) * standard_error
    return Interval(value - half, value + half)


def _critical(degrees_of_freedom: float) -> float:
    return float(special.stdtrit(degrees_of_freedom, (1 + LEVEL) / 2))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm-adjusted p values in the given order, as one family; NaN is not in the family and stays NaN.

    >>> holm([0.01, 0.04, float("nan"), 0.03])
    (0.03, 0.06, nan, 0.06)
    """
    adjusted = [math.nan] * len(p_values)
    family = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, place) in enumerate(family):
        largest = max(largest, min(1.0, p * (len(family) - rank)))
        adjusted[place] = largest
    return tuple(adjusted)


def selection_noise(dev: ArrayLike, test: ArrayLike, *, n: int) -> SelectionNoise:
    """Mean gain by chance from choosing the best of `n` equal models.

    A draw takes `n` runs of the pool without replacement, chooses the one with the highest dev score and returns its test score
    minus the pool's mean. The result is the mean over all possible draws, with the jackknife standard error over the runs.

    Args:
        dev: Score by which the search chooses, of each re-seeded unpruned run, `[pool]`, or `[pool, targets]` if every target has
            its own choice.
        test: Their test scores `[pool]` or `[pool, targets]`; the result has their unit and is the mean over targets.
        n: Distinct models that the search compared.

    Raises:
        SettingError: The pool has fewer than 2n runs, or `dev` and `test` do not match.
    """
    by, tests = (np.asarray(scores, dtype=np.float64) for scores in (dev, test))
    size = len(by)
    if len(tests) != size or n < 1 or size < 2 * n:
        raise SettingError(
            f"selection noise of {n} models from {size} dev and {len(tests)} test scores: expected at least one model, and "
            "twice as many unpruned runs with both scores"
        )
    tests = tests.reshape(size, -1)
    by = np.broadcast_to(by.reshape(size, -1), tests.shape)
    without = np.array([_gain_of_the_best(np.delete(by, i, axis=0), np.delete(tests, i, axis=0), n) for i in range(size)])
    return SelectionNoise(_gain_of_the_best(by, tests, n), float(math.sqrt(size - 1) * without.std()), float(size - 1))


def _gain_of_the_best(by: Array, tests: Array, n: int) -> float:
    """Expected test score of the best of n runs minus the mean of all; both `[pool, targets]`, ties chosen at random."""
    size, found = len(by), []
    chances = [math.comb(rank, n - 1) / math.comb(size, n) for rank in range(size)]  # the integers outgrow 64 bits
    for scores, own in zip(by.T, tests.T, strict=True):
        _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
        chance = np.bincount(np.sort(place), weights=chances) / ties
        found.append(chance[place] @ own - own.mean())
    return float(np.mean(found))


def beyond_noise(gain: SeedMean, noise: SelectionNoise) -> tuple[float, Interval | None]:
    """Gain minus selection noise, and its interval; no interval below three seeds.

    Pruning "helps beyond noise" only if the interval lies above zero.
    """
    value = gain.value - noise.mean
    if gain.interval is None or gain.standard_error is None or gain.degrees_of_freedom is None:
        return value, None
    variances = (gain.standard_error**2, noise.standard_error**2)
    df = _degrees_of_freedom(sum(variances), (variances[0], gain.degrees_of_freedom), (variances[1], noise.degrees_of_freedom))
    return value, _around(value, math.sqrt(sum(variances)), df)
