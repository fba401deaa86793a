"""Unfinished shrinking: the rounds of a search as arrays for one file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polyhead.compression.plan_choice import Importance
from polyhead.compression.plan_search import Round
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan


def rounds_state(rounds: Sequence[Round]) -> dict[str, Any]:
    """The rounds as arrays and plain values, for `learning.resumable`; `rounds_of` reads them back."""
    return {
        "goals": [one.goal for one in rounds],
        "budgets": np.array([one.budget for one in rounds]),
        "heads": np.stack([one.plan.heads.keep for one in rounds]),
        "neurons": np.stack([one.plan.neurons.keep for one in rounds]),
        "head_scores": np.stack([one.scores.heads for one in rounds]),
        "neuron_scores": np.stack([one.scores.neurons for one in rounds]),
    }


def rounds_of(state: Mapping[str, Any] | None, *, group: int) -> tuple[Round, ...]:
    """The rounds of a stored state; none without one.

    Args:
        state: From `rounds_state`.
        group: Heads of the model that share a key.
    """
    if not state:
        return ()
    names = ("goals", "budgets", "heads", "neurons", "head_scores", "neuron_scores")
    return tuple(
        Round(int(goal), float(budget), Importance(*scores), Plan(HeadMask(heads, group), NeuronMask(neurons)))
        for goal, budget, heads, neurons, *scores in zip(*(state[name] for name in names), strict=True)
    )
