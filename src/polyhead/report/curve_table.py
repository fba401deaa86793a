"""The table of areas under pruning curves, with intervals and differences, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from polyhead.report.tables import markdown


def area_table(areas: Sequence[Mapping[str, Any]]) -> str:
    """One row a group of orders: its area, and how it differs from random orders, from highest first and from the oracle.

    Args:
        areas: Those of the document that `polyhead curve` makes.
    """
    rows = []
    with_oracle = any(row["regret"] for row in areas)
    for row in areas:
        cells = [row["group"], _number(row["area"]), _span(row["interval"])]
        for key in ("minus_random", "minus_highest", *(["regret"] if with_oracle else [])):
            found = row[key]
            cells += ["–", "–"] if found is None else [_number(found["difference"], "+"), _span(found["interval"], "+")]
        rows.append(cells)
    headers = ["heads that go", "area", "95 % interval", "minus random", "95 % interval", "minus highest first", "95 % interval"]
    return markdown([*headers, *(["regret", "95 % interval"] if with_oracle else [])], rows)


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.4f}"


def _span(bounds: Sequence[float | None], sign: str = "") -> str:
    return "–" if None in bounds else f"{_number(bounds[0], sign)} to {_number(bounds[1], sign)}"
