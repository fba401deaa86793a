"""Pictures are written whole or not at all; a chart that cannot be drawn and a full disk are one line."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from polyhead.core.errors import SettingError, StoreError
from polyhead.report.pictures import drawing_library, picture_bytes, write_picture

altair: Any = pytest.importorskip("altair", reason="needs the extra report")
vl_convert: Any = pytest.importorskip("vl_convert", reason="needs the extra report")


@pytest.fixture
def chart() -> Any:
    return altair.Chart(altair.Data(values=[{"x": 1, "y": 2}])).mark_point().encode(x="x:Q", y="y:Q")


def test_the_kind_decides(chart: Any, tmp_path: Path) -> None:
    assert drawing_library() is altair
    assert picture_bytes(chart, ".svg").startswith(b"<svg")
    assert picture_bytes(chart, ".png").startswith(b"\x89PNG")
    assert write_picture(tmp_path / "deep" / "a.svg", lambda _: chart) == tmp_path / "deep" / "a.svg"
    assert (tmp_path / "deep" / "a.svg").read_bytes() == picture_bytes(chart, ".svg")


def test_labels_are_left_out_where_nothing_can_read_them(chart: Any) -> None:
    text = picture_bytes(chart, ".svg", labels=False)
    assert text.startswith(b"<svg")
    assert b"aria-label" not in text
    assert b"aria-label" in picture_bytes(chart, ".svg")


def broken(*_: object, **__: object) -> None:
    raise ValueError("vega fell over\nin a long trace")


def test_what_cannot_be_drawn_is_one_line_and_leaves_the_old_picture(
    chart: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", broken)
    for draw in (lambda: picture_bytes(chart, ".svg"), lambda: write_picture(path, lambda _: chart)):
        with pytest.raises(SettingError, match=r"^a chart cannot be drawn \(vega fell over\): [^\n]*$"):
            draw()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_leaves_the_old_picture(chart: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.svg"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"a\.svg: cannot be written \(No space left on device: .* needed, .* free\); [^\n]*$"):
        write_picture(path, lambda _: chart)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
