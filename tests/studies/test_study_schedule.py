"""A scheduler's books: every stage is worked on once at a time, and no replay is made that nobody needs."""

import random
from collections.abc import Callable

import pytest

from polyhead.studies.study_schedule import Schedule, Step

Needs = Callable[[int, set[str]], set[str]]


def three_parts(cell: int, done: set[str]) -> set[str]:
    """Shares a source with two others, then needs a sweep, then its own part of the source, as of other dev data."""
    parts = ({f"source-{cell // 3}"}, {f"{cell}-k{k}" for k in range(3)}, {f"source-{cell // 3} for {cell}"})
    return next((part - done for part in parts if part - done), set())


def taken(schedule: Schedule) -> Step:
    step = schedule.next()
    assert step is not None
    return step


def play(n_cells: int, needs: Needs, *, n_workers: int, seed: int) -> tuple[list[Step], int]:
    """Play the workers, which end in a random order; the steps that were taken, and the most stages worked on at a time."""
    schedule, rng, done = Schedule(n_cells), random.Random(seed), set[str]()
    steps: list[Step] = []
    running: list[tuple[Step, set[str]]] = []
    most = 0
    while schedule.n_open:
        while len(running) < n_workers and (step := schedule.next()) is not None:
            assert step.stage is None or step.stage not in [other.stage for other, _ in running]
            steps.append(step)
            running.append((step, set(done)))  # what it finds done when it begins
        assert running, "nothing runs and cells are open"
        most = max(most, len({step.stage for step, _ in running} - {None}))
        step, before = running.pop(rng.randrange(len(running)))
        if step.stage is not None:
            own = {part for part in needs(step.cell, before) if part.split(" ")[0] == step.stage}
            done |= own
            before |= own
            while (more := {part for part in needs(step.cell, before) if part.split(" ")[0] == step.stage}) - before:
                done |= more
                before |= more
        left = needs(step.cell, before)
        if left:
            schedule.missing(step, {part.split(" ")[0] for part in left})
        else:
            assert schedule.close(step)
    assert schedule.next() is None
    return steps, most


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_workers", [1, 2, 7, 40])
def test_every_cell_ends_whatever_the_order(n_workers: int, seed: int) -> None:
    steps, _ = play(30, three_parts, n_workers=n_workers, seed=seed)
    assert len([step for step in steps if step.stage is None]) <= 30 * 4
    assert len(steps) <= 30 * 10


def test_stages_of_a_sweep_are_worked_on_at_the_same_time() -> None:
    _, most = play(1, three_parts, n_workers=5, seed=0)
    assert most == 3


def test_a_cell_alone_is_replayed_once_for_each_stage() -> None:
    steps, _ = play(1, lambda cell, done: {"a"} - done or {"b"} - done, n_workers=1, seed=0)
    assert steps == [Step(0, None), Step(0, "a"), Step(0, "b")]


def test_started_cells_come_before_new_ones() -> None:
    steps, _ = play(50, three_parts, n_workers=1, seed=0)
    firsts = {step.cell: place for place, step in reversed(list(enumerate(steps)))}
    lasts = {step.cell: place for place, step in enumerate(steps)}
    open_at_once = max(sum(firsts[cell] <= place <= lasts[cell] for cell in firsts) for place in range(len(steps)))
    assert open_at_once <= 4


def test_a_failed_cell_gives_its_stages_to_others() -> None:
    schedule = Schedule(2)
    first, second = taken(schedule), taken(schedule)
    schedule.missing(first, ["source"])
    schedule.missing(second, ["source"])
    step = schedule.next()
    assert step == Step(0, "source")
    assert schedule.next() is None, "the other waits"
    assert schedule.close(step)
    assert schedule.next() == Step(1, None)
    schedule.missing(Step(1, None), ["source"])
    assert schedule.next() == Step(1, "source")


def test_steps_of_a_closed_cell_are_not_taken() -> None:
    schedule = Schedule(1)
    start = taken(schedule)
    schedule.missing(start, ["k0", "k1", "k2"])
    first, second = taken(schedule), taken(schedule)
    assert schedule.close(first)
    assert schedule.next() is None
    assert not schedule.close(second), "it is counted once"
    assert schedule.n_open == 0


def test_a_step_that_could_not_be_taken_is_the_next() -> None:
    schedule = Schedule(2)
    start = taken(schedule)
    schedule.again(start)
    assert schedule.next() == start
