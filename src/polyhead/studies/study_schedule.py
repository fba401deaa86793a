"""Which cell takes its next step: a scheduler's books on what waits for what, and nothing else; the store knows what is done.

Only a replay of a cell finds the stages that it needs next (`core/errors.py: Missing`), and only a scheduler's workers replay.
So a step is a replay that may work on one stage, and its answer names the stages that the cell needs after it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One replay of a cell.

    Attributes:
        cell: Its place in the study.
        stage: The stage that it may work on; None if it only finds what the cell needs.
    """

    cell: int
    stage: str | None


class Schedule:
    """The steps of so many cells, in their order; a started cell comes before a new one, so that few are unfinished at a time.

    Two steps never hold the same stage. When a stage has been worked on for the first time, every cell that waited for it is
    replayed, for most need nothing more of it. Those that do take turns.

    Args:
        n_cells: Number of cells.

    >>> schedule = Schedule(2)
    >>> first, second = schedule.next(), schedule.next()
    >>> schedule.missing(first, ["source"])
    >>> schedule.missing(second, ["source"])
    >>> schedule.next(), schedule.next()
    (Step(cell=0, stage='source'), None)
    """

    def __init__(self, n_cells: int) -> None:
        self.n_open = n_cells
        self._n_cells, self._n_seen = n_cells, 0
        self._ready: deque[Step] = deque()
        self._closed: set[int] = set()
        self._queues: dict[str, deque[int]] = {}  # stages that a step works on, with the cells that wait for it
        self._served: set[str] = set()
        self._asked: dict[int, set[str]] = {}  # the stages that a cell's last answer named
        self._waits: dict[int, set[str]] = {}  # those of them that have not been worked on since

    @property
    def n_ready(self) -> int:
        """Steps that could be taken now."""
        return len(self._ready) + self._n_cells - self._n_seen

    def next(self) -> Step | None:
        """The next step, or None while every open cell waits."""
        while self._ready:
            step = self._ready.popleft()
            if step.cell not in self._closed:
                return step
            self._leave(step)
        if self._n_seen == self._n_cells:
            return None
        self._n_seen += 1
        return Step(self._n_seen - 1, None)

    def missing(self, step: Step, stages: Iterable[str]) -> None:
        """The step is over, and its cell needs these stages, none of which waits for another."""
        cell, named = step.cell, set(stages)
        self._leave(step)
        if cell in self._closed:
            return
        if step.stage is not None:
            self._waits[cell].discard(step.stage)
            if self._waits[cell]:
                return  # steps of the same cell still work on its other stages
            # A stage that was worked on beside this step was named because this replay came past it too early.
            named -= self._asked[cell]
        if not named:
            self._ready.append(Step(cell, None))
            return
        self._asked[cell], self._waits[cell] = named, set(named)
        for stage in sorted(named):
            if stage in self._queues:
                self._queues[stage].append(cell)
            else:
                self._queues[stage] = deque()
                self._ready.append(Step(cell, stage))

    def close(self, step: Step) -> bool:
        """The step is over, and its cell is done or has failed; False if the cell was closed before."""
        is_new = step.cell not in self._closed
        self._closed.add(step.cell)
        self._waits.pop(step.cell, None)
        self._asked.pop(step.cell, None)
        self._leave(step)
        self.n_open -= is_new
        return is_new

    def again(self, step: Step) -> None:
        """The step could not be taken, and is the next to be tried."""
        self._ready.appendleft(step)

    def _leave(self, step: Step) -> None:
        """Pass the step's stage on to the cells that wait for it."""
        if step.stage is None:
            return
        waiting = deque(cell for cell in self._queues.pop(step.stage) if cell not in self._closed)
        if not waiting:
            self._served.add(step.stage)
        elif step.stage in self._served:
            self._ready.append(Step(waiting.popleft(), step.stage))
            self._queues[step.stage] = waiting
        else:
            self._served.add(step.stage)
            for cell in waiting:
                self._waits[cell].discard(step.stage)
                if not self._waits[cell]:
                    self._ready.append(Step(cell, None))
