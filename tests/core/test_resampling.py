"""Draws with replacement."""

import numpy as np
import pytest

from polyhead.core.resampling import times_drawn


@pytest.mark.parametrize(("n", "size"), [(3, 3), (4, 3), (1, 2)])
def test_every_item_is_as_likely(n: int, size: int) -> None:
    times = times_drawn(np.random.default_rng(0), n, draws=4000, size=size)
    assert times.shape == (4000, n)
    np.testing.assert_array_equal(times.sum(axis=1), size)
    assert times.mean(axis=0) == pytest.approx([size / n] * n, rel=0.05)
    assert times.var(axis=0) == pytest.approx([size / n * (1 - 1 / n)] * n, rel=0.1)
