"""Curve files read back: what is refused, and by which name."""

import json
from pathlib import Path
from typing import Any

import pytest

from polyhead.core.errors import StoreError
from polyhead.report.curves import read_curve

ORDER = {"group": "g", "name": "gradient", "direction": "lowest", "scores": [90.0, 89.0]}
CURVE: dict[str, Any] = {
    "schema": 1,
    "model": "m",
    "main_metric": "accuracy",
    "data": {"name": "ud/en_ewt", "split": "dev", "sentences": 512},
    "orders": [ORDER],
}


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
        ({"orders": [ORDER, ORDER | {"scores": [90.0]}]}, "orders have 1, 2 scores"),
        ({"data": {"name": "x", "split": "dev", "sentences": "many"}}, "data.sentences should be a valid integer"),
        ({"areas": [{"group": "g"}]}, "areas.0.area is missing"),
    ],
)
def test_what_is_no_curve_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CURVE | change), encoding="utf-8")
    with pytest.raises(StoreError, match="not a curve") as caught:
        read_curve(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
