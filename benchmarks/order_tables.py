"""Tables of `docs/` on orders of heads, from results/order_quality.json."""

from collections.abc import Mapping
from typing import Any

from page_tables import page_table, with_interval

from polyhead.importance.methods import METHODS

TOP = 5
_FIGURES = {
    "area, K = 36": ("chosen on", "area, K = 36"),
    "area": ("chosen on", "area"),
    "area, other five": ("confirmed on", "area"),
    "minus `gradient`": ("chosen on", "minus gradient"),
    "regret, K = 36": ("chosen on", "regret"),
    "regret, target labels": ("chosen on", "regret against target labels"),
    "kept at k = 36": ("chosen on", "kept at k = 36"),
    "kept at k = 72": ("chosen on", "kept at k = 72"),
}


def tables(measured: Mapping[str, Any]) -> dict[str, str]:
    """Markdown of each table that there are cells for, by the name between its markers."""
    found = {}
    for name, labels in (("orders", "source labels"), ("orders by target labels", "target labels")):
        if rows := measured["orders"][labels]:
            found[name] = orders(rows)
    if rows := measured["nested"]:
        found["orders of nested"] = nested(rows)
    return found


def orders(rows: Mapping[str, Any]) -> str:
    """A row for every order, the largest area up to k = 36 first, those judged at one k alone last."""

    def largest(name: str) -> float:
        return -float(rows[name].get("chosen on", {}).get("area, K = 36", {"value": 0.0})["value"])

    lines = [
        [
            shown(name),
            *(with_interval(rows[name].get(group, {}).get(figure)) for group, figure in _FIGURES.values()),
            number(rows[name]["tau between halves"], 2),
            number(None if (by_layer := rows[name]["pruned by layer"]) is None else sum(by_layer[-TOP:]), 0),
            number(rows[name]["seconds"], 0),
            number(seeds(rows[name]), 0),
        ]
        for name in sorted(rows, key=largest)
    ]
    return page_table(["order", *_FIGURES, "τ between halves", f"of 72, in the top {TOP} layers", "seconds", "seeds"], lines)


def nested(rows: Mapping[str, Any]) -> str:
    """Accuracy of nested fine-tunings."""
    groups = ("chosen on", "confirmed on")
    names = ("accuracy at k = 0", "accuracy at k = 36", "accuracy at k = 72")
    lines = [[shown(name), *(number(own[group][what], 1) for group in groups for what in names)] for name, own in rows.items()]
    headers = [f"{where}: k = {k}" for where in ("en zh ar ja", "the other five") for k in (0, 36, 72)]
    return page_table(["order", *headers], lines)


def shown(name: str) -> str:
    return f"`{name}`" if name in METHODS else f"({name})"


def seeds(row: Mapping[str, Any]) -> int:
    return max(len(summary["seeds"]) for group in ("chosen on", "confirmed on") for summary in row.get(group, {}).values())


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
