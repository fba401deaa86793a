"""Whether a difference is more than noise: paired tests, intervals, families of tests, selection noise, rank correlation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from polyhead.core.errors import SettingError

Array = NDArray[np.float64]
CorpusMetric = Callable[[Array], Array]
"""Counts `[..., columns]` summed over sentences → the corpus figure `[...]`, for example a partial `metric_from_counts`."""

# Rows of swaps or weights held at once: a million numbers a block stay small beside any model.
_BLOCK = 1_000_000


@dataclass(frozen=True)
class PairedTest:
    """A difference, in the metric's own unit, and its p value under `shuffles` random swaps."""

    difference: float
    p: float
    shuffles: int


@dataclass(frozen=True)
class Interval:
    """A percentile interval of `level`, for example 0.95."""

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, its two-sided p value, and the number of pairs; both NaN where one side is constant."""

    value: float
    p: float
    n: int


def _paired(pruned: ArrayLike, unpruned: ArrayLike) -> tuple[Array, Array]:
    """Both as `[seeds, sentences, columns]`."""
    a, b = np.asarray(pruned, dtype=np.float64), np.asarray(unpruned, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 3 or 0 in a.shape:
        raise SettingError(f"paired counts of shapes {a.shape} and {b.shape}: these must be equal, [seeds, sentences, columns]")
    return a, b


def paired_randomisation(
    pruned: ArrayLike, unpruned: ArrayLike, metric: CorpusMetric, *, seed: int, n_cells: int = 1, shuffles: int | None = None
) -> PairedTest:
    """The mean gain over seeds and its p value by paired approximate randomisation.

    T = mean over seeds of metric(pruned) − metric(unpruned), each on the whole corpus. A shuffle draws one bit a sentence and
    swaps that sentence's two outputs in all seeds. p = (1 + #{|T*| ≥ |T|}) / (R + 1).

    Args:
        pruned: Counts `[seeds, sentences, columns]`.
        unpruned: The same for the unpruned models, in the same order.
        metric: From summed counts to the figure.
        seed: Of the shuffles.
        n_cells: Tests in the table, so that p can be small enough for Holm's correction over it.
        shuffles: R; max(10,000, 40 × n_cells) if None.

    Raises:
        SettingError: Shapes differ or are empty.

    Source: Yeh 2000, "More accurate tests for the statistical significance of result differences".
    """
    a, b = _paired(pruned, unpruned)
    n_seeds, n_sentences, n_columns = a.shape
    shuffles = max(10_000, 40 * n_cells) if shuffles is None else shuffles
    sums_a, sums_b = a.sum(axis=1), b.sum(axis=1)
    observed = float(np.mean(metric(sums_a) - metric(sums_b)))
    gaps = (a - b).transpose(1, 0, 2).reshape(n_sentences, -1)
    rng = np.random.default_rng(seed)
    extreme = 0
    for rows in _blocks(shuffles, n_sentences):
        swaps = rng.integers(0, 2, size=(rows, n_sentences), dtype=np.int8).astype(np.float64)
        moved = (swaps @ gaps).reshape(rows, n_seeds, n_columns)
        drawn = np.mean(metric(sums_a - moved) - metric(sums_b + moved), axis=1)
        extreme += int(np.sum(np.abs(drawn) >= abs(observed) - 1e-9))
    return PairedTest(observed, (1 + extreme) / (shuffles + 1), shuffles)


def bootstrap_gains(pruned: ArrayLike, unpruned: ArrayLike, metric: CorpusMetric, *, seed: int, draws: int = 1000) -> Array:
    """Gains `[draws]` under resampling of seeds and, inside, of sentences.

    All seeds are tested on the same sentences, so one draw of sentences serves all the seeds of a replicate: drawing anew for
    each seed would let the noise of the test set shrink with the number of seeds, which it does not.

    Raises:
        SettingError: Shapes differ or are empty.
    """
    return bootstrap_mean_gains([(pruned, unpruned)], metric, seed=seed, draws=draws)


def bootstrap_mean_gains(
    pairs: Sequence[tuple[ArrayLike, ArrayLike]], metric: CorpusMetric, *, seed: int, draws: int = 1000
) -> Array:
    """Gains `[draws]` averaged over several test sets, each given as its pruned and its unpruned counts.

    A replicate draws the seeds once for all test sets, whose models are the same, and the sentences of each set by themselves.

    Raises:
        SettingError: Shapes differ or are empty, or the sets have different numbers of seeds.
    """
    sets = [_paired(pruned, unpruned) for pruned, unpruned in pairs]
    if len({len(a) for a, _ in sets}) != 1:
        raise SettingError(
            f"{len(sets)} test sets with {sorted({len(a) for a, _ in sets})} seeds: expected as many seeds in each"
        )
    n_seeds = len(sets[0][0])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=draws) / n_seeds
    gains = np.zeros(draws)
    for a, b in sets:
        _, n_sentences, n_columns = a.shape
        both = np.concatenate([a, b]).transpose(1, 0, 2).reshape(n_sentences, -1)
        done = 0
        for rows in _blocks(draws, n_sentences):
            sums = (_resampled(rng, rows, n_sentences) @ both).reshape(rows, 2, n_seeds, n_columns)
            by_seed = metric(sums[:, 0]) - metric(sums[:, 1])
            gains[done : done + rows] += np.sum(weights[done : done + rows] * by_seed, axis=1)
            done += rows
    mean: Array = gains / len(sets)
    return mean


def bootstrap_interval(
    pruned: ArrayLike, unpruned: ArrayLike, metric: CorpusMetric, *, seed: int, draws: int = 1000, level: float = 0.95
) -> Interval:
    """The percentile interval of the mean gain over seeds; see `bootstrap_gains`."""
    return percentile_interval(bootstrap_gains(pruned, unpruned, metric, seed=seed, draws=draws), level=level)


def percentile_interval(draws: ArrayLike, *, level: float = 0.95) -> Interval:
    """The interval that leaves out equal shares of the draws at either end."""
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def bootstrap_standard_error(counts: ArrayLike, metric: CorpusMetric, *, seed: int, draws: int = 1000) -> float:
    """The standard error of one model's corpus figure under resampling of sentences; `counts` is `[sentences, columns]`."""
    array = np.asarray(counts, dtype=np.float64)
    rng = np.random.default_rng(seed)
    parts = [metric(_resampled(rng, rows, len(array)) @ array) for rows in _blocks(draws, len(array))]
    return float(np.std(np.concatenate(parts), ddof=1))


def _blocks(total: int, width: int) -> list[int]:
    """How many rows of `width` numbers to take at a time."""
    rows = max(1, _BLOCK // max(width, 1))
    return [min(rows, total - start) for start in range(0, total, rows)]


def _resampled(rng: np.random.Generator, rows: int, n: int) -> Array:
    """How often each of n sentences is drawn, `[rows, n]`."""
    drawn = rng.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p values in the given order, Holm's family being all of them; NaN has left the family and stays NaN.

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


def selection_noise(dev: ArrayLike, test: ArrayLike, *, n: int, seed: int, draws: int = 1000) -> Array:
    """What choosing the best of `n` equal models gains by chance: `[draws]`, or `[draws, targets]` if `test` has targets.

    A draw takes `n` runs of the pool with replacement, chooses the one with the highest development score (ties to the first
    drawn) and gives its test score minus the pool's mean.

    Args:
        dev: Source development score of each re-seeded unpruned run, `[pool]`, at least ten.
        test: Their test scores, `[pool]` or `[pool, targets]`, in the unit of the answer.
        n: Fine-tunings that the search used.
        seed: Of the draws.
        draws: How many.

    Raises:
        SettingError: The pool is too small or the two do not match.
    """
    dev_scores, test_scores = np.asarray(dev, dtype=np.float64), np.asarray(test, dtype=np.float64)
    if dev_scores.ndim != 1 or len(dev_scores) < 10 or len(test_scores) != len(dev_scores) or n < 1:
        raise SettingError(
            f"selection noise of {n} fine-tunings from {dev_scores.size} dev and {len(test_scores)} test scores: "
            "needs at least one fine-tuning and ten unpruned runs with both scores"
        )
    drawn = np.random.default_rng(seed).integers(0, len(dev_scores), size=(draws, n))
    best = drawn[np.arange(draws), np.argmax(dev_scores[drawn], axis=1)]
    result: Array = test_scores[best] - test_scores.mean(axis=0)
    return result


def beyond_noise(gains: ArrayLike, noise: ArrayLike, *, level: float = 0.95) -> Interval:
    """The interval of gain − selection noise, from equally many independent draws of each, in one unit.

    Pruning "helps beyond noise" only where it lies above zero.

    Raises:
        SettingError: The numbers of draws differ.
    """
    a, b = np.asarray(gains, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise SettingError(f"gain and noise drawn {a.shape} and {b.shape} times: these must be equal")
    return percentile_interval(a - b, level=level)


def spearman(a: ArrayLike, b: ArrayLike) -> Correlation:
    """Spearman's ρ over all entries; pairs with a NaN are left out.

    >>> round(spearman([1, 2, 3, 4], [1, 3, 2, 4]).value, 6)
    0.8
    """
    return _correlate(stats.spearmanr, a, b)


def kendall(a: ArrayLike, b: ArrayLike) -> Correlation:
    """Kendall's τ-b over all entries; pairs with a NaN are left out."""
    return _correlate(stats.kendalltau, a, b)


def _correlate(method: Callable[[Array, Array], tuple[float, float]], a: ArrayLike, b: ArrayLike) -> Correlation:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise SettingError(f"values of shapes {x.shape} and {y.shape} cannot be paired")
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(math.nan, math.nan, len(x))
    value, p = method(x, y)
    return Correlation(float(value), float(p), len(x))
