"""Progress of long work: a protocol, an implementation that shows nothing, and a context that starts and stops one."""

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


@contextmanager
def tracking(progress: Progress | None, total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A context for work of `total` steps, described by `what`; yields a function to call with the number of steps just done."""
    watch = Silent() if progress is None else progress
    watch.start(total, what)
    try:
        yield watch.advance
    finally:
        watch.stop()
