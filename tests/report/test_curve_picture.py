"""The picture of pruning curves: a line a group, random orders as a mean with their range, nothing without the extra."""

import re
from pathlib import Path
from typing import Any

import pytest
from report.curve_document import AREA

from polyhead.report.curves import curve_chart, points
from polyhead.report.pictures import write_picture


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
    "areas": [],
}


def drawn(folder: Path, document: dict[str, Any]) -> str:
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    path = write_picture(folder / "c.svg", lambda altair: curve_chart(altair, document))
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
    assert {row["direction"] for row in found} == {"lowest first", "highest first", "random", "oracle"}


def test_an_order_is_shaded_by_the_interval_of_its_change_where_there_is_one() -> None:
    rows = [AREA, AREA | {"group": "random (2 orders)"}]
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
