"""The way back from a plan that loses too much to the smallest one that does not."""

from compression.plan_case import COSTS, FULL, TOTAL, scorer

from polyhead.compression.plan_bisection import furthest
from polyhead.compression.plan_search import Goal, search_plan
from polyhead.core.neurons import Plan


def test_the_way_back_finds_the_smallest_plan_that_is_accepted() -> None:
    goals = [Goal("speed", COSTS, TOTAL / 3)]
    rounds = search_plan(FULL, goals, scorer(), rounds=5)
    asked: list[Plan] = []

    def is_within(plan: Plan) -> bool:
        asked.append(plan)
        return COSTS.of(plan.counts) >= TOTAL * 0.6

    found = furthest(FULL, goals, rounds, is_within, halvings=4)
    assert found is not None
    assert TOTAL * 0.6 <= COSTS.of(found.counts) <= TOTAL * 0.66
    assert len(asked) <= 1 + 3 + 4
    assert furthest(FULL, goals, rounds, lambda plan: False) is None
