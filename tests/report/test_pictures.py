"""The picture tells low heads apart, in colour, in grey and in numbers, and marks the pruned ones."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import record

from polyhead.report.page import page, write_report
from polyhead.report.pictures import cell_chart, head_picture, places, text_picture, write_picture

# Two high heads would take up nearly all of a linear scale.
SKEWED = [[0.001, 0.002, 90.0], [0.003, 100.0, None]]


def drawn(folder: Path, pruned: list[str]) -> str:
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    path = head_picture(SKEWED, folder / "h.svg", pruned=pruned, title="heads")
    assert path is not None
    return path.read_text(encoding="utf-8")


def greys(svg: str) -> dict[tuple[int, int], float]:
    """Luminance by layer and head."""
    cells = re.findall(r'head: (\d+); layer: (\d+); place: [^"]*"[^>]*fill="rgb\((\d+), (\d+), (\d+)\)"', svg)
    return {(int(i), int(j)): 0.299 * int(r) + 0.587 * int(g) + 0.114 * int(b) for j, i, r, g, b in cells}


def test_places_count_from_the_lowest_and_ties_go_by_address() -> None:
    assert places(SKEWED) == {(0, 0): 1, (0, 1): 2, (1, 0): 3, (0, 2): 4, (1, 1): 5}
    assert places([[0.5, float("nan")], [0.5, 0.1]]) == {(1, 1): 1, (0, 0): 2, (1, 0): 3}


def test_low_heads_differ_as_much_as_high_ones_in_grey_too(tmp_path: Path) -> None:
    grey = greys(drawn(tmp_path, []))
    in_order = [grey[address] for address in places(SKEWED)]
    steps = [a - b for a, b in pairwise(in_order)]
    assert len(steps) == 4
    assert min(steps) > 20, "each place is darker than the one below it, by a step that can be seen"


def test_pruned_heads_have_a_cross_and_a_frame_and_all_have_their_place(tmp_path: Path) -> None:
    svg, none = drawn(tmp_path, ["0.0", "1.0"]), drawn(tmp_path, [])
    assert svg.startswith("<svg")
    assert (svg.count(">×<"), none.count(">×<")) == (2, 0)
    assert (svg.count('stroke="black" stroke-width="2.5"'), none.count('stroke="black" stroke-width="2.5"')) == (2, 0)
    numbers = re.findall(r'place: (\d)"[^>]*>\1</text>', svg)
    assert sorted(numbers) == list("12345")


def test_the_scale_is_explained_in_the_picture_and_on_the_page(tmp_path: Path) -> None:
    svg = drawn(tmp_path, ["0.0"])
    assert "place in ranking" in svg
    assert "(1 = lowest" in svg
    assert "× in a black frame: pruned" in svg
    text = page(record(), picture="heads.svg")
    assert "![heads × layers](heads.svg)\n\nNumber and colour: place in the ranking (1 = lowest" in text
    write_picture(tmp_path / "heads.svg", lambda altair: cell_chart(altair, record().first))
    assert "heads.svg" in write_report(record(), tmp_path).read_text(encoding="utf-8")


def test_the_text_picture_shows_pruned_and_missing_heads() -> None:
    picture = text_picture([[0.1, 0.4], [0.3, None]], ["0.0"]).splitlines()
    assert picture[1].split() == ["1", "|", "3", "-"]
    assert picture[2].split() == ["0", "|", "x", "6"]


def test_the_text_picture_goes_by_place_not_by_score() -> None:
    picture = text_picture(SKEWED).splitlines()
    assert picture[2].split() == ["0", "|", "0", "2", "6"]
