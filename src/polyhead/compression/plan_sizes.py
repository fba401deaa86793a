"""Sizes of layers to measure, and plans to predict: a grid of heads and neurons, what is commonly taken out, and random ones."""

from collections.abc import Sequence

import numpy as np

from polyhead.compression.latency_table import Counts, LatencyTable


def counts_between(n: int, *, step: int, most: int) -> tuple[int, ...]:
    """Counts from 0 to `n` to measure: 0, one step, and about `most` equal distances of whole steps up to `n`.

    >>> counts_between(12, step=1, most=16), counts_between(1536, step=64, most=4)
    ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), (0, 64, 384, 768, 1152, 1536))
    """
    stride = -(-n // (step * most)) * step
    return tuple(sorted({0, min(step, n), *range(0, n, stride), n}))


def points_to_measure(heads: Sequence[int], neurons: Sequence[int]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The reference model, about half the size of the whole one, and the other models to measure, as (heads, neurons).

    Every number of heads beside the reference's neurons, every number of neurons beside its heads, and the four models with all
    or none of each: few models, near to most plans.
    """
    middle = (_nearest(heads, heads[-1] / 2), _nearest(neurons, neurons[-1] / 2))
    star = [*((h, middle[1]) for h in heads), *((middle[0], n) for n in neurons)]
    corners = [(h, n) for h in (heads[-1], 0) for n in (neurons[-1], 0)]
    return middle, [point for point in dict.fromkeys((*corners, *star)) if point != middle]


def smaller_plans(table: LatencyTable) -> dict[str, Counts]:
    """What pruning can take out of all layers, by name: what is left is how fast it can make the model at most."""
    heads, neurons, layers = table.n_heads, table.n_neurons, table.n_layers
    return {
        "half of the heads": [(heads // 2, neurons)] * layers,
        "all heads": [(0, neurons)] * layers,
        "half of the neurons": [(heads, neurons // 2)] * layers,
        "all neurons": [(heads, 0)] * layers,
        "half of both": [(heads // 2, neurons // 2)] * layers,
        "half of the layers": [(heads, neurons)] * (layers - layers // 2) + [(0, 0)] * (layers // 2),
        "all heads and neurons": [(0, 0)] * layers,
    }


def random_counts(table: LatencyTable, n: int, *, seed: int, heads: Sequence[int], neurons: Sequence[int]) -> list[Counts]:
    """Random plans of all sizes, each with uneven layers.

    Args:
        table: Of the model.
        n: Number of plans.
        seed: Random seed.
        heads, neurons: The counts that a layer may have, ascending.
    """
    random = np.random.default_rng(seed)

    def drawn(allowed: Sequence[int]) -> list[int]:
        # around a share of its own for each plan, else all plans would be half the model
        shares = np.clip(random.uniform(0.1, 0.9) + random.uniform(-0.5, 0.5, table.n_layers), 0, 1)
        return [allowed[round(share * (len(allowed) - 1))] for share in shares]

    return [list(zip(drawn(heads), drawn(neurons), strict=True)) for _ in range(n)]


def _nearest(counts: Sequence[int], value: float) -> int:
    return min(counts, key=lambda count: abs(count - value))
