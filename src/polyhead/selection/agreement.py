"""Agreement of score matrices: rank correlations and overlap at both ends, over pairs of replicate runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress, tracking
from polyhead.selection.rank_figures import rank_figures

Array = NDArray[np.float64]
Matrix = HeadScores | Array


@dataclass(frozen=True)
class Measure:
    """One measure of agreement; all NaN where a matrix is constant and so has no order.

    Attributes:
        value: Mean over pairs of runs.
        min: Smallest value of a pair.
        max: Largest value of a pair.
    """

    value: float
    min: float
    max: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of two matrices, or of two groups of replicate runs, over the heads that all of them have.

    Attributes:
        spearman: Spearman's ρ.
        kendall: Kendall's τ-b.
        weighted_tau: Kendall's τ weighted towards the most important heads, see `rank_figures`.
        lowest: Overlap (0..1) of the k least important heads; ties are broken by address.
        highest: Overlap of the k most important heads.
        n_heads: Heads that all matrices have; two random orders overlap by k / `n_heads` on average.
        n_pairs: Pairs of runs.
    """

    spearman: Measure
    kendall: Measure
    weighted_tau: Measure
    lowest: Measure
    highest: Measure
    n_heads: int
    n_pairs: int


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
    return agreement_table({"one": [one], "other": [other]}, k=k)["one", "other"]


def agreement_table(
    items: Mapping[str, Sequence[Matrix]], *, k: int, progress: Progress | None = None
) -> dict[tuple[str, str], Agreement]:
    """Agreement by pair of groups of replicate runs (seeds): of two groups, and of a group with itself if it has several runs.

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
    matrices = [m.values if isinstance(m, HeadScores) else np.asarray(m) for runs in items.values() for m in runs]
    if len(shapes := {matrix.shape for matrix in matrices}) > 1:
        raise SettingError(f"scores of shapes {sorted(shapes)} cannot be compared: shapes must be equal")
    scores = np.stack(matrices).reshape(len(matrices), -1)
    ends = np.cumsum([len(runs) for runs in items.values()])
    rows = {name: range(end - len(runs), end) for (name, runs), end in zip(items.items(), ends.tolist(), strict=True)}
    present = {name: ~np.isnan(scores[own]).any(axis=0) for name, own in rows.items()}
    pairs = [*combinations(items, 2), *((name, name) for name, runs in items.items() if len(runs) > 1)]
    figures: dict[bytes, Array] = {}  # by common heads: pairs of groups with the same ones are compared in one call
    found: dict[tuple[str, str], Agreement] = {}
    with tracking(progress, len(pairs), "comparing") as advance:
        for one, other in pairs:
            common = present[one] & present[other]
            if (key := common.tobytes()) not in figures:
                figures[key] = _figures(scores[:, common], k)
            runs = combinations(rows[one], 2) if one == other else product(rows[one], rows[other])
            own = np.stack([figures[key][:, i, j] for i, j in runs], axis=1)
            rho, tau, weighted, low, high = (Measure(float(row.mean()), float(row.min()), float(row.max())) for row in own)
            found[one, other] = Agreement(rho, tau, weighted, low, high, int(common.sum()), own.shape[1])
            advance(1)
    return found


def _figures(scores: Array, k: int) -> Array:
    """`rank_figures` of `[runs, common heads]`; NaN for runs without one of these heads."""
    if not 1 <= k <= scores.shape[1]:
        raise SettingError(f"k = {k}: expected 1 to {scores.shape[1]}, the number of heads in all compared scores")
    whole = np.flatnonzero(~np.isnan(scores).any(axis=1))
    figures = np.full((5, len(scores), len(scores)), np.nan)
    figures[:, whole[:, None], whole] = rank_figures(scores[whole], k=k)
    return figures
