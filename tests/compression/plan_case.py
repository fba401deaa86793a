"""Plans of four small layers with made-up costs and scores."""

from collections.abc import Callable

import numpy as np

from polyhead.compression.plan_choice import Importance
from polyhead.compression.plan_costs import PlanCosts
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan

LAYERS, HEADS, NEURONS = 4, 4, 6
FULL = Plan(HeadMask.full(LAYERS, HEADS), NeuronMask.full(LAYERS, NEURONS))
COSTS = PlanCosts("ms", 2.0, np.array([0.0, 1.5, 2.0, 2.5, 3.0]), np.arange(NEURONS + 1) / 2)
TOTAL = COSTS.of(FULL.counts)


def drawn(seed: int = 0) -> Importance:
    draw = np.random.default_rng(seed)
    return Importance(draw.random((LAYERS, HEADS)), draw.random((LAYERS, NEURONS)) / 5)


def scorer(seed: int = 0) -> Callable[[Plan], Importance]:
    """Scores that grow as less is left, NaN for what is pruned."""
    return scorer_of(drawn(seed))


def scorer_of(own: Importance) -> Callable[[Plan], Importance]:
    """The same from given scores."""

    def score(plan: Plan) -> Importance:
        left = 1 + plan.heads.n_pruned / 10
        return Importance(
            np.where(plan.heads.keep, own.heads * left, np.nan), np.where(plan.neurons.keep, own.neurons * left, np.nan)
        )

    return score
