"""Results of the walks so far, and their estimate: values, bootstrap intervals, and whether the lowest heads are settled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyhead.core.heads import HeadMask
from polyhead.core.resampling import times_drawn

_REPLICATES = 1000
_TAILS = (2.5, 97.5)
_EPSILON = 0.02
_FEWEST_TO_SETTLE = 3


@dataclass(frozen=True)
class Walked:
    """Results so far; replaced as a whole, so that an interrupt never leaves half a step.

    Attributes:
        full: Loss of every sentence, in batch order, with all heads on; 0 where nothing is labelled.
        none: The same with all heads off.
        n: Sentences with a labelled word.
        n_batches: Batches in a round.
        sums: `[layers, heads]` of every (round, batch) in order.
        costs: Their forward passes.
        seconds: Wall-clock time.
    """

    full: NDArray[np.float64]
    none: NDArray[np.float64]
    n: int
    n_batches: int
    sums: Sequence[NDArray[np.float64]] = ()
    costs: Sequence[float] = ()
    seconds: float = 0.0

    @property
    def rounds(self) -> int:
        """Whole rounds."""
        return len(self.sums) // self.n_batches

    @property
    def passes(self) -> float:
        """Forward passes over all batches, including two for all heads and none."""
        return 2 + sum(self.costs) / self.n_batches


@dataclass(frozen=True)
class Estimate:
    """Estimate from whole rounds.

    Attributes:
        values: float64 `[layers, heads]`, NaN = pruned.
        low: Lower bounds of the 95 % intervals, same shape.
        high: Upper bounds, same shape.
        v_all: v with all heads on.
        v_none: v with all heads off.
        epsilon: The smallest share of |v_all - v_none| that settles the lowest heads; None if v_all = v_none and they are not
            settled.
        settled: Whether `epsilon` is at most 2 %, after enough rounds.
        n_lowest: How many of the lowest heads are meant: at most one less than there are heads.
    """

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    v_all: float
    v_none: float
    epsilon: float | None
    settled: bool
    n_lowest: int


def estimate_of(walked: Walked, present: HeadMask, *, seed: int, n_lowest: int) -> Estimate:
    """Values and intervals after two or more whole rounds, and whether the `n_lowest` lowest heads are settled."""
    n_lowest = min(n_lowest, max(present.n_kept - 1, 0))
    sums = np.stack(walked.sums).reshape(walked.rounds, walked.n_batches, *present.keep.shape)
    pruned = np.where(present.keep, 0.0, np.nan)
    values = sums.mean(axis=0).sum(axis=0) / walked.n + pruned
    low, high = (end / walked.n + pruned for end in intervals(sums, seed=seed))
    v_all = -float(walked.full.sum()) / walked.n
    v_none = -float(walked.none.sum()) / walked.n
    margin, scale = unsettled_by(values, low, high, n_lowest), abs(v_all - v_none)
    epsilon = margin / scale if scale else None if margin else 0.0
    settled = walked.rounds >= _FEWEST_TO_SETTLE and epsilon is not None and epsilon <= _EPSILON
    return Estimate(values, low, high, v_all, v_none, epsilon, settled, n_lowest)


def intervals(sums: NDArray[np.float64], *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper bounds `[layers, heads]` of the 95 % intervals of the mean over rounds of the sum over batches.

    They cover the random orders for these sentences, not other sentences. Batches have independent rounds, so each is resampled
    separately: R - 1 of its R rounds, drawn with replacement. The mean of such a draw has the estimated variance of the mean of R
    independent rounds, without rescaling. 1,000 replicates, percentile intervals.

    Args:
        sums: `[rounds, batches, layers, heads]`, at least two rounds.
        seed: Random seed of the resampling, combined with the number of rounds.

    Source: Rao and Wu 1988, "Resampling inference with complex survey data".
    """
    rounds, n_batches, *shape = sums.shape
    # walks are seeded by (seed, round, batch); no batch has the number n_batches
    generator = np.random.default_rng((seed, rounds, n_batches))
    drawn = np.zeros((_REPLICATES, math.prod(shape)))
    for batch in range(n_batches):
        drawn += times_drawn(generator, rounds, draws=_REPLICATES, size=rounds - 1) @ sums[:, batch].reshape(rounds, -1)
    low, high = np.percentile(drawn / (rounds - 1), _TAILS, axis=0).reshape(2, *shape)
    return low, high


def unsettled_by(values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], n_lowest: int) -> float:
    """The smallest margin, 0 or more, by which the lowest heads' upper bounds overlap the lower bounds of all others.

    Args:
        values: `[layers, heads]`; NaN = no such head; ties are broken by address.
        low: Lower bounds, same shape.
        high: Upper bounds, same shape.
        n_lowest: Number of lowest heads, below the number of heads; 0 is always settled.
    """
    if n_lowest < 1:
        return 0.0
    order = np.argsort(values, axis=None, kind="stable")  # NaN comes last
    # all others, not just the next one: a head further up may have a wider interval
    return max(0.0, float(high.flat[order[:n_lowest]].max() - np.nanmin(low.flat[order[n_lowest:]])))
