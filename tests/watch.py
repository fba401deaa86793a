"""A progress that counts steps and does something at one of them, such as stopping the work."""

from collections.abc import Callable
from typing import NoReturn


class Crash(Exception):
    """Raised out of the work, as an error in it would be."""


def crash() -> NoReturn:
    raise Crash


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


class Watch:
    """Counts steps, and calls `do` at step `at`."""

    def __init__(self, at: int | None = None, do: Callable[[], object] = crash) -> None:
        self.total = self.done = self.stops = 0
        self.at, self.do = at, do

    def start(self, total: int, what: str) -> None:
        self.total = total

    def advance(self, n: int) -> None:
        self.done += n
        if self.done == self.at and n:
            self.do()

    def stop(self) -> None:
        self.stops += 1
