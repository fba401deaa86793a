"""Agreement of many rankings of the same heads, all pairs at once."""

from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


def rank_figures(scores: Array, *, k: int) -> Array:
    """Spearman's ρ, Kendall's τ-b, weighted τ and the shares of the k lowest and k highest heads: `[5, rankings, rankings]`.

    All NaN for a constant ranking, which has no order. Weighted τ is `scipy.stats.weightedtau` with `rank=True`: a pair of heads
    weighs 1/(r+1) + 1/(s+1), where r and s are their 0-based places and the most important head is at 0. It is the mean of two
    values, one with each side's places; ties on one side are placed by the other. In the shares, ties are broken by address.

    Args:
        scores: `[rankings, heads]` without NaN, heads in order of address; higher = more important.
        k: Heads at either end.

    Source: Vigna 2015, "A weighted correlation index for rankings with ties".
    """
    ends = at_ends(scores, k).astype(np.float64)
    found = np.stack([rank_correlations(scores), *_kendalls(scores), *(ends @ ends.transpose(0, 2, 1) / k)])
    constant = np.ptp(scores, axis=1) == 0
    found[:, constant], found[:, :, constant] = nan, nan
    return found


def rank_correlations(scores: Array) -> Array:
    """Spearman's ρ between rows: `[rankings, heads]` without NaN → `[rankings, rankings]`; NaN for a constant row."""
    ranks = stats.rankdata(scores, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.clip(unit @ unit.T, -1, 1))


def _kendalls(scores: Array) -> tuple[Array, Array]:
    """τ-b and weighted τ, both `[rankings, rankings]`; sums over pairs of heads as matrix products, one head at a time."""
    n_rankings, n_heads = scores.shape
    weights = 1 / (n_heads - np.argsort(np.argsort(scores, axis=1), axis=1))
    alike, weighted = np.zeros((2, n_rankings, n_rankings))
    for head in range(n_heads - 1):
        signs = np.sign(scores[:, [head]] - scores[:, head + 1 :])
        alike += signs @ signs.T
        weighted += (signs * (weights[:, [head]] + weights[:, head + 1 :])) @ signs.T
    untied = np.diag(alike)
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = alike / np.sqrt(np.outer(untied, untied))
    weighted = (weighted + weighted.T) / (2 * (n_heads - 1) * np.sum(1 / np.arange(1, n_heads + 1)))
    for one in np.flatnonzero(untied < n_heads * (n_heads - 1) / 2):  # with ties the places depend on the other side
        for other in range(n_rankings):
            weighted[one, other] = weighted[other, one] = stats.weightedtau(scores[one], scores[other], rank=True).statistic
    return tau, weighted


def at_ends(scores: Array, k: int) -> NDArray[np.bool_]:
    """Whether each head is among a ranking's k lowest, and its k highest: `[2, rankings, heads]`; ties broken by address."""
    places = np.argsort(np.argsort(scores, axis=1, kind="stable"), axis=1)
    return np.stack([places < k, places >= scores.shape[1] - k])
