"""How far score matrices agree: rank correlations and shared heads at both ends, with intervals, over replicate runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import isnan, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.selection.statistics import Interval, kendall, percentile_interval, spearman

Array = NDArray[np.float64]
Matrix = HeadScores | Array
DRAWS: Final = 1000
LEVEL: Final = 0.95


@dataclass(frozen=True)
class Measure:
    """One figure of agreement; NaN throughout where a matrix is constant, which has no order.

    Attributes:
        value: Mean over pairs of runs; with one run on each side, that pair's.
        interval: Percentile bootstrap over heads of that mean: how much it depends on which heads a model happens to have. It
            speaks of no other seed and of no other data.
        least: The smallest of the pairs' values.
        most: The largest.
    """

    value: float
    interval: Interval
    least: float
    most: float


@dataclass(frozen=True)
class Agreement:
    """How far two matrices, or two groups of replicate runs, agree over the heads that all of them have.

    Attributes:
        spearman: Spearman's ρ.
        kendall: Kendall's τ-b.
        weighted_tau: Kendall's τ weighted towards the most important heads, see `weighted_tau`.
        lowest: Share (0..1) of the k least important heads of one that are among those of the other; ties go by address.
        highest: The same of the k most important.
        k: How many heads the two shares are of; two random orders share k / `n_heads` of them on average.
        n_heads: Heads that all the matrices have.
        n_pairs: Pairs of runs.
    """

    spearman: Measure
    kendall: Measure
    weighted_tau: Measure
    lowest: Measure
    highest: Measure
    k: int
    n_heads: int
    n_pairs: int


@dataclass(frozen=True)
class AgreementTable:
    """Every pair of groups, and within every group of two or more runs the agreement of these."""

    between: Mapping[tuple[str, str], Agreement]
    within: Mapping[str, Agreement]


def agreement(one: Matrix, other: Matrix, *, k: int, seed: int, draws: int = DRAWS) -> Agreement:
    """How far two score matrices agree, with bootstrap intervals over heads.

    Args:
        one: `[layers, heads]`, higher = more important, NaN for a head that is gone. Only heads present in both count.
        other: The same shape.
        k: Heads at either end whose overlap is wanted.
        seed: Of the resamples.
        draws: Resamples of the heads with replacement; one in which a side is constant has no order and is left out.

    Raises:
        SettingError: Shapes differ, or there are fewer than k shared heads.
    """
    return _over_pairs([(one, other)], k=k, seed=seed, draws=draws)


def agreement_table(items: Mapping[str, Sequence[Matrix]], *, k: int, seed: int, draws: int = DRAWS) -> AgreementTable:
    """All pairs of groups, a group being replicate runs (seeds) of one thing, and the stability inside each group.

    Between two groups every run of one meets every run of the other, those of equal seeds included. Where equal seeds are one
    fine-tuned model scored twice, these agree more than others, so that groups may agree more with each other than within.

    Args:
        items: Runs by the name of their group.
        k: As in `agreement`.
        seed: Of the resamples; all pairs of groups share them.
        draws: As in `agreement`.

    Raises:
        SettingError: A group is empty, or as in `agreement`.
    """
    if empty := [name for name, runs in items.items() if not runs]:
        raise SettingError(f"group {empty[0]!r}: has no scores; give one matrix at least")
    between = {
        (one, other): _over_pairs(list(product(items[one], items[other])), k=k, seed=seed, draws=draws)
        for one, other in combinations(items, 2)
    }
    within = {
        name: _over_pairs(list(combinations(runs, 2)), k=k, seed=seed, draws=draws)
        for name, runs in items.items()
        if len(runs) > 1
    }
    return AgreementTable(between, within)


def weighted_tau(one: Array, other: Array) -> float:
    """Kendall's τ with a pair of heads weighing 1/(r+1) + 1/(s+1), r and s being their 0-based places, the most important at 0.

    `scipy.stats.weightedtau` with `rank=True`: the mean of two values, one with the places of each side (ties in one side placed
    by the other), so it is symmetric. The highest few heads decide it; for heads to prune look at `lowest`. NaN if constant.

    Source: Vigna 2015, "A weighted correlation index for rankings with ties".
    """
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return nan
    return float(stats.weightedtau(one, other, rank=True).statistic)


def resampled_measures(one: Array, other: Array, counts: Array, *, k: int) -> Array:
    """Spearman's ρ, τ-b, weighted τ, and the overlap of the k lowest and k highest, under resampling: `[draws, 5]`.

    The library's functions take one sample at a time; a draw enters here as how often it holds each head, which turns sums over
    pairs of drawn heads into products of matrices. Copies of one head are tied and overlap copy by copy.

    Args:
        one: Scores `[heads]` without NaN, in order of address.
        other: The same heads'.
        counts: `[draws, heads]`.
        k: Heads at either end.
    """
    signs_one, signs_other = np.sign(one[:, None] - one), np.sign(other[:, None] - other)
    above_one, above_other = counts @ signs_one.T, counts @ signs_other.T  # twice the rank, less its mean
    alike = counts @ (signs_one * signs_other)
    untied_one, untied_other = counts @ np.abs(signs_one), counts @ np.abs(signs_other)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = _cosine(counts, above_one * above_other, above_one**2, above_other**2)
        tau = _cosine(counts, alike, untied_one, untied_other)
        weights = (_weights(np.lexsort(keys)[::-1], counts) for keys in ((other, one), (one, other)))
        weighted = np.mean([_cosine(weight, alike, untied_one, untied_other) for weight in weights], axis=0)
    order_one, order_other = np.argsort(one, kind="stable"), np.argsort(other, kind="stable")
    shared = [
        np.minimum(_first(order_one[::step], counts, k), _first(order_other[::step], counts, k)).sum(axis=1) / k
        for step in (1, -1)
    ]
    found = np.stack([rho, tau, weighted, *shared], axis=1)
    found[np.isnan(rho)] = nan
    return found


def _cosine(weights: Array, both: Array, one: Array, other: Array) -> Array:
    """Σ w·both / √(Σ w·one · Σ w·other) in each row."""
    ratio: Array = np.sum(weights * both, axis=1) / np.sqrt(np.sum(weights * one, axis=1) * np.sum(weights * other, axis=1))
    return ratio


def _weights(order: NDArray[np.intp], counts: Array) -> Array:
    """Sum over a head's copies of 1/(place + 1), the heads standing in `order`: `[draws, heads]`."""
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(counts.sum(axis=1).max()) + 1))])
    ends = np.cumsum(counts[:, order], axis=1).astype(np.intp)
    sums = np.empty_like(counts)
    sums[:, order] = harmonic[ends] - harmonic[ends - counts[:, order].astype(np.intp)]
    return sums


def _first(order: NDArray[np.intp], counts: Array, k: int) -> Array:
    """How many copies of each head are among the first k in `order`: `[draws, heads]`."""
    taken = np.empty_like(counts)
    taken[:, order] = np.diff(np.minimum(np.cumsum(counts[:, order], axis=1), k), axis=1, prepend=0.0)
    return taken


def _over_pairs(pairs: Sequence[tuple[Matrix, Matrix]], *, k: int, seed: int, draws: int) -> Agreement:
    matrices = [(_values(one), _values(other)) for one, other in pairs]
    shapes = {matrix.shape for pair in matrices for matrix in pair}
    if len(shapes) > 1:
        raise SettingError(f"scores of shapes {sorted(shapes)} cannot be compared: these must be equal")
    present = ~np.isnan([matrix for pair in matrices for matrix in pair]).any(axis=0)
    n_heads = int(present.sum())
    if not 1 <= k <= n_heads:
        raise SettingError(f"k = {k}: expected 1 to {n_heads}, the heads that all the compared scores have")
    drawn = np.random.default_rng(seed).integers(0, n_heads, size=(draws, n_heads))
    counts = np.stack([np.bincount(row, minlength=n_heads) for row in drawn]).astype(np.float64)
    once = np.ones((1, n_heads))
    values, resampled = [], []
    for one, other in ((one[present], other[present]) for one, other in matrices):
        overlaps = resampled_measures(one, other, once, k=k)[0, 3:].tolist()
        values.append([spearman(one, other).value, kendall(one, other).value, weighted_tau(one, other), *overlaps])
        resampled.append(resampled_measures(one, other, counts, k=k))
    rho, tau, weighted, lowest, highest = (
        _measure(value, resample) for value, resample in zip(np.transpose(values), np.mean(resampled, axis=0).T, strict=True)
    )
    return Agreement(rho, tau, weighted, lowest, highest, k=k, n_heads=n_heads, n_pairs=len(pairs))


def _values(matrix: Matrix) -> Array:
    return matrix.values if isinstance(matrix, HeadScores) else np.asarray(matrix, dtype=np.float64)


def _measure(values: Array, resampled: Array) -> Measure:
    """Mean, interval and span; `values` `[pairs]`, `resampled` `[draws]`."""
    kept, mean = resampled[~np.isnan(resampled)], float(np.mean(values))
    if isnan(mean) or not len(kept):
        return Measure(mean, Interval(nan, nan, LEVEL), float(np.min(values)), float(np.max(values)))
    return Measure(mean, percentile_interval(kept, level=LEVEL), float(np.min(values)), float(np.max(values)))
