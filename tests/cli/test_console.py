"""What a log shows of long work."""

import pytest

from polyhead.cli import console as progress_bar
from polyhead.cli.console import Lines


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
