"""Agreement of score matrices: rank correlations and overlap at both ends, over pairs of replicate runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.selection.rank_figures import rank_figures

Array = NDArray[np.float64]
Matrix = HeadScores | Array


@dataclass(frozen=True)
class Measure:
    """One measure of agreement; all NaN where a matrix is constant and so has no order.

    Attributes:
        value: Mean over pairs of runs.
        least: Smallest value of a pair.
        most: Largest value of a pair.
    """

    value: float
    least: float
    most: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of two matrices, or of two groups of replicate runs, over the heads that all of them have.

    Attributes:
        spearman: Spearman's ρ.
        kendall: Kendall's τ-b.
        weighted_tau: Kendall's τ weighted towards the most important heads, see `rank_figures`.
        lowest: Overlap (0..1) of the k least important heads; ties are broken by address.
        highest: Overlap of the k most important heads.
        k: Heads at either end; two random orders overlap by k / `n_heads` on average.
        n_heads: Heads that all matrices have.
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
    """Agreement between every pair of groups, and within every group of two or more runs."""

    between: Mapping[tuple[str, str], Agreement]
    within: Mapping[str, Agreement]


def agreement(one: Matrix, other: Matrix, *, k: int) -> Agreement:
    """Agreement of two score matrices.

    There is no interval, because the heads of a model are not a sample. The spread over replicate runs (`agreement_table`) shows
    how far the measures hold for other seeds.

    Args:
        one: `[layers, heads]`, higher = more important, NaN for a pruned head. Only heads present in both count.
        other: The same shape.
        k: Heads at either end to compare.

    Raises:
        SettingError: Shapes differ, or fewer than k heads are in both.
    """
    return agreement_table({"one": [one], "other": [other]}, k=k).between["one", "other"]


def agreement_table(items: Mapping[str, Sequence[Matrix]], *, k: int, progress: Progress | None = None) -> AgreementTable:
    """Agreement between all pairs of groups of replicate runs (seeds), and within each group.

    Every run of one group is compared with every run of the other, including those with equal seeds. If runs with equal seeds
    score the same fine-tuned model, they agree more than others, so groups may agree more with each other than within.

    Args:
        items: Runs by group name.
        k: As in `agreement`.
        progress: Updated after every pair of groups.

    Raises:
        SettingError: A group is empty, or as in `agreement`.
    """
    if empty := [name for name, runs in items.items() if not runs]:
        raise SettingError(f"group {empty[0]!r} has no scores; give at least one matrix")
    scores = _flat([matrix for runs in items.values() for matrix in runs])
    ends = np.cumsum([len(runs) for runs in items.values()])
    rows = {name: range(end - len(runs), end) for (name, runs), end in zip(items.items(), ends.tolist(), strict=True)}
    present = {name: ~np.isnan(scores[own]).any(axis=0) for name, own in rows.items()}
    # pairs of groups with the same common heads are compared in one call
    alike: dict[bytes, list[tuple[str, str]]] = {}
    for pair in [*combinations(items, 2), *((name, name) for name, runs in items.items() if len(runs) > 1)]:
        alike.setdefault((present[pair[0]] & present[pair[1]]).tobytes(), []).append(pair)
    found: dict[tuple[str, str], Agreement] = {}
    progress = progress or Silent()
    progress.start(sum(map(len, alike.values())), "comparing")
    for pairs in alike.values():
        met = sorted({row for pair in pairs for name in pair for row in rows[name]})
        place = {row: number for number, row in enumerate(met)}
        figures = _figures(scores[met][:, present[pairs[0][0]] & present[pairs[0][1]]], k)
        for one, other in pairs:
            block = figures[:, [place[row] for row in rows[one]]][:, :, [place[row] for row in rows[other]]]
            apart = np.triu_indices(len(rows[one]), 1) if one == other else np.indices(block.shape[1:]).reshape(2, -1)
            found[one, other] = _agreement(block[:, apart[0], apart[1]], k=k, n_heads=int((present[one] & present[other]).sum()))
        progress.advance(len(pairs))
    progress.stop()
    between = {pair: found[pair] for pair in combinations(items, 2)}
    return AgreementTable(between, {name: found[name, name] for name, runs in items.items() if len(runs) > 1})


def _flat(matrices: Sequence[Matrix]) -> Array:
    """`[matrices, layers × heads]`."""
    values = [matrix.values if isinstance(matrix, HeadScores) else np.asarray(matrix, dtype=np.float64) for matrix in matrices]
    if len(shapes := {own.shape for own in values}) > 1:
        raise SettingError(f"scores of shapes {sorted(shapes)} cannot be compared: shapes must be equal")
    return np.stack(values).reshape(len(values), -1)


def _figures(scores: Array, k: int) -> Array:
    if not 1 <= k <= scores.shape[1]:
        raise SettingError(f"k = {k}: expected 1 to {scores.shape[1]}, the number of heads in all compared scores")
    return rank_figures(scores, k=k)


def _agreement(figures: Array, *, k: int, n_heads: int) -> Agreement:
    """From the five measures of each pair of runs, `[5, pairs]`."""
    rho, tau, weighted, lowest, highest = (Measure(float(own.mean()), float(own.min()), float(own.max())) for own in figures)
    return Agreement(rho, tau, weighted, lowest, highest, k=k, n_heads=n_heads, n_pairs=figures.shape[1])
