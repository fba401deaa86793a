"""What a log shows of long work."""

import pytest

from polyhead.cli import console as progress_bar
from polyhead.cli.console import Bar, Lines


def test_a_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now)
    lines = Lines()
    for second in (30.0, 70.0, 80.0, 131.0):  # two pieces of work of two steps each
        if second in (30.0, 80.0):
            lines.start(2000, "fit")
        now = second
        lines.advance(1000)
    lines.stop()
    assert capsys.readouterr().err.splitlines() == ["fit: 2,000 of 2,000 after 70 s", "fit: 2,000 of 2,000 after 61 s"]


def test_work_inside_other_work_does_not_take_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now)
    lines = Lines()
    lines.start(9, "cells")
    for second in (40.0, 80.0):
        lines.start(5, "fit")
        lines.advance(5)
        lines.stop()
        now = second
        lines.advance(1)
    assert capsys.readouterr().err == "cells: 2 of 9 after 80 s\n"


def test_a_bar_shows_both() -> None:
    bar = Bar()
    bar.start(9, "cells")
    bar.start(5, "fit")
    bar.advance(2)
    assert [(task.description, task.completed) for task in bar._live.tasks] == [("cells", 0), ("fit", 2)]  # type: ignore[union-attr]
    bar.stop()
    bar.advance(1)
    assert [(task.description, task.completed) for task in bar._live.tasks] == [("cells", 1)]  # type: ignore[union-attr]
    bar.stop()
    bar.stop()
    bar.advance(1)
    assert bar._live is None
