"""Renews the tables of the pages in `docs/` that have any, from METHODS and the measured results."""

import re
from pathlib import Path
from statistics import fmean
from typing import Any

import gain_tables
import order_tables
import page_tables
import shrink_tables
from page_tables import page_table, with_interval

from polyhead.core.files import read_json
from polyhead.core.values import counted
from polyhead.importance.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(sorted((ROOT / "docs").glob("*.md")))
RESULTS = ROOT / "benchmarks" / "results" / "methods.json"
ORDERS = RESULTS.with_name("order_quality.json")
SEARCHES = RESULTS.with_name("search_cost.json")
GAINS = RESULTS.with_name("pruning_gain.json")
TYPES = RESULTS.with_name("model_types.json")


def tables() -> dict[str, str]:
    """Markdown of each table, by the name between its markers."""
    found = {"needs": needs()}
    if RESULTS.is_file():
        measured = read_json(RESULTS)
        found |= {"quality": quality(measured), "differences": differences(measured)}
    if TYPES.is_file():
        found |= {"model types": model_types(read_json(TYPES)["types"])}
    if ORDERS.is_file():
        found |= order_tables.tables(read_json(ORDERS))
    if GAINS.is_file():
        found |= gain_tables.tables(read_json(GAINS))
        if SEARCHES.is_file():
            found["cost of searches"] = gain_tables.costs(read_json(SEARCHES), read_json(GAINS))
    return found | page_tables.tables() | shrink_tables.tables()


def needs() -> str:
    """What each method costs and promises."""
    rows = [
        [
            f"`{row.name}`",
            row.summary,
            f"{row.forward.text} + {row.backward.text}",
            row.needs,
            row.sign,
            ", ".join(_held(row)) or "-",
            row.memory,
            row.source,
        ]
        for row in METHODS.values()
    ]
    names = ["method", "what it scores", "passes: forward + backward", "needs", "sign", "promises", "memory", "source"]
    return page_table(names, rows)


def model_types(found: dict[str, dict[str, str]]) -> str:
    """What became of each token-classification type, those that work first."""
    said = {"row": "works: a row", "proven": "works: proposed and proven", "refused": "refused", "not built": "not tried"}
    order = [*said, "wrong"]
    rows = [
        [f"`{name}`", said.get(row["verdict"], "wrong"), row.get("heads", "") or row["why"].replace("|", "\\|")]
        for name, row in sorted(found.items(), key=lambda item: (order.index(item[1]["verdict"]), item[0]))
    ]
    return page_table(["type", "verdict", "where its heads are, or why not"], rows)


def _held(row: Any) -> list[str]:
    promises = {
        "dead head is 0": row.dead_head_is_zero,
        "finds planted": row.finds_planted,
        "batch-invariant": row.batch_invariant,
    }
    return [text for text, is_promised in promises.items() if is_promised]


def quality(measured: dict[str, Any]) -> str:
    """Area, regret and agreement with the oracle, sorted by area on the languages that the default was chosen on."""
    found = measured["methods"] | measured["orders"]
    known = [name for name, row in found.items() if row["cells"]]
    known.sort(key=lambda name: -found[name].get("pooled", {}).get("chosen on", found[name]["area"]["en"])["value"])
    rows = [
        [
            f"`{name}`" if name in METHODS else f"({name})",
            *(with_interval(found[name].get("pooled", {}).get(group)) for group in ("chosen on", "confirmed on", "all")),
            *(with_interval(found[name].get("pooled_regret", {}).get(group)) for group in ("chosen on", "all")),
            _agreement(found[name].get("agreement_with_oracle", {})),
            _mean_kept(found[name]["at_k_24"]),
            _cells(found[name]["cells"]),
        ]
        for name in known
    ]
    names = [
        "order",
        "area: en ar zh",
        "area: the other six",
        "area: all nine",
        "regret: en ar zh",
        "regret: all nine",
        "oracle: τ, lowest 24",
        "kept at k = 24",
        "cells",
    ]
    return page_table(names, rows)


def differences(measured: dict[str, Any]) -> str:
    """The default's area minus that of each other method, paired."""
    rows = []
    for name, groups in measured["default_against"].items():
        by_group = {entry["group"]: entry for entry in groups}
        rows.append(
            [
                f"`{name}`" if name in METHODS else name,
                *(with_interval(by_group[g], is_gain=True) for g in ("chosen on", "confirmed on", "all")),
            ]
        )
    return page_table(["`gradient` minus", "en ar zh", "the other six", "all nine"], rows)


def _agreement(by_language: dict[str, Any]) -> str:
    """Means over the languages measured."""
    if not by_language:
        return "-"
    means = [fmean(found[name] for found in by_language.values()) for name in ("kendall", "lowest_24")]
    return f"{means[0]:.2f}, {means[1]:.2f}"


def _mean_kept(by_language: dict[str, float]) -> str:
    return f"{fmean(by_language.values()):.3f}"


def _cells(cells: dict[str, list[int]]) -> str:
    n_seeds = {len(seeds) for seeds in cells.values()}
    seeds = counted(*n_seeds, "seed") if len(n_seeds) == 1 else f"{min(n_seeds)} to {max(n_seeds)} seeds"
    return f"{len(cells)} languages × {seeds}" if len(cells) > 3 else f"{' '.join(cells)} × {seeds}"


_EMPTY = re.compile(r"(<!-- (?P<name>[^>]+) -->\n)\s*(<!-- end of (?P=name) -->)")


def renewed(text: str) -> str:
    """The page with every table between `<!-- NAME -->` and `<!-- end of NAME -->` renewed; where there is none, it is said."""
    for name, table in tables().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        text = pattern.sub(lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text)
    return _EMPTY.sub(r"\1\n*Not measured yet.*\n\n\3", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
