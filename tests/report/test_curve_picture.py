"""The picture of pruning curves: a line a group, random orders as a mean with their range, nothing without the extra."""

import builtins
import re
from pathlib import Path
from typing import Any

import pytest

from polyhead.report.curves import curve_picture, points


def order(group: str, name: str, direction: str, scores: list[float]) -> dict[str, Any]:
    return {"group": group, "name": name, "direction": direction, "scores": scores}


DOCUMENT: dict[str, Any] = {
    "model": "a-model",
    "main_metric": "accuracy",
    "data": {"name": "ud/en_ewt", "split": "dev", "sentences": 2001},
    "orders": [
        order("gradient, lowest first", "gradient", "lowest", [90.0, 89.0, 80.0]),
        order("gradient, highest first", "gradient", "highest", [90.0, 60.0, 40.0]),
        order("random (2 orders)", "random", "random", [90.0, 80.0, 60.0]),
        order("random (2 orders)", "random", "random", [90.0, 70.0, 65.0]),
        order("greedy oracle", "greedy oracle", "oracle", [90.0, 91.0, 90.5]),
    ],
}


def drawn(folder: Path, document: dict[str, Any]) -> str:
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    path = curve_picture(document, folder / "c.svg")
    assert path == folder / "c.svg"
    return path.read_text(encoding="utf-8")


def test_a_group_has_one_point_a_k_with_the_range_of_its_orders() -> None:
    found = points(DOCUMENT)
    assert len(found) == 4 * 3
    chance = [row for row in found if row["name"] == "random"]
    assert [(row["k"], row["low"], row["score"], row["high"]) for row in chance] == [
        (0, 90.0, 90.0, 90.0),
        (1, 70.0, 75.0, 80.0),
        (2, 60.0, 62.5, 65.0),
    ]
    assert {row["goes"] for row in found} == {"lowest first", "highest first", "random", "oracle"}


def test_an_order_is_shaded_by_the_interval_of_its_change_where_there_is_one() -> None:
    change = {"low": [0.0, -2.0, -12.0], "high": [0.0, 0.5, -8.0]}
    rows = [{"group": group, "change": change} for group in ("gradient, lowest first", "random (2 orders)")]
    found = points(DOCUMENT | {"areas": rows})
    lowest = [(row["low"], row["high"]) for row in found if row["group"] == "gradient, lowest first"]
    assert lowest == [(90.0, 90.0), (88.0, 90.5), (78.0, 82.0)]
    assert next(row for row in found if row["name"] == "random" and row["k"] == 1)["low"] == 70.0


def test_lines_are_told_apart_by_colour_and_by_dashes(tmp_path: Path) -> None:
    svg = drawn(tmp_path, DOCUMENT)
    lines = re.findall(r'aria-roledescription="line mark"[^>]*stroke="([^"]+)"[^>]*?(?:stroke-dasharray="([^"]+)")?/?>', svg)
    assert len(lines) == 4
    assert len(set(lines)) == 4
    assert len({colour for colour, _ in lines}) == 3
    assert len({dashes for _, dashes in lines}) == 4
    assert svg.count('aria-roledescription="area mark"') == 1, "only the random orders have a range"
    for text in (
        "ud/en_ewt, dev, 2,001 sentences",
        "heads ablated (k)",
        "accuracy in points",
        "shaded from the worst to the best",
    ):
        assert text in svg


def test_without_random_orders_nothing_is_said_of_them(tmp_path: Path) -> None:
    svg = drawn(tmp_path, {**DOCUMENT, "orders": DOCUMENT["orders"][:2]})
    assert "shaded" not in svg
    assert 'aria-roledescription="area mark"' not in svg


def test_without_the_extra_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name == "altair":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert curve_picture(DOCUMENT, tmp_path / "c.svg") is None
    assert not (tmp_path / "c.svg").exists()
