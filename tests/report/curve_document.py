"""The content of a `curve.json`, for tests."""

from typing import Any

AREA: dict[str, Any] = {
    "group": "gradient, lowest first",
    "area": 0.97,
    "interval": [0.96, 0.98],
    "change": {"low": [0.0, -2.0, -12.0], "high": [0.0, 0.5, -8.0]},
    "minus_random": {"difference": 0.1, "interval": [0.05, 0.15]},
    "minus_highest": None,
    "regret": None,
}
CURVE: dict[str, Any] = {
    "schema": 1,
    "model": "a-model",
    "main_metric": "accuracy",
    "data": {"name": "ud/en_ewt", "split": "dev", "sentences": 512},
    "orders": [{"group": "gradient, lowest first", "name": "gradient", "direction": "lowest", "scores": [90.0, 89.0, 80.0]}],
    "areas": [AREA],
}
