"""From scores of heads and neurons to a smaller plan: what every layer keeps within a budget."""

from collections.abc import Callable, Sequence
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
Spread = Literal["joint", "even", "layers"]
PARTS: Final[tuple[Part, ...]] = ("heads", "neurons")


class OutOfReachError(SettingError):
    """No plan is as fast or as small as asked, so less has to be asked for."""


@dataclass(frozen=True, eq=False)
class Importance:
    """How much heads and neurons matter, in one unit; NaN for those that are pruned.

    Attributes:
        heads: float64 `[layers, heads]`.
        neurons: float64 `[layers, neurons]`.
    """

    heads: NDArray[np.float64]
    neurons: NDArray[np.float64]


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
        OutOfReachError: No plan is within it.
    """
    sides = _sides(plan, scores, costs, parts)
    chosen = _SPREADS[spread]([side.block for side in sides], budget - costs.fixed, plan.heads.n_layers)
    if chosen is None:
        raise OutOfReachError(f"{budget:.4g} {costs.unit}: no plan of {' and '.join(parts)} is within it")
    keep = {"heads": plan.heads.keep.copy(), "neurons": plan.neurons.keep.copy()}
    for side, option in zip(sides, chosen, strict=True):
        keep[side.part][side.layer, side.order[: side.dropped[option]]] = False
    return Plan(HeadMask(keep["heads"], plan.heads.group), NeuronMask(keep["neurons"]))


def least_cost(start: Plan, costs: PlanCosts, parts: Sequence[Part]) -> float:
    """The cost of the cheapest plan: layers may lose everything that may be pruned."""
    return costs.fixed + sum(float(side.block.cost.min()) for side in _sides(start, _nothing(start), costs, parts))


def _nothing(plan: Plan) -> Importance:
    return Importance(np.zeros(plan.heads.shape), np.zeros(plan.neurons.shape))


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
            found.append(_Side(part, layer, order, dropped, Block(left, lost, prices[left], whole=len(row))))
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
