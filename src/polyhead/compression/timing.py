"""Times of several pieces of work that run in turn, so that a slow moment of the machine affects all of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Work = Callable[[], object]


def _no_pause() -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Timer:
    """How to measure.

    Attributes:
        clock: Seconds that pass.
        pause: Called before each timed call: threads of the one before may need a moment to rest.
        least, most: Number of turns.
        precise: Standard error, as a share of the time, at which `least` turns are enough.
        seconds: Seconds after which `least` turns are enough, however noisy they are.
    """

    clock: Callable[[], float] = time.perf_counter
    pause: Callable[[], None] = _no_pause
    least: int = 7
    most: int = 400
    precise: float = 0.005
    seconds: float = 6.0

    def time(self, work: Work) -> float:
        """Seconds of one call."""
        self.pause()
        started = self.clock()
        work()
        return self.clock() - started


def turns(works: Sequence[Work], *, timer: Timer) -> NDArray[np.float64]:
    """Seconds of each call, `[turns, works]`; every other turn is in reverse order, and two calls of each are not counted.

    Ends when the ratios of all to the first are precise enough, or the time of a single work is.
    """
    for work in (*works, *works):
        work()
    found: list[list[float]] = []
    started = timer.clock()
    while len(found) < timer.most:
        order = range(len(works)) if len(found) % 2 else reversed(range(len(works)))
        took = {i: timer.time(works[i]) for i in order}
        found.append([took[i] for i in range(len(works))])
        if len(found) >= timer.least:
            every = np.array(found)
            compared = every[:, 1:] / every[:, :1] if len(works) > 1 else every
            if timer.clock() - started > timer.seconds or max(map(noise_of, compared.T)) <= timer.precise:
                break
    return np.array(found)


def noise_of(values: NDArray[np.float64]) -> float:
    """The standard error of the median, as a share of it, from the quartiles: outliers do not count.

    >>> noise_of(np.array([1.0, 1.0, 1.0, 1.0, 9.0]))
    0.0
    """
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    deviation = (high - low) / 1.349  # of a normal distribution with these quartiles
    return float(1.253 * deviation / np.sqrt(len(values)) / middle)
