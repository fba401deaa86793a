"""How far score matrices agree: rank correlations and shared heads at both ends, over pairs of replicate runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.selection.statistics import kendall, spearman

Array = NDArray[np.float64]
Matrix = HeadScores | Array


@dataclass(frozen=True)
class Measure:
    """One figure of agreement; NaN throughout where a matrix is constant, which has no order.

    Attributes:
        value: Mean over pairs of runs; with one run on each side, that pair's.
        least: The smallest of the pairs' values.
        most: The largest.
    """

    value: float
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


def agreement(one: Matrix, other: Matrix, *, k: int) -> Agreement:
    """How far two score matrices agree.

    There is no interval: the heads of a model are all there are, not a sample. How far the figures hold for other seeds is seen
    in the spread over replicate runs (`agreement_table`).

    Args:
        one: `[layers, heads]`, higher = more important, NaN for a head that is gone. Only heads present in both count.
        other: The same shape.
        k: Heads at either end whose overlap is wanted.

    Raises:
        SettingError: Shapes differ, or there are fewer than k shared heads.
    """
    return _over_pairs([(one, other)], k=k)


def agreement_table(items: Mapping[str, Sequence[Matrix]], *, k: int) -> AgreementTable:
    """All pairs of groups, a group being replicate runs (seeds) of one thing, and the stability inside each group.

    Between two groups every run of one meets every run of the other, those of equal seeds included. Where equal seeds are one
    fine-tuned model scored twice, these agree more than others, so that groups may agree more with each other than within.

    Args:
        items: Runs by the name of their group.
        k: As in `agreement`.

    Raises:
        SettingError: A group is empty, or as in `agreement`.
    """
    if empty := [name for name, runs in items.items() if not runs]:
        raise SettingError(f"group {empty[0]!r}: has no scores; give one matrix at least")
    between = {(one, other): _over_pairs(list(product(items[one], items[other])), k=k) for one, other in combinations(items, 2)}
    within = {name: _over_pairs(list(combinations(runs, 2)), k=k) for name, runs in items.items() if len(runs) > 1}
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


def _over_pairs(pairs: Sequence[tuple[Matrix, Matrix]], *, k: int) -> Agreement:
    matrices = [(_values(one), _values(other)) for one, other in pairs]
    shapes = {matrix.shape for pair in matrices for matrix in pair}
    if len(shapes) > 1:
        raise SettingError(f"scores of shapes {sorted(shapes)} cannot be compared: these must be equal")
    present = ~np.isnan([matrix for pair in matrices for matrix in pair]).any(axis=0)
    n_heads = int(present.sum())
    if not 1 <= k <= n_heads:
        raise SettingError(f"k = {k}: expected 1 to {n_heads}, the heads that all the compared scores have")
    found = np.array([_figures(one[present], other[present], k) for one, other in matrices])
    rho, tau, weighted, lowest, highest = (Measure(float(own.mean()), float(own.min()), float(own.max())) for own in found.T)
    return Agreement(rho, tau, weighted, lowest, highest, k=k, n_heads=n_heads, n_pairs=len(pairs))


def _figures(one: Array, other: Array, k: int) -> list[float]:
    """The five figures of one pair, from scores `[heads]` in order of address; all NaN where a side is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return [nan] * 5
    a, b = (np.argsort(scores, kind="stable") for scores in (one, other))
    shared = [len(np.intersect1d(a[end], b[end])) / k for end in (slice(k), slice(-k, None))]
    return [spearman(one, other).value, kendall(one, other).value, weighted_tau(one, other), *shared]


def _values(matrix: Matrix) -> Array:
    return matrix.values if isinstance(matrix, HeadScores) else np.asarray(matrix, dtype=np.float64)
