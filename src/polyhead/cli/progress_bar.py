"""A progress bar with the time left, on stderr."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """One line on stderr: what is done, how much of it, time spent and time left. Implements `polyhead.progress.Progress`."""

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
