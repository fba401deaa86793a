"""How far long work is, on stderr: a bar on a terminal, a line a minute in a log."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 60.0


class Bar:
    """One line on stderr: what is done, how much of it, time spent and time left. Implements `Progress`."""

    def __init__(self) -> None:
        self._live: Progress | None = None
        self._task: TaskID | None = None

    def start(self, total: int, what: str) -> None:
        """Begin a piece of work; ends the one before."""
        self.stop()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"))
        self._live = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task = self._live.add_task(what, total=total)
        self._live.start()

    def advance(self, n: int) -> None:
        """Say that `n` more steps are done."""
        if self._live is not None and self._task is not None:
            self._live.advance(self._task, n)

    def stop(self) -> None:
        """Take the bar away."""
        if self._live is not None:
            self._live.stop()
        self._live, self._task = None, None


class Lines:
    """A line on stderr once a minute, and none for work that is done sooner. Implements `polyhead.core.progress.Progress`."""

    def __init__(self) -> None:
        self._what, self._total, self._done = "", 0, 0
        self._began = self._said = time.monotonic()

    def start(self, total: int, what: str) -> None:
        """Begin a piece of work; ends the one before."""
        self._what, self._total, self._done = what, total, 0
        self._began = time.monotonic()

    def advance(self, n: int) -> None:
        """Say that `n` more steps are done."""
        self._done += n
        now = time.monotonic()
        if now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            print(f"{self._what}: {self._done:,} of {self._total:,} after {now - self._began:.0f} s", file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Nothing to take away."""
