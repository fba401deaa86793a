"""The search for a plan that meets a budget: rounds that choose, prune and score again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from polyhead.compression.plan_choice import PARTS, Importance, OutOfReachError, Part, Spread, least_cost, next_plan
from polyhead.compression.plan_costs import PlanCosts
from polyhead.core.neurons import Plan

Protect = Literal["worst", "mean"]
ROUNDS: Final = 8


Scorer = Callable[[Plan], Importance]
"""Scores what a plan keeps, in the model that is pruned to it."""


@dataclass(frozen=True)
class Rule:
    """A way of choosing a plan.

    Attributes:
        method: Importance method that scores heads and neurons.
        spread: `joint` takes what loses least importance, wherever it is; `even` the same share of every layer's heads and
            neurons; `layers` whole layers at even distances.
        rounds: Rounds of scoring and pruning; None for the number asked for.
        protect: How the scores of several languages are combined; None as asked for.
    """

    method: str
    spread: Spread
    rounds: int | None = None
    protect: Protect | None = None


RULES: Final[dict[str, Rule]] = {
    "joint": Rule("fisher", "joint"),
    # baselines
    "uniform": Rule("fisher", "even"),
    "magnitude": Rule("magnitude", "joint", rounds=1),
    "one-shot": Rule("gradient", "even", rounds=1, protect="mean"),  # TextPruner's procedure
    "random": Rule("random", "even", rounds=1),
    "half-layers": Rule("random", "layers", rounds=1),  # which layers DistilBERT keeps
}


@dataclass(frozen=True, eq=False)
class Goal:
    """A budget to meet.

    Attributes:
        name: What it is called in messages, such as `speed`.
        costs: What plans cost.
        budget: Largest cost, in the unit of the costs.
    """

    name: str
    costs: PlanCosts
    budget: float


@dataclass(frozen=True, eq=False)
class Round:
    """One step towards a goal.

    Attributes:
        goal: Its number among the goals.
        budget: What this step had to meet.
        scores: Of what the plan before it kept.
        plan: What it keeps.
    """

    goal: int
    budget: float
    scores: Importance
    plan: Plan


def combined(by_language: Mapping[str, Importance], protect: Protect) -> Importance:
    """One importance from those of several languages, each divided by its own mean over heads and neurons.

    Args:
        by_language: Scores of the same model.
        protect: `worst` takes the largest in any language, so that what one language needs stays; `mean` the mean.

    >>> one, other = Importance(np.array([[1.0, 3.0]]), np.array([[2.0]])), Importance(np.array([[4.0, 2.0]]), np.array([[0.0]]))
    >>> combined({"en": one, "de": other}, "worst").heads.tolist()
    [[2.0, 1.5]]
    """
    scaled = [_relative(own) for own in by_language.values()]
    heads, neurons = (np.stack([getattr(own, part) for own in scaled]) for part in PARTS)
    return Importance(*(own.max(axis=0) if protect == "worst" else own.mean(axis=0) for own in (heads, neurons)))


def _relative(own: Importance) -> Importance:
    every = np.concatenate([own.heads.ravel(), own.neurons.ravel()])
    present = every[~np.isnan(every)]
    mean = float(present.mean()) if present.size else 0.0
    return Importance(own.heads / mean, own.neurons / mean) if mean else own


def search_plan(
    start: Plan,
    goals: Sequence[Goal],
    score: Scorer,
    *,
    spread: Spread = "joint",
    rounds: int = ROUNDS,
    parts: Sequence[Part] = PARTS,
    done: Sequence[Round] = (),
    ended: Callable[[Sequence[Round]], None] | None = None,
) -> tuple[Round, ...]:
    """The rounds that lead from a plan to one that meets all goals, one goal after the other.

    Each round scores what the plan so far keeps and chooses the next plan within a budget. Budgets fall by the same factor from
    round to round, above what cannot be pruned. A goal that is met already takes no round.

    Args:
        start: What the model keeps now; heads that share keys are pruned together.
        goals: What to meet.
        score: Scores what a plan keeps.
        spread: How to choose among what it scored; see `Rule`.
        rounds: Rounds per goal.
        parts: What may be pruned.
        done: Rounds of an earlier, interrupted call with the same arguments.
        ended: Called with all rounds so far after each.

    Raises:
        OutOfReachError: No plan meets a goal; the message names what the smallest plan costs.
    """
    for goal in goals:
        check_reachable(start, goal, parts)
    found, plan = list(done), start
    for number, goal in enumerate(goals):
        own = [one for one in found if one.goal == number]
        budgets = _budgets(plan, goal, rounds, parts)
        if own:
            plan = own[-1].plan
        for budget in budgets[len(own) :]:
            scores = score(plan)
            plan = next_plan(plan, scores, goal.costs, budget, spread=spread, parts=parts)
            found.append(Round(number, budget, scores, plan))
            if ended is not None:
                ended(found)
    return tuple(found)


def check_reachable(start: Plan, goal: Goal, parts: Sequence[Part]) -> None:
    """Return if some plan meets the goal.

    Raises:
        OutOfReachError: None does.
    """
    if (least := least_cost(start, goal.costs, parts)) > goal.budget:
        unit = goal.costs.unit
        wanted, possible = (
            f"{value / 1e6:.2f} MB" if unit == "bytes" else f"{value:.3g} {unit}" for value in (goal.budget, least)
        )
        raise OutOfReachError(
            f"{goal.name}: {wanted} asked for, but without all its {' and '.join(parts)} the model has {possible}"
        )


def _budgets(plan: Plan, goal: Goal, rounds: int, parts: Sequence[Part]) -> list[float]:
    now, least = goal.costs.of(plan.counts), least_cost(plan, goal.costs, parts)
    if now <= goal.budget:
        return []
    # a goal at the very bottom would make the factor zero
    base = min(least, goal.budget - 1e-3 * (now - goal.budget))
    factor = (goal.budget - base) / (now - base)
    return [*(base + (now - base) * factor ** (step / rounds) for step in range(1, rounds)), goal.budget]
