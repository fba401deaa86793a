"""The smallest plan on the way of a search that is good enough, by bisection."""

from collections.abc import Callable, Sequence

from polyhead.compression.plan_choice import PARTS, Part, Spread, next_plan
from polyhead.compression.plan_search import Goal, Round
from polyhead.core.neurons import Plan


def furthest(
    start: Plan,
    goals: Sequence[Goal],
    rounds: Sequence[Round],
    is_within: Callable[[Plan], bool],
    *,
    spread: Spread = "joint",
    parts: Sequence[Part] = PARTS,
    halvings: int = 3,
) -> Plan | None:
    """The smallest plan on the way of a search that `is_within` accepts, found by bisection; None if it refuses `start`.

    Bisects over the rounds first, then over budgets between the last round accepted and the next one, with that round's scores.
    Assumes that larger plans are accepted where smaller ones are. Costs about log2(rounds) + halvings + 1 calls.

    Args:
        start: What the search began with.
        goals: Those of the search.
        rounds: Those of the search, which `is_within` does not accept to the last.
        is_within: Whether a plan is good enough.
        spread: As in the search.
        parts: As in the search.
        halvings: Bisections between two rounds.
    """
    if not is_within(start):
        return None
    plans = [start, *(one.plan for one in rounds)]
    low, high = 0, len(rounds)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_within(plans[middle]) else (low, middle)
    best = plans[low]
    if low == len(rounds):
        return best
    costs, scores = goals[rounds[low].goal].costs, rounds[low].scores
    most, least = costs.of(best.counts), costs.of(rounds[low].plan.counts)
    for _ in range(halvings):
        middle_cost = (most + least) / 2
        plan = next_plan(plans[low], scores, costs, middle_cost, spread=spread, parts=parts)
        if is_within(plan):
            best, most = plan, middle_cost
        else:
            least = middle_cost
    return best
