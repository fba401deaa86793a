"""Whether gains follow how close two languages are: rank correlation within each source, over seeds and permuted languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from polyhead.core.errors import SettingError
from polyhead.selection.resampling import LEVEL, Interval
from polyhead.selection.statistics import SEEDS_FOR_INTERVAL, SEEDS_FOR_P

PERMUTATIONS: Final = 10_000
LEAST_TARGETS: Final = 3

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Closeness:
    """Spearman's ρ between gains and a measure of closeness.

    Attributes:
        rho: Mean over seeds.
        by_seed: Of each seed: mean over sources of ρ over that source's targets; 0 where gains or measures are all equal.
        interval: 95 % over seeds (Student's t); None below three seeds.
        p: Two-sided, with target languages permuted within each source; None below five seeds.
    """

    rho: float
    by_seed: tuple[float, ...]
    interval: Interval | None
    p: float | None


def closeness(
    gains: Sequence[ArrayLike], measures: Sequence[ArrayLike], *, seed: int = 0, permutations: int = PERMUTATIONS
) -> Closeness:
    """The correlation of gains with a measure, such as the distance of each target from the source.

    A permutation moves the whole languages of a source, in all seeds alike, so that what seeds share is not counted as evidence.

    Args:
        gains: Of each source `[seeds, targets]`, equal numbers of seeds; sources may have different targets.
        measures: Of each source `[targets]`, or `[seeds, targets]` where each seed has its own.
        seed: Random seed of the permutations.
        permutations: Their number.

    Raises:
        SettingError: No source with three or more targets, or shapes that do not match.

    >>> closeness([[[0.1, 0.5, 0.9, 0.7]] * 5], [[0.9, 0.5, 0.1, 0.3]]).rho
    -1.0
    """
    sources = [(np.atleast_2d(np.asarray(g, dtype=np.float64)), np.asarray(m, dtype=np.float64)) for g, m in
               zip(gains, measures, strict=True)]  # fmt: skip
    n_seeds = {own.shape[0] for own, _ in sources}
    fits = all(m.shape in (own.shape, own.shape[1:]) and own.shape[1] >= LEAST_TARGETS for own, m in sources)
    if len(n_seeds) != 1 or not fits:
        shapes = [(own.shape, m.shape) for own, m in sources]
        raise SettingError(
            f"gains and measures of shapes {shapes}: expected sources with equal seeds and three or more targets each"
        )
    units = [(_unit(own), _unit(np.broadcast_to(m, own.shape))) for own, m in sources]
    by_seed = np.mean([(a * b).sum(axis=1) for a, b in units], axis=0)
    rho, seeds = float(by_seed.mean()), len(by_seed)
    rng, permuted = np.random.default_rng(seed), np.zeros(permutations)
    for a, b in units:
        # [targets, targets]: what target i's gains have in common with target j's measure, mean over seeds
        shared = a.T @ b / seeds
        order = rng.permuted(np.tile(np.arange(len(shared)), (permutations, 1)), axis=1)
        permuted += shared[np.arange(len(shared)), order].sum(axis=1) / len(units)
    at_least = int((np.abs(permuted) >= abs(rho) - 1e-12).sum())
    interval = None
    if seeds >= SEEDS_FOR_INTERVAL:
        half = float(special.stdtrit(seeds - 1, (1 + LEVEL) / 2) * by_seed.std(ddof=1) / np.sqrt(seeds))
        interval = Interval(max(-1.0, rho - half), min(1.0, rho + half))
    p = (1 + at_least) / (1 + permutations) if seeds >= SEEDS_FOR_P else None
    return Closeness(round(rho, 12), tuple(by_seed.tolist()), interval, p)


def _unit(values: Array) -> Array:
    """Ranks along the last axis, centred and of length 1, so that products are Spearman's ρ; 0 where all are equal."""
    ranks = stats.rankdata(values, axis=-1)
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 0))
