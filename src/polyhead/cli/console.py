"""Where output goes: results to stdout, notes and progress to stderr; under `--json` exactly one document on stdout."""

import contextlib
import json as json_text
import logging
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from polyhead.core.escaping import terminal_text
from polyhead.core.progress import Progress, Silent
from polyhead.core.values import jsonable

WIDTH = 80
"""Columns that prose is wrapped to."""


def wrapped(text: str) -> str:
    """The text with long lines of prose wrapped; tables, pictures and indented lines stay as they are.

    >>> print(wrapped("| a | b |\\n- " + "word " * 20))
    | a | b |
    - word word word word word word word word word word word word word word word
      word word word word word
    """
    return "\n".join(_broken(line) for line in text.split("\n"))


def _broken(line: str) -> str:
    if len(line) <= WIDTH or line[0] in "| ":
        return line
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class Console:
    """What a command prints with.

    Attributes:
        json: Whether the result is one JSON document.
        out: The real stdout.
        command: What the user wrote.
        progress: Bar with the time left on a terminal, a line a minute elsewhere.
    """

    json: bool
    out: TextIO
    command: str = ""
    progress: Progress = field(default_factory=Silent)

    def note(self, text: str) -> None:
        """Print a note on stderr; an empty one prints nothing."""
        if text:
            print(terminal_text(text, breaks=True), file=sys.stderr, flush=True)

    def repairs(self, name: str, counts: Mapping[str, int]) -> None:
        """Print what reading repaired or found, and how often."""
        for what, count in counts.items():
            self.note(f"note: {name}: {count} x {what}{' see polyhead data check' * what.endswith('?')}")

    def result(self, document: Mapping[str, Any], text: str) -> None:
        """Print the result: `document` under `--json`, with null for NaN and infinities, else `text`."""
        self.progress.stop()
        if self.json:
            text = json_text.dumps(jsonable(document), ensure_ascii=False, allow_nan=False)
        else:
            text = terminal_text(text.rstrip("\n"), breaks=True)
        self.out.write(text + "\n")
        self.out.flush()


def met(counts: Mapping[str, int], *, unit: str, unknown: str = "counted as wrong") -> dict[str, int]:
    """Encoding notes that a reader of scores needs, for `Console.repairs`.

    Args:
        counts: By their names in `EncodingCounts`.
        unit: What has a label, `Task.unit`.
        unknown: How words, or sentences, are treated whose label the model cannot predict.
    """
    texts = {
        "unknown_labels": f"a {unit} with a label that the model cannot predict, {unknown}",
        "truncated_words": "a word longer than a window, labelled from its first subwords only"
        if unit == "word"
        else "a sentence longer than a window, of which only the first subwords are read",
    }
    return {text: counts[name] for name, text in texts.items() if counts.get(name)}


class _Notes(logging.Handler):
    """Log lines as notes, on whatever stderr is at that moment (a live bar replaces it)."""

    def emit(self, record: logging.LogRecord) -> None:
        print(terminal_text(record.getMessage(), breaks=True), file=sys.stderr, flush=True)


@contextmanager
def opened(*, json: bool, command: str) -> Iterator[Console]:
    """A console for the length of a command; what libraries print on stdout meanwhile goes to stderr."""
    logger, handler = logging.getLogger("polyhead"), _Notes()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    progress: Progress = Bar() if sys.stderr.isatty() else Lines()
    out = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield Console(json, out, command, progress)
    finally:
        progress.stop()
        logger.removeHandler(handler)
        logger.setLevel(level)


_SECONDS_BETWEEN_LINES = 60.0


class Bar:
    """A progress bar on stderr with time spent and time left, one for each task under way. Implements `Progress`."""

    def __init__(self) -> None:
        self._live: RichProgress | None = None
        self._tasks: list[tuple[str, TaskID]] = []

    def start(self, total: int, what: str) -> None:
        """Start a task inside the one under way; one of the same name starts again."""
        if self._tasks and self._tasks[-1][0] == what:
            self.stop()
        if self._live is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
            )
            self._live = RichProgress(*columns, TimeRemainingColumn(), console=RichConsole(stderr=True), transient=True)
            self._live.start()
        self._tasks.append((what, self._live.add_task(escape(terminal_text(what)), total=total)))

    def advance(self, n: int) -> None:
        """Record `n` more finished steps of the innermost task."""
        if self._live is not None:
            self._live.advance(self._tasks[-1][1], n)

    def stop(self) -> None:
        """Remove the innermost task, and the last one's bar."""
        if self._live is not None:
            self._live.remove_task(self._tasks.pop()[1])
            if not self._tasks:
                self._live.stop()
                self._live = None


@dataclass
class _Work:
    """A task under way: what it is, its steps and those done, and when it began."""

    what: str
    total: int
    began: float
    done: int = 0


class Lines:
    """One line a minute on stderr; none for work that takes less. Implements `Progress`."""

    def __init__(self) -> None:
        self._work: list[_Work] = []
        self._said = time.monotonic()

    def start(self, total: int, what: str) -> None:
        """Start a task inside the one under way; one of the same name starts again."""
        if self._work and self._work[-1].what == what:
            self.stop()
        self._work.append(_Work(what, total, time.monotonic()))

    def advance(self, n: int) -> None:
        """Record `n` more finished steps of the innermost task."""
        if not self._work:
            return
        work, now = self._work[-1], time.monotonic()
        work.done += n
        if now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            said = f"{terminal_text(work.what)}: {work.done:,} of {work.total:,} after {now - work.began:.0f} s"
            print(said, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """End the innermost task; lines stay on the screen."""
        if self._work:
            self._work.pop()
