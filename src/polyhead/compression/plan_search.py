"""From scores of heads and neurons to a plan that meets a budget: rounds that choose, prune and score again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from polyhead.compression.budget import Block, Choice, even_share, least_lost
from polyhead.compression.plan_costs import PlanCosts
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan

Part = Literal["heads", "neurons"]
Protect = Literal["worst", "mean"]
Spread = Literal["joint", "even", "layers"]
PARTS: Final[tuple[Part, ...]] = ("heads", "neurons")
ROUNDS: Final = 8


@dataclass(frozen=True, eq=False)
class Importance:
    """How much heads and neurons matter, in one unit; NaN for those that are pruned.

    Attributes:
        heads: float64 `[layers, heads]`.
        neurons: float64 `[layers, neurons]`.
    """

    heads: NDArray[np.float64]
    neurons: NDArray[np.float64]


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
        SettingError: No plan meets a goal; the message names what the smallest plan costs.
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
        SettingError: None does.
    """
    if (least := least_cost(start, goal.costs, parts)) > goal.budget:
        unit = goal.costs.unit
        wanted, possible = (
            f"{value / 1e6:.2f} MB" if unit == "bytes" else f"{value:.3g} {unit}" for value in (goal.budget, least)
        )
        raise SettingError(f"{goal.name}: {wanted} asked for, but without all its {' and '.join(parts)} the model has {possible}")


def least_cost(start: Plan, costs: PlanCosts, parts: Sequence[Part]) -> float:
    """The cost of the cheapest plan: layers may lose everything that may be pruned."""
    return costs.fixed + sum(float(side.block.cost.min()) for side in _sides(start, _nothing(start), costs, parts))


def _nothing(plan: Plan) -> Importance:
    return Importance(np.zeros(plan.heads.shape), np.zeros(plan.neurons.shape))


def _budgets(plan: Plan, goal: Goal, rounds: int, parts: Sequence[Part]) -> list[float]:
    now, least = goal.costs.of(plan.counts), least_cost(plan, goal.costs, parts)
    if now <= goal.budget:
        return []
    # a goal at the very bottom would make the factor zero
    base = min(least, goal.budget - 1e-3 * (now - goal.budget))
    factor = (goal.budget - base) / (now - base)
    return [*(base + (now - base) * factor ** (step / rounds) for step in range(1, rounds)), goal.budget]


def next_plan(
    plan: Plan,
    scores: Importance,
    costs: PlanCosts,
    budget: float,
    *,
    spread: Spread = "joint",
    parts: Sequence[Part] = PARTS,
) -> Plan:
    """A smaller plan within the budget, chosen by one set of scores.

    Raises:
        SettingError: No plan is within it.
    """
    sides = _sides(plan, scores, costs, parts)
    chosen = _SPREADS[spread]([side.block for side in sides], budget - costs.fixed, plan.heads.n_layers)
    if chosen is None:
        raise SettingError(f"{budget:.4g} {costs.unit}: no plan of {' and '.join(parts)} is within it")
    keep = {"heads": plan.heads.keep.copy(), "neurons": plan.neurons.keep.copy()}
    for side, option in zip(sides, chosen, strict=True):
        keep[side.part][side.layer, side.order[: side.dropped[option]]] = False
    return Plan(HeadMask(keep["heads"], plan.heads.group), NeuronMask(keep["neurons"]))


@dataclass(frozen=True, eq=False)
class _Side:
    """The heads or the neurons of one layer, lowest first.

    Attributes:
        part: Which of the two.
        layer: The layer.
        order: Their numbers, those that go together side by side.
        dropped: How many of them each option drops.
        block: What each option keeps, loses and costs.
    """

    part: Part
    layer: int
    order: NDArray[np.int64]
    dropped: NDArray[np.int64]
    block: Block


def _sides(plan: Plan, scores: Importance, costs: PlanCosts, parts: Sequence[Part]) -> list[_Side]:
    """Heads of all layers, then their neurons; those that may not be pruned have one option."""
    found = []
    each: tuple[tuple[Part, NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]], ...] = (
        ("heads", plan.heads.keep, scores.heads, costs.heads),
        ("neurons", plan.neurons.keep, scores.neurons, costs.neurons),
    )
    for part, keep, values, prices in each:
        for layer, row in enumerate(keep):
            present = np.flatnonzero(row)
            if bare := present[np.isnan(values[layer, present])].tolist():
                raise SettingError(f"no score for {part} {bare[0]} of layer {layer}; score the model that the plan describes")
            if part == "heads":
                order, dropped = _by_key(present, values[layer], plan.heads.group)
            else:
                order = present[np.argsort(values[layer, present], kind="stable")]
                kept = (
                    np.arange((len(order) - 1) // costs.step * costs.step, -1, -costs.step)
                    if len(order)
                    else np.zeros(0, dtype=np.int64)
                )
                dropped = np.concatenate([np.zeros(1, dtype=np.int64), len(order) - kept])
            if part not in parts:
                dropped = dropped[:1]
            lost = np.concatenate([np.zeros(1), np.cumsum(values[layer, order])])[dropped]
            left = len(order) - dropped
            found.append(_Side(part, layer, order, dropped, Block(left, lost, prices[left])))
    return found


def _by_key(present: NDArray[np.int64], values: NDArray[np.float64], group: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Heads in the order of the mean of those that they share a key with, and the numbers that can be dropped."""
    together = [present[present // group == key] for key in np.unique(present // group)]
    together.sort(key=lambda own: float(values[own].mean()))
    order = np.concatenate([np.zeros(0, dtype=np.int64), *together])
    return order, np.cumsum([0, *map(len, together)], dtype=np.int64)


def _layers(blocks: Sequence[Block], budget: float, n_layers: int) -> Choice | None:
    """All of as many layers as the budget allows, at even distances, and nothing of the others."""
    for n_kept in range(n_layers, -1, -1):
        layers = {*np.round(np.linspace(0, n_layers - 1, n_kept)).astype(int).tolist()}
        choice = tuple(0 if i % n_layers in layers else len(block.kept) - 1 for i, block in enumerate(blocks))
        if sum(block.cost[option] for block, option in zip(blocks, choice, strict=True)) <= budget * (1 + 1e-9):
            return choice
    return None


_SPREADS: dict[Spread, Callable[[Sequence[Block], float, int], Choice | None]] = {
    "joint": lambda blocks, budget, _: least_lost(blocks, budget),
    "even": lambda blocks, budget, _: even_share(blocks, budget),
    "layers": _layers,
}


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
