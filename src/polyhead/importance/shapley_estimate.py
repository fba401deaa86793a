"""What walks have given so far, and what it says: values, bootstrap intervals, and whether the lowest heads are settled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyhead.core.heads import HeadMask

_REPLICATES = 1000
_TAILS = (2.5, 97.5)
_EPSILON = 0.02
_FEWEST_TO_SETTLE = 3


@dataclass(frozen=True)
class Walked:
    """What there is so far; replaced as a whole, so that a stop never falls between two halves of a step.

    Attributes:
        full: Loss of every sentence, batch after batch, with all heads on; 0 where nothing is labelled.
        none: Likewise with none.
        labelled: Which sentences have a labelled word.
        n_batches: Batches in a round.
        sums: `[layers, heads]` of every (round, batch) in order.
        costs: Forward passes of the same.
        seconds: Wall-clock time.
    """

    full: NDArray[np.float64]
    none: NDArray[np.float64]
    labelled: NDArray[np.bool_]
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
        """Forward passes over all batches, the two for the ends included."""
        return 2 + sum(self.costs) / self.n_batches

    @property
    def n(self) -> int:
        """Sentences with a labelled word."""
        return int(self.labelled.sum())


@dataclass(frozen=True)
class Estimate:
    """What whole rounds say.

    Attributes:
        values: float64 `[layers, heads]`, NaN = head gone.
        low: Lower ends of the 95 % intervals, likewise.
        high: Upper ends, likewise.
        v_all: v with all heads on.
        v_none: v with none.
        epsilon: The smallest share of |v_all - v_none| for which the lowest heads are settled; None where that is 0 and they
            are not.
        settled: Whether that is at most 2 %, after enough rounds.
    """

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    v_all: float
    v_none: float
    epsilon: float | None
    settled: bool


def estimate_of(walked: Walked, present: HeadMask, *, seed: int, n_lowest: int) -> Estimate:
    """Values and intervals after at least two rounds, the last of them whole, and how the `n_lowest` lowest heads stand."""
    sums = np.stack(walked.sums).reshape(walked.rounds, walked.n_batches, *present.keep.shape)
    gone = np.where(present.keep, 0.0, np.nan)
    values = sums.mean(axis=0).sum(axis=0) / walked.n + gone
    low, high = (end / walked.n + gone for end in intervals(sums, seed=seed))
    v_all = -float(walked.full.sum()) / walked.n
    v_none = -float(walked.none.sum()) / walked.n
    margin, scale = unsettled_by(values, low, high, n_lowest), abs(v_all - v_none)
    epsilon = margin / scale if scale else None if margin else 0.0
    settled = walked.rounds >= _FEWEST_TO_SETTLE and epsilon is not None and epsilon <= _EPSILON
    return Estimate(values, low, high, v_all, v_none, epsilon, settled)


def intervals(sums: NDArray[np.float64], *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends `[layers, heads]` of the 95 % intervals of the mean over rounds of the sum over batches.

    The uncertainty is that of the random orders for these very sentences: how the values would vary over other sentences it does
    not say. Every batch has rounds of its own, so it is resampled by itself: R - 1 of its R rounds, drawn with replacement,
    whose mean has without further scaling the variance that the mean of R independent rounds is estimated to have. 1,000
    replicates, percentiles.

    Args:
        sums: `[rounds, batches, layers, heads]`, at least two rounds.
        seed: Of the resampling, together with the number of rounds.

    Source: Rao and Wu 1988, "Resampling inference with complex survey data".
    """
    rounds, n_batches, *shape = sums.shape
    # walks are seeded by (seed, round, batch), and no batch has this number
    generator = np.random.default_rng((seed, rounds, n_batches))
    drawn = np.zeros((_REPLICATES, math.prod(shape)))
    first = rounds * np.arange(_REPLICATES)[:, None]
    for batch in range(n_batches):
        picks = generator.integers(rounds, size=(_REPLICATES, rounds - 1))
        times = np.bincount((first + picks).ravel(), minlength=_REPLICATES * rounds).reshape(_REPLICATES, rounds)
        drawn += times @ sums[:, batch].reshape(rounds, -1)
    low, high = np.percentile(drawn / (rounds - 1), _TAILS, axis=0).reshape(2, *shape)
    return low, high


def unsettled_by(values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], n_lowest: int) -> float:
    """The smallest margin, 0 or more, with which the upper ends of the lowest heads lie below the lower ends of all others.

    Args:
        values: `[layers, heads]`; NaN = no such head; ties go by address.
        low: Lower ends, likewise.
        high: Upper ends, likewise.
        n_lowest: How many heads are meant, below the number of heads there are; 0 is settled from the start.
    """
    if n_lowest < 1:
        return 0.0
    order = np.argsort(values, axis=None, kind="stable")  # NaN comes last
    # not that of the next one up alone: a head further up may have a wider interval
    return max(0.0, float(high.flat[order[:n_lowest]].max() - np.nanmin(low.flat[order[n_lowest:]])))
