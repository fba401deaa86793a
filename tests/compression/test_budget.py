"""The choice within a budget against all choices, on cases small enough to try them all."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.compression.budget import Block, Choice, cost_of, even_share, least_lost, lost_by

Options = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4)


def blocks_of(drawn: list[list[tuple[int, int]]]) -> list[Block]:
    """Blocks with options of these losses and costs; the largest option loses nothing."""
    made = []
    for options in drawn:
        lost = np.array([float(lost) for lost, _ in options])
        lost[0] = 0.0
        made.append(Block(np.arange(len(options))[::-1], lost, np.array([float(cost) for _, cost in options])))
    return made


def best(blocks: list[Block], budget: float) -> float | None:
    """The least loss of all choices within the budget; None without any."""
    every: list[Choice] = list(product(*(range(len(block.kept)) for block in blocks)))
    return min((lost_by(blocks, one) for one in every if cost_of(blocks, one) <= budget), default=None)


@settings(max_examples=150, deadline=None)
@given(st.lists(Options, min_size=1, max_size=4), st.integers(0, 30))
def test_whole_costs_give_the_best_choice(drawn: list[list[tuple[int, int]]], budget: int) -> None:
    blocks = blocks_of(drawn)
    spare = budget - sum(int(block.cost.min()) for block in blocks)
    found, wanted = least_lost(blocks, budget, cells=max(spare, 1)), best(blocks, budget)
    assert (found is None) == (wanted is None)
    if found is not None:
        assert lost_by(blocks, found) == wanted
        assert cost_of(blocks, found) <= budget


@settings(max_examples=100, deadline=None)
@given(st.lists(Options, min_size=1, max_size=4), st.floats(0.1, 30), st.integers(5, 60))
def test_coarse_steps_cost_at_most_a_step_per_block(drawn: list[list[tuple[int, int]]], budget: float, cells: int) -> None:
    blocks = blocks_of(drawn)
    spare = budget - sum(block.cost.min() for block in blocks)
    found = least_lost(blocks, budget, cells=cells)
    assert (found is None) == (spare < 0)
    if found is None:
        return
    assert cost_of(blocks, found) <= budget * (1 + 1e-9)
    lower = best(blocks, budget - len(blocks) * spare / cells)
    assert lower is None or lost_by(blocks, found) <= lower + 1e-9
    even = even_share(blocks, budget)
    assert even is None or lost_by(blocks, found) <= lost_by(blocks, even)


def test_an_even_share_is_the_largest_that_fits() -> None:
    cost = np.array([4.0, 3.0, 2.0, 1.0, 0.0])
    blocks = [Block(np.arange(5)[::-1], np.zeros(5), cost), Block(np.array([1, 0]), np.zeros(2), np.array([1.0, 0.0]))]
    assert [even_share(blocks, budget) for budget in (5, 4.9, 3, 2.9, 0)] == [(0, 0), (1, 1), (1, 1), (2, 1), (4, 1)]
    assert even_share(blocks, -1) is None


def test_an_even_share_is_of_the_unpruned_block() -> None:
    cost = np.array([2.0, 1.0, 0.0])
    blocks = [Block(np.array([4, 2, 0]), np.zeros(3), cost), Block(np.array([2, 1, 0]), np.zeros(3), cost, whole=4)]
    assert [even_share(blocks, budget) for budget in (4, 3, 2, 1)] == [(0, 0), (1, 0), (2, 1), (2, 1)]


def test_a_budget_that_holds_the_cheapest_options_only() -> None:
    block = Block(np.array([2, 1, 0]), np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.0, 1.0]))
    assert least_lost([block, block], 2.0) == (1, 1)
    assert least_lost([block, block], 1.9) is None


def test_equal_choices_keep_more() -> None:
    block = Block(np.array([2, 1, 0]), np.zeros(3), np.array([2.0, 1.0, 0.0]))
    assert least_lost([block], 2.0) == (0,)
