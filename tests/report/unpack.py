"""The data of a page read back, as its script `unpack.js` does."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np


def unpacked(data: Mapping[str, Any]) -> list[Any]:
    """The runs on a page."""

    def opened(value: Any) -> Any:
        if isinstance(value, list):
            return [opened(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "packed" in value:
            return _matrix(value)
        own = {key: opened(part) for key, part in value.items()}
        return data["shared"][own.pop("shared")] | own if "shared" in own else own

    return [opened(run) for run in data["runs"]]


def _matrix(packed: Mapping[str, Any]) -> list[list[float | None]]:
    kind, raw = packed["as"], base64.b64decode(packed["packed"])
    none, scale = {
        "percent": (255, 1),
        "place": (-32768, 1),
        "cents": (-32768, 100),
        "half": (None, 2.0 ** -packed.get("exponent", 0)),
    }[kind]
    numbers = np.frombuffer(raw, dtype={"percent": "u1", "half": "<f2"}.get(kind, "<i2"))
    rows = numbers.reshape(-1, packed["columns"])
    return [[None if value == none or np.isnan(value) else float(value) / scale for value in row] for row in rows]
