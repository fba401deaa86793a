"""A synthetic machine on which models take as long as their layers say."""

from contextlib import contextmanager

from compression.test_timing import Machine

from polyhead.compression.latency_points import Bench
from polyhead.compression.timing import Timer

FAST = Timer(least=1, most=1)
SIZE = {"batch": 2, "length": 8, "precision": "fp32"}


def layer(heads: int, neurons: int) -> float:
    return 0.5 * heads + 0.25 * neurons


class Synthetic(Machine):
    """A machine on which a model takes 3 seconds and those of its layers."""

    def __init__(self, speed=lambda call: 1.0) -> None:
        super().__init__(speed)
        self.opened: list[tuple[tuple[int, int], ...]] = []

    @contextmanager
    def open(self, counts):
        self.opened.append(tuple(counts))
        yield self.work("pass", 3.0 + sum(layer(*own) for own in counts))

    def bench(self, **settings) -> Bench:
        return Bench(self.open, self.timer(**{"least": 3, "most": 3, **settings}))
