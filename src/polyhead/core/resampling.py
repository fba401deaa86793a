"""Draws with replacement, the one step of every bootstrap."""

import numpy as np
from numpy.typing import NDArray


def times_drawn(rng: np.random.Generator, n: int, *, draws: int, size: int) -> NDArray[np.float64]:
    """How often each of `n` items is in each of `draws` draws of `size` items with replacement, `[draws, n]`.

    >>> times_drawn(np.random.default_rng(0), 3, draws=2, size=5).sum(axis=1)
    array([5., 5.])
    """
    picks = rng.integers(0, n, size=(draws, size)) + n * np.arange(draws)[:, None]
    return np.bincount(picks.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)
