"""Pictures leave whole or not at all, and a chart that cannot be drawn is said in one line."""

from pathlib import Path
from typing import Any

import pytest

from polyhead.core.errors import SettingError
from polyhead.report.pictures import drawing_library, save_chart, svg_text

altair: Any = pytest.importorskip("altair", reason="needs the extra report")
vl_convert: Any = pytest.importorskip("vl_convert", reason="needs the extra report")


@pytest.fixture
def chart() -> Any:
    return altair.Chart(altair.Data(values=[{"x": 1, "y": 2}])).mark_point().encode(x="x:Q", y="y:Q")


def test_the_ending_says_which_kind(chart: Any, tmp_path: Path) -> None:
    assert drawing_library() is altair
    assert save_chart(chart, tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg")
    assert save_chart(chart, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "a.png"}


def test_the_text_for_a_page_has_no_labels_that_an_image_cannot_tell(chart: Any, tmp_path: Path) -> None:
    text = svg_text(chart)
    assert text.startswith("<svg")
    assert "aria-label" not in text
    assert "aria-label" in save_chart(chart, tmp_path / "a.svg").read_text(encoding="utf-8")


def broken(*_: object, **__: object) -> None:
    raise ValueError("vega fell over\nin a long trace")


def test_what_cannot_be_drawn_is_one_line_and_leaves_the_old_picture(
    chart: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", broken)
    for draw in (lambda: svg_text(chart), lambda: save_chart(chart, path)):
        with pytest.raises(SettingError, match=r"^a chart cannot be drawn \(vega fell over\): [^\n]*$"):
            draw()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
