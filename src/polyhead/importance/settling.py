"""How many of the lowest heads could still change: which sentences to read first, and a bound that holds at every look."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
# Shares of all tokens read before each look. Few looks cost little confidence each; their ratio of 1.5 wastes few sentences.
LOOKS = tuple(3 / 32 * 1.5**i for i in range(6))
_STRATA = 8
_SENTENCES_PER_STRATUM = 100
_FEWEST_READ = 8  # of a stratum, before its variance means anything
_DRAWS = 10_000


@dataclass(frozen=True, eq=False)
class ReadingPlan:
    """Which sentences are read before which look; the last part, after the last look, is the rest.

    Attributes:
        strata: Stratum of every sentence, `[sentences]`; strata hold sentences of similar length.
        parts: Indices of the sentences read before each look, and of the rest.
    """

    strata: NDArray[np.int64]
    parts: tuple[NDArray[np.int64], ...]

    @property
    def n_looks(self) -> int:
        """Looks before everything is read."""
        return len(self.parts) - 1


def reading_plan(tokens: NDArray[np.int64], *, seed: int) -> ReadingPlan:
    """A random order of reading by seed, in strata of similar length, from each of which sentences are drawn at random.

    Short sentences are read first: the share of a stratum read before a look is inversely proportional to its mean length. A
    short sentence costs less, and its mean over few words varies more (Neyman 1934: the best share grows with the standard
    deviation, and falls with the square root of the cost).

    Args:
        tokens: Length of every sentence, `[sentences]`, 1 or more.
        seed: Random seed.
    """
    n_strata = int(np.clip(len(tokens) // _SENTENCES_PER_STRATUM, 1, _STRATA))
    members = np.array_split(np.argsort(tokens, kind="stable"), n_strata)
    strata = np.empty(len(tokens), dtype=np.int64)
    for number, own in enumerate(members):
        strata[own] = number
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(own) for own in members]
    sizes, costs = np.bincount(strata), np.array([tokens[own].mean() for own in members])
    ends = [np.zeros(n_strata, dtype=np.int64)]
    for share in LOOKS:
        wanted = _read_by(share, sizes, costs)
        if wanted.sum() > ends[-1].sum() and (wanted >= np.minimum(_FEWEST_READ, sizes)).all() and wanted.sum() < len(tokens):
            ends.append(np.maximum(wanted, ends[-1]))
    ends.append(sizes)
    parts = (
        np.concatenate([own[start:end] for own, start, end in zip(shuffled, before, after, strict=True)])
        for before, after in pairwise(ends)
    )
    return ReadingPlan(strata, tuple(np.sort(part) for part in parts))


def _read_by(share: float, sizes: NDArray[np.int64], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sentences of each stratum, as many as cost that share of all tokens; a share of a stratum is inverse to its cost."""
    budget, low, high = share * float(sizes @ costs), 0.0, float(costs.max())
    for _ in range(50):
        rate = (low + high) / 2
        low, high = (low, rate) if np.minimum(sizes, rate * sizes / costs) @ costs > budget else (rate, high)
    wanted: NDArray[np.int64] = np.minimum(sizes, low * sizes / costs).astype(np.int64)
    return wanted


def stratified_mean(values: NDArray[np.float64], strata: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimate of the mean over all sentences from those read, `[heads]`; the mean itself once all are read.

    Args:
        values: Scores of the sentences read, `[read, heads]`.
        strata: Their strata, `[read]`.
        sizes: Sentences of each stratum, read or not.
    """
    read = np.bincount(strata, minlength=len(sizes))
    if (read == sizes).all():
        return np.asarray(values.mean(axis=0))
    weights = (sizes / sizes.sum() / read)[strata]
    return np.asarray(weights @ values)


def most_that_differ(
    values: NDArray[np.float64],
    strata: NDArray[np.int64],
    sizes: NDArray[np.int64],
    *,
    n_lowest: int,
    near_tie: float,
    looks: int,
    seed: tuple[int, int],
) -> int:
    """Upper bound on how many of the lowest heads by these sentences are not among the lowest by all sentences.

    With probability 0.95 (asymptotically) the bound holds at all `looks` together, whichever of them reading stops at. Heads
    exchanged for a near tie do not count: one whose score differs by at most `near_tie` of the score at the border, the mean of
    the K-th and the K+1-th.

    The target is the mean over a finite text, so only unread sentences are uncertain: with n of N sentences of a stratum read,
    the variance of its mean is s²/n (1 - n/N). Differences between heads are paired by sentence: their covariance is the one
    over sentences. If b + 1 heads differ, then b + 1 heads of the set have a higher sum than b + 1 of the others; a sum of
    several is surer than each. So, for every b, means are drawn from N(estimate, covariance), and those are counted in which
    the b + 1 highest of the set have a higher sum than the b + 1 lowest of the others. The bound is the least b whose share is
    at most the level.

    The level of a look is (1 - 0.95) / (2 looks): a union bound over the few looks, halved because S was chosen by the same
    data. Nothing is paid for the number of heads: a wrong set passes only if it is separated from all others, the wrong way,
    which is rarer the more heads lie at the border. This is proven for the lowest-K set under any covariance (two-sided tests
    of pairs, Sood 2025) and was known for one head (Gutmann and Maymin 1987); for exchanges of several heads it rests on
    simulation in the tests. `benchmarks/ranking.py` counts how often the bound fails on real scores.

    The bound rests on the central limit theorem. A sentence that is not read and outweighs all that were cannot be foreseen by
    any bound without a known maximum (Bahadur and Savage 1956), and gate gradients have none. With a known maximum, the
    confidence sequences of Waudby-Smith and Ramdas 2020 hold for any n.

    Args:
        values: Scores of the sentences read, `[read, heads]`.
        strata: Their strata, `[read]`, eight or more of each, or all.
        sizes: Sentences of each stratum, read or not.
        n_lowest: K, less than the number of heads.
        near_tie: Share of the score at the border.
        looks: Looks that share the confidence.
        seed: Of the draws.

    Source: Sood 2025, "Powerful rank verification for multivariate Gaussian data with any covariance structure"; Gutmann and
    Maymin 1987, "Is the selected population the best?"; Waudby-Smith and Ramdas 2020, "Confidence sequences for sampling
    without replacement"; Neyman 1934, "On the two different aspects of the representative method".
    """
    mean = stratified_mean(values, strata, sizes)
    order = np.argsort(mean, kind="stable")
    lowest, others = order[:n_lowest], order[n_lowest:]
    draws = mean + _noise(values, strata, sizes, np.random.default_rng(seed))
    most = min(len(lowest), len(others))
    worst = np.cumsum(-np.sort(-draws[:, lowest], axis=1)[:, :most], axis=1)
    best = np.cumsum(np.sort(draws[:, others], axis=1)[:, :most], axis=1)
    tolerance = near_tie * np.abs(mean[order[n_lowest - 1 : n_lowest + 1]]).mean()
    chance = (1 + (worst - best > tolerance * np.arange(1, most + 1)).sum(axis=0)) / (1 + _DRAWS)
    settled = np.flatnonzero(chance <= (1 - CONFIDENCE) / (2 * looks))
    return int(settled[0]) if len(settled) else most


def _noise(
    values: NDArray[np.float64], strata: NDArray[np.int64], sizes: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draws of the error of the stratified mean, `[draws, heads]`."""
    parts = []
    for number, size in enumerate(sizes):
        own = values[strata == number]
        n = len(own)
        if 1 < n < size:
            parts.append((own - own.mean(axis=0)) * (size / sizes.sum()) * np.sqrt((1 - n / size) / (n * (n - 1))))
    if not parts:
        return np.zeros((_DRAWS, values.shape[1]))
    root = np.linalg.qr(np.concatenate(parts), mode="r")  # root' root is the covariance
    return np.asarray(generator.standard_normal((_DRAWS, len(root))) @ root)
