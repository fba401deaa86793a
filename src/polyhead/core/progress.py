"""Progress of long work: a protocol, an implementation that shows nothing, and a context that starts and stops one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """What a progress bar must do; calls come from the thread that does the work."""

    def start(self, total: int, what: str) -> None:
        """Begin work of `total` steps, described by `what`, inside the work under way, if there is any."""

    def advance(self, n: int) -> None:
        """Report that `n` more steps of the work begun last are done."""

    def stop(self) -> None:
        """End the work begun last, finished or not; does nothing if there is none."""


class Silent:
    """A `Progress` that shows nothing."""

    def start(self, total: int, what: str) -> None:
        """Do nothing."""

    def advance(self, n: int) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class Checking:
    """A `Progress` that passes everything on to another, and calls a check between steps of long work.

    Args:
        progress: The other.
        check: Raises to end the work.
        every: Seconds between two calls, at least.
    """

    def __init__(self, progress: Progress, check: Callable[[], None], *, every: float = 10.0) -> None:
        self._progress, self._check, self._every, self._last = progress, check, every, time.monotonic()

    def start(self, total: int, what: str) -> None:
        """Pass it on."""
        self._progress.start(total, what)

    def advance(self, n: int) -> None:
        """Pass it on, and check if that is due."""
        self._progress.advance(n)
        if time.monotonic() - self._last >= self._every:
            self._check()
            self._last = time.monotonic()

    def stop(self) -> None:
        """Pass it on."""
        self._progress.stop()


@contextmanager
def tracking(progress: Progress | None, total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A context for work of `total` steps, described by `what`; yields a function to call with the number of steps just done."""
    watch = Silent() if progress is None else progress
    watch.start(total, what)
    try:
        yield watch.advance
    finally:
        watch.stop()
