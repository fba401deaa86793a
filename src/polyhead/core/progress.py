"""How long work tells its caller how far it is: a protocol, and the implementation that says nothing."""

from typing import Protocol


class Progress(Protocol):
    """What a progress bar must be able to do; calls come from the thread that does the work."""

    def start(self, total: int, what: str) -> None:
        """Begin a piece of work of `total` steps, described by `what`; ends the one before."""

    def advance(self, n: int) -> None:
        """Say that `n` more steps are done."""

    def stop(self) -> None:
        """End the piece of work, finished or not."""


class Silent:
    """A `Progress` that shows nothing."""

    def start(self, total: int, what: str) -> None:
        """Ignore the start of a piece of work."""

    def advance(self, n: int) -> None:
        """Ignore a step."""

    def stop(self) -> None:
        """Ignore the end."""
