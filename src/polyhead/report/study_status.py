"""`polyhead study status` as text: what is finished, what runs, what failed and why, and the time left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from polyhead.core.escaping import terminal_text
from polyhead.core.values import counted
from polyhead.report.study_record import CELLS

_SHOWN = 10


class Worker(Protocol):
    """What a worker said last."""

    worker: str
    host: str
    job: str
    done: int
    failed: int

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended."""


class Failed(Protocol):
    """Work that failed."""

    name: str
    what: str
    times: int
    at: str


def finished_cells(store: Path) -> set[str]:
    """Names of the finished cells, without reading them."""
    return {path.stem for path in (store / CELLS).glob("*.json")}


def status_text(
    *,
    finished: int,
    planned: int | None = None,
    workers: Sequence[Worker] = (),
    failures: Sequence[Failed] = (),
    seconds_left: float | None = None,
) -> str:
    """Lines for a terminal.

    Args:
        finished: Cells.
        planned: Cells of the study; None if its file is not known.
        workers: From their status files.
        failures: From the store's records.
        seconds_left: Work left, of one process.
    """
    running = [worker for worker in workers if not worker.is_gone]
    lines = [f"cells: {finished:,}{'' if planned is None else f' of {planned:,}'} finished, {counted(len(failures), 'failure')}"]
    if seconds_left is not None and planned is not None and finished < planned:
        share = seconds_left / max(1, len(running))
        by = f"{counted(len(running), 'worker')} at work" if running else "one process"
        lines.append(f"time left: about {duration(share)} with {by}")
    for worker in running[:_SHOWN]:
        doing = f"works on {worker.job}" if worker.job else "waits for other workers"
        lines.append(f"{worker.worker} on {worker.host}: {doing}; {worker.done:,} done, {worker.failed:,} failed")
    if gone := len(workers) - len(running):
        lines.append(f"{counted(gone, 'worker')} ended without saying so: what they held is taken over")
    for failure in failures[:_SHOWN]:
        lines.append(f"failed: {failure.name}, {counted(failure.times, 'time')}, last at {failure.at}: {failure.what}")
    for what, shown in (("workers", running), ("failures", failures)):
        if len(shown) > _SHOWN:
            lines.append(f"… {len(shown) - _SHOWN:,} more {what} (--json lists all)")
    return "\n".join(map(terminal_text, lines))


def duration(seconds: float) -> str:
    """A length of time in words.

    >>> duration(42), duration(5400), duration(200_000)
    ('1 minute', '90 minutes', '56 hours')
    """
    minutes = max(1, round(seconds / 60))
    return counted(minutes, "minute") if minutes < 120 else counted(round(minutes / 60), "hour")
