"""What a plan costs, as a sum over layers: milliseconds of a forward pass, or bytes of the saved checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyhead.compression.latency_table import LatencyTable

Counts = Sequence[tuple[int, int]]
"""Kept heads and kept neurons of every layer."""


@dataclass(frozen=True, eq=False)
class PlanCosts:
    """What a model costs by the heads and neurons of its layers, which are alike.

    Attributes:
        unit: Of the numbers: `ms` or `bytes`.
        fixed: What does not depend on the plan, such as embeddings, norms and the tokenizer.
        heads: Cost of one layer's attention by its number of heads, `[heads + 1]`.
        neurons: Cost of one layer's feed-forward block by its number of neurons, `[neurons + 1]`.
        step: Plans keep multiples of so many neurons in a layer, or all that it has.
    """

    unit: str
    fixed: float
    heads: NDArray[np.float64]
    neurons: NDArray[np.float64]
    step: int = 1

    def of(self, counts: Counts) -> float:
        """The cost of a plan with these counts.

        >>> PlanCosts("ms", 1.0, np.array([0.0, 2.0]), np.array([0.0, 0.5, 0.8])).of([(1, 2), (0, 1)])
        4.3
        """
        return float(self.fixed + sum(self.heads[heads] + self.neurons[neurons] for heads, neurons in counts))


def linear_costs(
    unit: str, total: float, counts: Counts, *, per_head: float, per_neuron: float, shape: tuple[int, int]
) -> PlanCosts:
    """Costs that grow by the same for every head and every neuron.

    Args:
        unit: Of the numbers.
        total: Cost of the model as it is.
        counts: Its heads and neurons by layer.
        per_head: Cost of one head.
        per_neuron: Cost of one neuron.
        shape: Heads and neurons per layer of the unpruned model.
    """
    n_heads, n_neurons = (sum(own) for own in zip(*counts, strict=True))
    fixed = total - per_head * n_heads - per_neuron * n_neurons
    heads, neurons = per_head * np.arange(shape[0] + 1.0), per_neuron * np.arange(shape[1] + 1.0)
    # vector units and caches like whole multiples, also where only bytes are asked for
    return PlanCosts(unit, fixed, heads, neurons, step=64 if shape[1] >= 512 else max(1, shape[1] // 8))


def time_costs(table: LatencyTable) -> PlanCosts:
    """Milliseconds by heads and neurons, from a latency table.

    The step is the smallest number of neurons that was measured: fewer than that take longer than interpolation says.
    """
    return PlanCosts(
        "ms",
        table.fixed,
        np.array([table.attention_ms(heads) for heads in range(table.n_heads + 1)]),
        np.array([table.feed_forward_ms(neurons) for neurons in range(table.n_neurons + 1)]),
        step=table.feed_forward[1][0],
    )
