"""Resampled sentences: a corpus metric over them, and the interval for one model on other sentences."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyhead.core.resampling import times_drawn

Array = NDArray[np.float64]
CorpusMetric = Callable[[Array], Array]
"""Counts `[..., columns]` summed over sentences → the corpus metric `[...]`, for example a partial `metric_from_counts`."""

DRAWS: Final = 1000
LEVEL: Final = 0.95

# numbers in a block of weights; a million is small next to any model
_BLOCK = 1_000_000

# numbers in the weights of resamples that are kept for other models on the same sentences
_KEPT = 4_000_000

# sums of whole numbers below this are exact in float32, whose products take half the time
_EXACT = 2**24


@dataclass(frozen=True)
class Interval:
    """A 95 % interval (`LEVEL`)."""

    low: float
    high: float


def redrawn(counts: ArrayLike, metric: CorpusMetric, *, seed: int | Sequence[int], draws: int = DRAWS) -> Array:
    """The corpus metric over resampled sentences, `[draws, ...]`, from counts `[..., sentences, columns]`.

    One resample serves all leading axes, so differences along them are paired. It depends only on `seed` and the number of
    sentences, so two calls on the same sentences are paired too.
    """
    array = np.asarray(counts)
    *outer, n_sentences, n_columns = array.shape
    flat, place = _distinct_columns(np.moveaxis(array, -2, 0).reshape(n_sentences, -1))
    blocks = _resamples(n_sentences, seed if isinstance(seed, int) else tuple(seed), draws)
    sums = ((weights.astype(flat.dtype, copy=False) @ flat).astype(np.float64)[:, place] for weights in blocks)
    return np.concatenate([metric(own.reshape(-1, *outer, n_columns)) for own in sums])


def _distinct_columns(flat: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Each different column once, and the place of every column among them: models share their numbers of words or spans."""
    columns = np.ascontiguousarray(flat.T)
    places: dict[bytes, int] = {}
    place = [places.setdefault(column.tobytes(), len(places)) for column in columns]
    firsts = [place.index(number) for number in range(len(places))]
    whole = flat.dtype.kind in "iu" and int(abs(columns).max(initial=0)) * len(flat) < _EXACT
    return np.ascontiguousarray(columns[firsts].T, dtype=np.float32 if whole else np.float64), np.array(place, dtype=np.intp)


def _resamples(n: int, seed: int | tuple[int, ...], draws: int) -> Iterable[NDArray[Any]]:
    """How often each of n sentences is in each draw with replacement: blocks of `[draws, n]`, `draws` rows in total."""
    return _kept_resamples(n, seed, draws) if n * draws <= _KEPT else _drawn_resamples(n, seed, draws)


@lru_cache(maxsize=32)
def _kept_resamples(n: int, seed: int | tuple[int, ...], draws: int) -> tuple[NDArray[np.float32], ...]:
    return tuple(weights.astype(np.float32) for weights in _drawn_resamples(n, seed, draws))


def _drawn_resamples(n: int, seed: int | tuple[int, ...], draws: int) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // n)
    for start in range(0, draws, block):
        yield times_drawn(rng, n, draws=min(block, draws - start), size=n)


def percentile_interval(drawn: ArrayLike) -> Interval:
    """The 95 % percentile interval of one model's metric over other sentences, from resampled values."""
    low, high = np.quantile(np.asarray(drawn, dtype=np.float64), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
