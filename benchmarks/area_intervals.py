"""Areas under pruning curves over fine-tunings and languages: means over fine-tunings with intervals.

Intervals are those of `polyhead.selection.statistics.mean_over_seeds`: other fine-tunings, other sentences. They need three
fine-tunings on which all languages of a group were measured. The random orders of a fine-tuning are averaged; they differ between
fine-tunings, so the variance over fine-tunings includes theirs. One resample of sentences serves all orders and fine-tunings of a
language, so areas of two orders can be subtracted draw by draw.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from fine_tuned import SENTENCES
from numpy.typing import NDArray
from treebanks import POS, TREEBANKS

from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.curves import area
from polyhead.selection.resampling import redrawn
from polyhead.selection.statistics import SeedMean, mean_over_seeds

ACCURACY = partial(metric_from_counts, POS)
Counts = NDArray[np.int64]  # [K + 1, sentences, columns]
Areas = Mapping[str, Mapping[int, NDArray[np.float64]]]  # by language and fine-tuning [1 + draws]: as measured, then resampled


def areas_of(curves: Mapping[str, Mapping[int, Sequence[Counts]]]) -> Areas:
    """Areas, measured and resampled, from each language's counts by fine-tuning; several curves of one are averaged."""
    return {
        language: {seed: np.mean([_areas(counts, language) for counts in own], axis=0) for seed, own in by_seed.items()}
        for language, by_seed in curves.items()
    }


def minus(one: Areas, other: Areas) -> Areas:
    """Differences, paired by language, fine-tuning and draw."""
    return {language: {seed: own - other[language][seed] for seed, own in by_seed.items()} for language, by_seed in one.items()}


def summary(areas: Areas, group: Sequence[str]) -> dict[str, float | int | None]:
    """The mean over a group of languages, its interval and the smallest detectable difference."""
    value = float(np.mean([np.mean([own[0] for own in areas[language].values()]) for language in group]))
    seeds = {tuple(sorted(areas[language])) for language in group}
    found = over_seeds(areas, group, min(seeds)) if len(seeds) == 1 else None
    interval = None if found is None else found.interval
    return {
        "value": round(value, 4),
        "low": None if interval is None else round(interval.low, 4),
        "high": None if interval is None else round(interval.high, 4),
        "detectable": None if found is None or found.detectable is None else round(found.detectable, 4),
    }


def over_seeds(areas: Areas, group: Sequence[str], seeds: Sequence[int]) -> SeedMean:
    """The mean over languages per fine-tuning, and the mean of these."""
    by_seed = np.mean([[areas[language][seed] for seed in seeds] for language in group], axis=0)
    return mean_over_seeds(by_seed[:, 0], by_seed[:, 1:].T, n_sentences=SENTENCES)


def _areas(counts: Counts, language: str) -> NDArray[np.float64]:
    """As measured, then resampled; the draws depend only on the language."""
    drawn = redrawn(counts, ACCURACY, seed=(0, list(TREEBANKS).index(language)))
    return area(np.concatenate([ACCURACY(counts.sum(axis=1))[None], drawn]))
