"""Curve files read back: what is refused, and by which name."""

import json
from pathlib import Path
from typing import Any

import pytest
from report.curve_document import AREA, CURVE

from polyhead.core.errors import StoreError
from polyhead.report.curves import read_curve

(ORDER,) = CURVE["orders"]


def test_a_file_or_its_folder_is_read(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text(json.dumps(CURVE), encoding="utf-8")
    assert read_curve(path) == read_curve(tmp_path) == CURVE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema should be 1, found 2"),
        ({"orders": []}, "orders List should have at least 1 item"),
        (
            {"orders": [ORDER | {"direction": "sideways"}]},
            "orders.0.direction should be 'lowest', 'highest', 'random' or 'oracle'",
        ),
        ({"orders": [ORDER, ORDER | {"scores": [90.0]}]}, "orders have 1, 3 scores"),
        ({"data": {"name": "x", "split": "dev", "sentences": "many"}}, "data.sentences should be a valid integer"),
        ({"areas": [{"group": "g"}]}, "areas.0.area is missing"),
        ({"areas": []}, "areas List should have at least 1 item"),
        ({"areas": [AREA | {"change": {"low": [0.0], "high": "x"}}]}, "areas.0.change.high should be a valid list"),
        ({"areas": [AREA | {"change": {"low": [0.0], "high": [0.0]}}]}, "orders have 1, 3 scores"),
    ],
)
def test_what_is_no_curve_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CURVE | change), encoding="utf-8")
    with pytest.raises(StoreError, match="not a pruning curve, or damaged") as caught:
        read_curve(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
