"""The heat maps of a comparison: every cell in its place, one colour scale whatever the values, names in full."""

import builtins
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from polyhead.report.heat_maps import correlation_chart, head_maps_chart
from polyhead.report.pictures import write_picture

NAMES = ["gradient per sentence, en", "ablation, zh-Hans", "x"]
RHO = [[0.9, -0.5, None], [-0.5, float("nan"), 0.0], [None, 0.0, 0.5]]


def svg_of(path: Path | None) -> str:
    assert path is not None
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert 'fill="white"' in text.partition("<g")[0], "light background"
    return text


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., str]:
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")

    def draw(values: list[list[float]], names: list[str] = NAMES) -> str:
        return svg_of(write_picture(tmp_path / "c.svg", lambda altair: correlation_chart(altair, names, values)))

    return draw


def colours(svg: str) -> dict[tuple[str, str], tuple[int, ...]]:
    cells = re.findall(r'aria-label="other: ([^;"]*); one: ([^;"]*); [^"]*"[^>]*fill="rgb\((\d+), (\d+), (\d+)\)"', svg)
    return {(one, other): tuple(map(int, rgb)) for other, one, *rgb in cells}


def test_correlations_stand_in_their_cells_and_none_where_there_is_none(drawn: Callable[..., str]) -> None:
    svg = drawn(RHO)
    found = colours(svg)
    assert set(found) == {(NAMES[0], NAMES[0]), *((NAMES[i], NAMES[j]) for i, j in ((0, 1), (1, 0), (1, 2), (2, 1), (2, 2)))}
    numbers = re.findall(r">(-?−?\d\.\d\d)</text>", svg)
    assert sorted(number.replace("−", "-") for number in numbers) == ["-0.50", "-0.50", "0.00", "0.00", "0.50", "0.90"]


def test_nought_is_white_and_the_signs_are_told_apart(drawn: Callable[..., str]) -> None:
    found = colours(drawn(RHO))
    red, green, blue = found[NAMES[1], NAMES[2]]
    assert min(red, green, blue) > 235, "0 is all but white"
    red, _, blue = found[NAMES[0], NAMES[1]]
    assert red > blue + 50
    red, _, blue = found[NAMES[2], NAMES[2]]
    assert blue > red + 50


def test_colours_do_not_depend_on_the_other_values(drawn: Callable[..., str]) -> None:
    alone = colours(drawn([[0.5]], ["a"]))
    among = colours(drawn([[0.5, 0.52], [0.52, 0.51]], ["a", "b"]))
    wide = colours(drawn([[0.5, -1.0], [-1.0, 1.0]], ["a", "b"]))
    assert alone["a", "a"] == among["a", "a"] == wide["a", "a"]


def test_names_are_in_full_and_in_the_order_given(drawn: Callable[..., str]) -> None:
    long = ["z" * 60, "a" * 60]
    svg = drawn([[0.1, 0.2], [0.2, 0.3]], long)
    assert svg.count(f">{long[0]}</text>") == 2
    assert svg.index(long[0]) < svg.index(long[1])
    assert "agreement of head rankings" in svg
    assert "−1 (red)" in svg


def test_each_group_has_its_map_on_one_scale(tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    ranks = {"late": [[0.0, 1.0], [0.5, None]], "early": [[0.5, 0.5], [0.25, float("nan")]]}
    svg = svg_of(write_picture(tmp_path / "h.svg", lambda altair: head_maps_chart(altair, ranks)))
    cells = re.findall(r'aria-label="head: (\d); layer: (\d); rank: ([\d.]+)[^"]*"[^>]*fill="(rgb[^"]*)"', svg)
    assert sorted((layer, head, float(rank)) for head, layer, rank, _ in cells) == [
        ("0", "0", 0.0),
        ("0", "0", 0.5),
        ("0", "1", 0.5),
        ("0", "1", 1.0),
        ("1", "0", 0.25),
        ("1", "0", 0.5),
    ]
    by_rank: dict[str, set[str]] = {}
    for _, _, rank, colour in cells:
        by_rank.setdefault(rank, set()).add(colour)
    assert all(len(found) == 1 for found in by_rank.values()), "equal ranks, equal colours in both maps"
    assert len(set.union(*by_rank.values())) == 4
    assert svg.index(">late<") < svg.index(">early<"), "in the order given"
    assert "0 = least important" in svg


def test_without_the_extra_nothing_is_drawn_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def without(name: str, *rest):
        if name == "altair":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    caplog.set_level("INFO", logger="polyhead")
    assert write_picture(tmp_path / "c.svg", lambda altair: correlation_chart(altair, ["a"], [[1.0]])) is None
    assert caplog.text.count("polyhead[report]") == 1
    assert not list(tmp_path.iterdir())
