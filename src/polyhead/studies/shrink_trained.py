"""Shrinking a model that was trained under nested plans: it takes one of them, without a search and without repair."""

from collections.abc import Sequence

import numpy as np

from polyhead.compression.plan_choice import PARTS, Importance, OutOfReachError
from polyhead.compression.plan_search import Goal, Round
from polyhead.core.neurons import Plan
from polyhead.studies.shrink_work import ShrinkWork


def trained_plans(work: ShrinkWork) -> tuple[Plan, ...] | None:
    """What the plans of its training leave of the model, from the largest to the smallest; None where a search has to decide.

    It has to for a model without such training, where heads or neurons stay (`keep`), and under the rules of baselines.
    """
    spec, own = work.spec, work.tagger.plans
    if own is None or spec.parts != PARTS or spec.rule != "joint":
        return None
    return own.smaller_than(work.start)


def trained_rounds(work: ShrinkWork, plans: Sequence[Plan]) -> tuple[Round, ...]:
    """The plans down to the first that meets all goals, as rounds of a search have them.

    Raises:
        OutOfReachError: The smallest does not meet a goal.
    """
    found: list[Round] = []
    plan, left = work.start, list(plans)
    for number, goal in enumerate(work.goals):
        while goal.costs.of(plan.counts) > goal.budget * (1 + 1e-9):
            if not left:
                raise OutOfReachError(_out_of_reach(work, goal, plan))
            plan = left.pop(0)
            found.append(_round(number, goal, plan))
    return tuple(found)


def next_trained(work: ShrinkWork, plans: Sequence[Plan], plan: Plan, goal: Goal) -> tuple[Round, ...]:
    """The first smaller plan within the goal, else the smallest; none if there is no smaller one."""
    now = goal.costs.of(plan.counts)
    smaller = [own for own in plans if goal.costs.of(own.counts) < now]
    within = [own for own in smaller if goal.costs.of(own.counts) <= goal.budget]
    return tuple(_round(0, goal, own) for own in (within[:1] or smaller[-1:]))


def _round(number: int, goal: Goal, plan: Plan) -> Round:
    nothing = Importance(np.zeros(plan.heads.shape), np.zeros(plan.neurons.shape))
    return Round(number, goal.costs.of(plan.counts), nothing, plan)


def _out_of_reach(work: ShrinkWork, goal: Goal, plan: Plan) -> str:
    spec, cost = work.spec, goal.costs.of(plan.counts)
    smallest = "the smallest plan that this model was trained under"
    shape = f"(batch {spec.batch}, length {spec.length})"
    if goal.costs.unit == "bytes":
        return f"size = {spec.size}: {smallest} has {cost / 1e6:.2f} MB; ask for more, or fine-tune for a smaller one"
    if spec.speedup is None:
        return f"latency = {spec.latency}: {smallest} takes {cost:.3g} ms {shape}; ask for more, or fine-tune for a faster one"
    reached = goal.costs.of(work.start.counts) / cost
    step = f"ask for less, or fine-tune with --elastic --speedup {spec.speedup:g}"
    return f"speedup = {spec.speedup:g}: {smallest} is {reached:.3g} times as fast {shape}; {step}"
