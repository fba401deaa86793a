"""Searches on made-up scores and costs: rules, rounds, shared keys, resumption, and what no plan reaches."""

from itertools import pairwise

import numpy as np
import pytest
from compression.plan_case import COSTS, FULL, HEADS, LAYERS, NEURONS, TOTAL, scorer, scorer_of

from polyhead.compression.plan_choice import Importance, least_cost
from polyhead.compression.plan_costs import PlanCosts, linear_costs
from polyhead.compression.plan_search import RULES, Goal, Round, combined, search_plan
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan


def is_part_of(smaller: Plan, larger: Plan) -> bool:
    return bool((smaller.heads.keep <= larger.heads.keep).all() and (smaller.neurons.keep <= larger.neurons.keep).all())


def test_rounds_meet_the_budget_step_by_step() -> None:
    rounds = search_plan(FULL, [Goal("speed", COSTS, TOTAL / 2)], scorer(), rounds=4)
    assert [one.goal for one in rounds] == [0] * 4
    budgets = [TOTAL, *(one.budget for one in rounds)]
    assert budgets == sorted(budgets, reverse=True)
    assert budgets[-1] == TOTAL / 2
    plans = [FULL, *(one.plan for one in rounds)]
    for before, after in pairwise(plans):
        assert is_part_of(after, before)
    for one in rounds:
        assert one.budget - 1.0 < COSTS.of(one.plan.counts) <= one.budget  # as close as whole heads and neurons allow


def test_one_goal_after_another_and_none_that_is_met() -> None:
    sizes = linear_costs("bytes", 1000.0, FULL.counts, per_head=20, per_neuron=10, shape=(HEADS, NEURONS))
    assert sizes.of(FULL.counts) == 1000
    goals = [Goal("speed", COSTS, TOTAL * 0.7), Goal("size", sizes, 700.0)]
    rounds = search_plan(FULL, goals, scorer(), rounds=3)
    assert [one.goal for one in rounds] == [0, 0, 0, 1, 1, 1]
    assert sizes.of(rounds[-1].plan.counts) <= 700
    assert search_plan(FULL, [Goal("speed", COSTS, TOTAL)], scorer()) == ()


def test_an_interrupted_search_continues() -> None:
    goals = [Goal("speed", COSTS, TOTAL / 2), Goal("size", COSTS, TOTAL / 3)]
    kept: list[tuple[Round, ...]] = []
    whole = search_plan(FULL, goals, scorer(), rounds=3, ended=lambda found: kept.append(tuple(found)))
    assert [len(own) for own in kept] == [1, 2, 3, 4, 5, 6]
    for done in kept:
        again = search_plan(FULL, goals, scorer(), rounds=3, done=done)
        assert [one.plan for one in again] == [one.plan for one in whole]
        assert [one.budget for one in again] == pytest.approx([one.budget for one in whole])


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_meets_the_budget(rule: str) -> None:
    own = RULES[rule]
    rounds = search_plan(FULL, [Goal("speed", COSTS, TOTAL / 2)], scorer(), rounds=own.rounds or 3, spread=own.spread)
    heads, neurons = (np.array(own) for own in zip(*rounds[-1].plan.counts, strict=True))
    assert COSTS.of(rounds[-1].plan.counts) <= TOTAL / 2
    if own.spread == "even":
        assert len({*heads}) == len({*neurons}) == 1
    elif own.spread == "layers":
        assert {*heads} == {0, HEADS}
        assert (neurons == heads / HEADS * NEURONS).all()
        assert heads[0] == HEADS


def test_an_even_spread_keeps_the_same_share_of_heads_and_neurons_after_any_number_of_rounds() -> None:
    start = Plan(HeadMask.full(2, 12), NeuronMask.full(2, 1536))
    costs = PlanCosts("ms", 10.0, np.arange(13) / 4, np.arange(1537) / 256, step=64)
    goal = Goal("speed", costs, 0.5 * costs.of(start.counts))
    alike = scorer_of(Importance(np.ones((2, 12)), np.ones((2, 1536))))
    once, often = (search_plan(start, [goal], alike, rounds=rounds, spread="even")[-1].plan.counts for rounds in (1, 8))
    assert once == often
    heads, neurons = often[0]
    assert abs(heads / 12 - neurons / 1536) <= 1 / 12, "as alike as whole heads allow"


def test_heads_that_share_a_key_go_together() -> None:
    plan = Plan(HeadMask(np.ones((LAYERS, HEADS), dtype=np.bool_), group=2), FULL.neurons)
    rounds = search_plan(plan, [Goal("speed", COSTS, TOTAL / 2)], scorer(), rounds=3)
    found = rounds[-1].plan.heads
    assert found.group == 2
    assert found.n_pruned
    pairs = found.keep.reshape(LAYERS, 2, 2)
    assert (pairs[..., 0] == pairs[..., 1]).all()


@pytest.mark.parametrize(("parts", "kept"), [(("heads",), "neurons"), (("neurons",), "heads")])
def test_what_is_kept_stays_whole(parts: tuple, kept: str) -> None:
    rounds = search_plan(FULL, [Goal("speed", COSTS, TOTAL * 0.8)], scorer(), rounds=2, parts=parts)
    assert getattr(rounds[-1].plan, kept).n_pruned == 0
    assert COSTS.of(rounds[-1].plan.counts) <= TOTAL * 0.8


def test_a_goal_that_no_plan_reaches_is_refused_with_the_least() -> None:
    assert least_cost(FULL, COSTS, ("heads", "neurons")) == 2.0
    with pytest.raises(SettingError, match=r"speed: 1.9 ms asked for, but without all its heads and neurons the model has 2 ms"):
        search_plan(FULL, [Goal("speed", COSTS, 1.9)], scorer())
    bottom = search_plan(FULL, [Goal("speed", COSTS, 2.0)], scorer(), rounds=3)
    assert {*bottom[-1].plan.counts} == {(0, 0)}


def test_the_worst_language_decides_or_the_mean_does() -> None:
    one = Importance(np.array([[4.0, 0.0]]), np.array([[np.nan, 2.0]]))
    other = Importance(np.array([[0.0, 30.0]]), np.array([[np.nan, 0.0]]))
    worst, mean = (combined({"en": one, "de": other}, how) for how in ("worst", "mean"))
    assert worst.heads.tolist() == [[2.0, 3.0]]
    assert mean.heads.tolist() == [[1.0, 1.5]]
    assert np.isnan(worst.neurons[0, 0])
    assert worst.neurons[0, 1] == 1.0
