"""Seeded subsets of a corpus: a held-out dev set, a sample."""

import random
from dataclasses import replace
from numbers import Integral

import numpy as np

from polyhead.core.arguments import require
from polyhead.core.errors import SettingError
from polyhead.core.values import counted
from polyhead.data.sentences import Dataset


def holdout(dataset: Dataset, *, seed: int, share: float = 0.1) -> tuple[Dataset, Dataset]:
    """(train, dev): dev is a seeded `share` of the sentences, at least one; both keep file order, name and hash.

    Raises:
        SettingError: `share` is not between 0 and 1, or there are fewer than two sentences.

    >>> from polyhead.data.sentences import Sentence
    >>> data = Dataset("x", "en", "train", tuple(Sentence((w,), ("NOUN",), "en", f"x:{w}") for w in "abcdefghij"))
    >>> train, dev = holdout(data, seed=42)
    >>> len(train.sentences), len(dev.sentences), dev.split
    (9, 1, 'dev')
    """
    n = len(dataset.sentences)
    if not 0 < share < 1:
        raise SettingError(f"share {share}: expected a number between 0 and 1")
    if n < 2:
        raise SettingError(f"{dataset.name}: {counted(n, 'sentence')}; at least 2 are needed to hold out a dev set")
    n_dev = min(n - 1, max(1, round(n * share)))
    chosen = frozenset(random.Random(seed).sample(range(n), n_dev))
    train, dev = (tuple(one for i, one in enumerate(dataset) if (i in chosen) == is_dev) for is_dev in (False, True))
    return replace(dataset, split="train", sentences=train), replace(dataset, split="dev", sentences=dev)


def sample(dataset: Dataset, n: int | None, *, seed: int) -> Dataset:
    """`n` randomly drawn sentences in file order; the whole dataset if it has no more, or for None.

    >>> from polyhead.data.sentences import Sentence
    >>> data = Dataset("x", "en", "dev", tuple(Sentence((w,), (None,), "en", f"x:{w}") for w in "abc"))
    >>> len(sample(data, 2, seed=1).sentences), sample(data, 5, seed=1) is data
    (2, True)
    """
    require(dataset=(dataset, Dataset), seed=(seed, Integral))
    total = len(dataset.sentences)
    if n is None:
        return dataset
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise SettingError(f"sample of {n!r} sentences: expected a whole number, 1 or more")
    if n >= total:
        return dataset
    return replace(dataset, sentences=tuple(dataset.sentences[i] for i in sampled(total, n, seed=seed)))


def sampled(total: int, n: int | None, *, seed: int) -> list[int]:
    """The places, in rising order, of the sentences that `sample` draws from so many."""
    if n is None or n >= total:
        return list(range(total))
    return sorted(np.random.default_rng(seed).choice(total, size=n, replace=False).tolist())


def halves(total: int, *, seed: int) -> tuple[list[int], list[int]]:
    """The places of so many sentences in two seeded random halves, each in rising order; the first is longer by at most one.

    Raises:
        SettingError: Fewer than two sentences.

    >>> halves(5, seed=1)
    ([1, 3, 4], [0, 2])
    """
    if total < 2:
        raise SettingError(f"{counted(total, 'sentence')}: at least 2 are needed to rank on one half and judge on the other")
    order = np.random.default_rng(seed).permutation(total).tolist()
    return sorted(order[::2]), sorted(order[1::2])


def first_tenths(dataset: Dataset, tenths: int, *, seed: int) -> Dataset:
    """The first `tenths` of ten disjoint parts into which a seed splits the sentences, in file order; each is part of the next.

    Source: Ma et al. 2021, low-resource setting.

    Raises:
        SettingError: `tenths` is not in 1..10, or no sentence is left.

    >>> from polyhead.data.sentences import Sentence
    >>> data = Dataset("x", "en", "train", tuple(Sentence((w,), (None,), "en", f"x:{w}") for w in "abcdefghijklmnopqrst"))
    >>> len(first_tenths(data, 3, seed=42).sentences)
    6
    """
    if tenths not in range(1, 11):
        raise SettingError(f"tenths = {tenths!r}: expected a whole number from 1 to 10")
    order = np.random.default_rng(seed).permutation(len(dataset))
    chosen = sorted(order[: len(dataset) * tenths // 10].tolist())
    if not chosen:
        raise SettingError(f"{dataset.name}: {counted(len(dataset), 'sentence')}; at least 10 are needed to train on tenths")
    return replace(dataset, sentences=tuple(dataset.sentences[i] for i in chosen))
