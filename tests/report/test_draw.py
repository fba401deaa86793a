"""What a process of its own draws for a finished run; whatever goes wrong is one line in the log and spoils no run."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from report.page_case import write_run

from polyhead.core.errors import SettingError
from polyhead.report.draw import draw

pytest.importorskip("altair", reason="needs the extra report")
pytest.importorskip("vl_convert", reason="needs the extra report")
pytest.importorskip("jinja2", reason="needs the extra report")


def damage(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "heads.json").write_text("{", encoding="utf-8")


def undrawable(folder: Path, patch: pytest.MonkeyPatch) -> None:
    def refuse(chart: object, kind: str, *, labels: bool = True) -> bytes:
        raise SettingError("a chart cannot be drawn")

    patch.setattr("polyhead.report.html_page.picture_bytes", refuse)


def fill_the_disk(folder: Path, patch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(os, "fsync", full)


def without_the_extra(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("polyhead.report.html_page.drawing_library", lambda: None)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damage, "heads.json: not the heads of a run, or damaged (not JSON: "),
        (undrawable, "a chart cannot be drawn"),
        (fill_the_disk, "heads.svg: cannot be written (No space left on device: "),
        (without_the_extra, "pip install"),
    ],
)
def test_a_page_that_cannot_be_made_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spoil: Any, said: str
) -> None:
    folder = write_run(tmp_path / "one")
    spoil(folder, monkeypatch)
    with caplog.at_level(logging.WARNING, logger="polyhead"):
        draw(folder)
    (line,) = caplog.messages
    assert line.startswith("no page: ")
    assert said in line
    assert "\n" not in line
    assert not (folder / "report.html").exists()


def test_picture_and_page_go_beside_the_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one")
    draw(folder)
    assert (folder / "heads.svg").read_text(encoding="utf-8").startswith("<svg")
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
