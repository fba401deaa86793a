"""Areas under pruning curves of several fine-tunings on several languages, with intervals that can be paired.

Intervals are 95 % bootstrap intervals over fine-tunings (where there are several) and, inside, over sentences; of random orders
also over the orders. One draw of sentences serves all orders and fine-tunings of a language, so areas of two orders may be
subtracted draw by draw.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from fine_tuned import POS, TREEBANKS
from numpy.typing import NDArray

from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.curves import area
from polyhead.selection.statistics import percentile_interval

DRAWS = 1000
Counts = NDArray[np.int64]  # [K + 1, sentences, columns]
Areas = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]  # by language: [seeds], [draws, seeds]


def areas_of(curves: Mapping[str, Sequence[Sequence[Counts]]]) -> Areas:
    """Areas as measured and redrawn, from the counts of each language's fine-tunings; several curves of one are averaged."""
    return {
        language: (
            np.array([np.mean([_own(counts) for counts in own]) for own in by_seed]),
            np.stack([_mean_order(own, language, place) for place, own in enumerate(by_seed)], axis=1),
        )
        for language, by_seed in curves.items()
    }


def minus(one: Areas, other: Areas) -> Areas:
    """Differences, paired by language, fine-tuning and draw."""
    return {name: (one[name][0] - other[name][0], one[name][1] - other[name][1]) for name in one}


def summary(areas: Areas, group: Sequence[str]) -> dict[str, float]:
    """The mean over a group of languages with its interval."""
    interval = percentile_interval(_pooled(areas, group))
    value = float(np.mean([areas[language][0].mean() for language in group]))
    return {"value": round(value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}


def _own(counts: Counts) -> float:
    return float(area(metric_from_counts(POS, counts.sum(axis=1))))


def _drawn(counts: Counts, language: str) -> NDArray[np.float64]:
    """Areas `[draws]`; the draw depends on the language alone."""
    n = counts.shape[1]
    random = np.random.default_rng((0, list(TREEBANKS).index(language)))
    weights = random.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)
    return area(metric_from_counts(POS, weights @ counts.astype(np.float64)).T)


def _mean_order(curves: Sequence[Counts], language: str, place: int) -> NDArray[np.float64]:
    """Means over the orders of one fine-tuning `[draws]`, the orders drawn anew: once for all languages, which share them."""
    n = len(curves)
    weights = np.random.default_rng((2, place, n)).multinomial(n, np.full(n, 1 / n), size=DRAWS) / n
    areas: NDArray[np.float64] = (np.stack([_drawn(counts, language) for counts in curves], axis=1) * weights).sum(axis=1)
    return areas


def _pooled(areas: Areas, group: Sequence[str]) -> NDArray[np.float64]:
    """Means over languages `[draws]`; fine-tunings are drawn once for all languages, as these have them in common."""
    means = []
    for size in {areas[language][1].shape[1] for language in group}:
        weights = np.random.default_rng((1, size)).multinomial(size, np.full(size, 1 / size), size=DRAWS) / size
        means += [(areas[name][1] * weights).sum(axis=1) for name in group if areas[name][1].shape[1] == size]
    return np.mean(means, axis=0)
