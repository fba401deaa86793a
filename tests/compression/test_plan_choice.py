"""Smaller plans within a budget, on made-up scores and costs: whole layers, whole steps of neurons, scores that are missing."""

from dataclasses import replace

import numpy as np
import pytest
from compression.plan_case import COSTS, FULL, HEADS, LAYERS, NEURONS, TOTAL, drawn

from polyhead.compression.plan_choice import Importance, next_plan
from polyhead.compression.plan_costs import PlanCosts
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan


def test_half_of_twelve_layers_are_those_of_distilbert() -> None:
    plan = Plan(HeadMask.full(12, 2), NeuronMask.full(12, 2))
    costs = PlanCosts("ms", 0.0, np.arange(3.0), np.arange(3.0))
    zeros = Importance(np.zeros((12, 2)), np.zeros((12, 2)))
    half = next_plan(plan, zeros, costs, 24.0, spread="layers")
    assert [i for i, (heads, _) in enumerate(half.counts) if heads] == [0, 2, 4, 7, 9, 11]


def test_joint_loses_less_than_even() -> None:
    scores = drawn(3)

    def lost(plan: Plan) -> float:
        return float(scores.heads[~plan.heads.keep].sum() + scores.neurons[~plan.neurons.keep].sum())

    joint, even = (next_plan(FULL, scores, COSTS, TOTAL / 2, spread=spread) for spread in ("joint", "even"))
    assert lost(joint) < lost(even)


def test_neurons_are_kept_in_whole_steps() -> None:
    costs = replace(COSTS, step=4)
    plan = next_plan(FULL, drawn(), costs, TOTAL * 0.8, parts=("neurons",))
    assert {*plan.neurons.counts} <= {0, 4, NEURONS}
    again = next_plan(plan, drawn(), costs, TOTAL * 0.7, parts=("neurons",))
    assert {*again.neurons.counts} <= {0, 4, NEURONS}


def test_a_plan_without_scores_is_refused() -> None:
    scores = drawn()
    holed = Importance(np.where(np.eye(LAYERS, HEADS, dtype=bool), np.nan, scores.heads), scores.neurons)
    with pytest.raises(SettingError, match="no score for heads 0 of layer 0"):
        next_plan(FULL, holed, COSTS, TOTAL / 2)
