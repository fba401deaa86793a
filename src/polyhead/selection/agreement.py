"""How far score matrices agree: rank correlations and shared heads at both ends, over pairs of replicate runs."""

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
        weighted_tau: Kendall's τ weighted towards the most important heads, see `rank_figures`.
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
    return agreement_table({"one": [one], "other": [other]}, k=k).between["one", "other"]


def agreement_table(items: Mapping[str, Sequence[Matrix]], *, k: int, progress: Progress | None = None) -> AgreementTable:
    """All pairs of groups, a group being replicate runs (seeds) of one thing, and the stability inside each group.

    Between two groups every run of one meets every run of the other, those of equal seeds included. Where equal seeds are one
    fine-tuned model scored twice, these agree more than others, so that groups may agree more with each other than within.

    Args:
        items: Runs by the name of their group.
        k: As in `agreement`.
        progress: Told of every pair of groups.

    Raises:
        SettingError: A group is empty, or as in `agreement`.
    """
    if empty := [name for name, runs in items.items() if not runs]:
        raise SettingError(f"group {empty[0]!r}: has no scores; give one matrix at least")
    scores = _flat([matrix for runs in items.values() for matrix in runs])
    ends = np.cumsum([len(runs) for runs in items.values()])
    rows = {name: range(end - len(runs), end) for (name, runs), end in zip(items.items(), ends.tolist(), strict=True)}
    present = {name: ~np.isnan(scores[own]).any(axis=0) for name, own in rows.items()}
    # pairs of groups that have the same heads in common are compared at once
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
        raise SettingError(f"scores of shapes {sorted(shapes)} cannot be compared: these must be equal")
    return np.stack(values).reshape(len(values), -1)


def _figures(scores: Array, k: int) -> Array:
    if not 1 <= k <= scores.shape[1]:
        raise SettingError(f"k = {k}: expected 1 to {scores.shape[1]}, the heads that all the compared scores have")
    return rank_figures(scores, k=k)


def _agreement(figures: Array, *, k: int, n_heads: int) -> Agreement:
    """From the five figures of each pair of runs, `[5, pairs]`."""
    rho, tau, weighted, lowest, highest = (Measure(float(own.mean()), float(own.min()), float(own.max())) for own in figures)
    return Agreement(rho, tau, weighted, lowest, highest, k=k, n_heads=n_heads, n_pairs=figures.shape[1])
