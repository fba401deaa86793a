"""Tables of `docs/pruning.md`, from `results/pruning_gain.json` and `search_cost.json`."""

from collections.abc import Mapping
from typing import Any

from page_tables import page_table

MEAN = "mean of the eight"
_RULES = {
    "source best": "best on English dev",
    "source within 0.5": "most heads within 0.5 of it",
    "pooled best": "best on dev of all nine",
    "pooled within 0.5": "most heads within 0.5 of that",
    "agreement": "98 % of words labelled as with all heads",
}
_ORDERS = {
    "ranked": "gradient, lowest first",
    "random": "random",
    "highest": "gradient, highest first",
    "top-down": "layers from the top",
}
_OVER = {"ordinary": "over the ordinary fine-tuning", "own": "over its own k = 0"}
Found = Mapping[str, Any]


def tables(measured: Found) -> dict[str, str]:
    """Markdown of each table of the page that has a row, by the name between its markers."""
    found = measured["tables"]
    made = {
        "gains": gains(found),
        "gains of nested": nested(found),
        "gains by language": by_language(found),
        "order of heads": orders(found),
        "two searches": searches(found),
    }
    return {name: table for name, table in made.items() if table}


def gains(found: Found) -> str:
    """The primary outcome, what chance alone would choose, and the paper's way of reporting."""
    swept = found["sweep, K = 12"]
    if not swept:
        return ""
    rows = [
        ["primary: k chosen on English dev", *_row(swept["chosen on English dev"][MEAN])],
        [
            "best of k = 1..12 on the test of each language",
            *_row(swept["best of k = 1..12 on each test (no p: a maximum)"][MEAN]),
        ],
    ]
    if noise := swept.get("selection noise"):
        half = 1.96 * noise["standard_error"]
        chance = f"{noise['mean']:+.2f} ± {half:.2f}"
        rows.insert(1, [f"chosen like that among {noise['runs']} unpruned runs: chance alone", chance, "", "", "", ""])
        low, high = noise["interval"] or (None, None)
        beyond = f"{noise['gain_minus_noise']:+.2f}" + ("" if low is None else f" ({low:+.2f} to {high:+.2f})")
        rows.insert(2, ["primary, less chance", beyond, "", "", "", ""])
        maximum = noise["of the maximum on test"]
        rows.append(["best of 12 unpruned runs on each test: chance alone", f"{maximum['mean']:+.2f}", "", "", "", ""])
    return page_table(["13 fine-tunings, K = 12", "gain in the mean of the eight", "p", "detectable", "k", "seeds"], rows)


def nested(found: Found) -> str:
    """Both gains under every rule for k."""
    rows = []
    for largest in (12, 72):
        for rule, title in _RULES.items():
            own = found[f"nested, K = {largest}"].get("ranked", {}).get(rule)
            if own:
                ordinary, alone = (own[name][MEAN] for name in _OVER.values())
                rows.append([largest, title, *_row(ordinary)[:3], _gain(alone), *_row(ordinary)[3:]])
    headers = ["gain over the ordinary fine-tuning", "p", "detectable", "gain over its own k = 0", "k", "seeds"]
    return page_table(["K", "k is the", *headers], rows) if rows else ""


def by_language(found: Found) -> str:
    """The gain over the ordinary fine-tuning in every language, k chosen on English dev."""
    named = {
        "sweep, K = 12": found["sweep, K = 12"].get("chosen on English dev"),
        **{
            f"nested, K = {largest}": found[f"nested, K = {largest}"]
            .get("ranked", {})
            .get("source best", {})
            .get(_OVER["ordinary"])
            for largest in (12, 72)
        },
    }
    there = {name: own for name, own in named.items() if own}
    if not there:
        return ""
    languages = [name for name in next(iter(there.values())) if name != MEAN]
    rows = [[name, *(_gain(own[name]) for own in there.values())] for name in languages]
    return page_table(["test", *there], rows)


def orders(found: Found) -> str:
    """What the order of the heads is worth: each control under the same search by two rules for k, and the difference."""
    rows = []
    for largest in (12, 72):
        own = found[f"nested, K = {largest}"]
        for order, title in _ORDERS.items():
            if order in own:
                best, most = (own[order][rule][_OVER["own"]][MEAN] for rule in ("source best", "source within 0.5"))
                less = own.get(f"ranked - {order}, source best")
                by_rule = [_ks(best), _gain(best), _ks(most), _gain(most)]
                rows.append([largest, title, *by_rule, *(_row(less[MEAN])[:2] if less else ["", ""]), best["seeds"]])
    headers = ["best k on English dev", "gain over its own k = 0", "most heads within 0.5 of k = 0", "gain over its own k = 0"]
    return (
        page_table(["K", "order", *headers, "gradient's order less this one at the best k", "p", "seeds"], rows) if rows else ""
    )


def searches(found: Found) -> str:
    """Whether one nested fine-tuning and a fine-tuning for every k see the same differences between k."""
    curves, rows = found["curves over k"], []
    if curves:
        halves, variance = curves["split_half_reliability"], curves["variance_of_differences_between_k"]
        rows = [
            ["correlation of their means over k = 0..12", f"{curves['correlation']:.2f}", ""],
            ["split-half reliability over seeds", f"{halves['nested']:.2f}", f"{halves['sweep']:.2f}"],
            [
                "variance over seeds of a difference between two k, points²",
                f"{variance['nested']:.3f}",
                f"{variance['sweep']:.3f}",
            ],
            ["seeds", str(curves["seeds"]["nested"]), str(curves["seeds"]["sweep"])],
        ]
    return page_table(["", "`nested`", "`sweep`"], rows) if rows else ""


def costs(measured: Found, gains: Found) -> str:
    """What each search costs, and what `nested` finds less `screened`; from `search_cost.json` and `pruning_gain.json`."""
    default, unit, rows = gains["tables"]["default search"], measured["searches"]["screened, K = 12"]["seconds"], []
    for name, own in measured["searches"].items():
        search, largest = name.split(", K = ")
        less = _gain(default["nested minus screened, targets' dev"]) if name == "nested, K = 12" else ""
        passes, seconds = f"{own['passes'] / 1000:.0f}", own["seconds"]
        rows.append(
            [f"`{search}`", largest, f"{own['fine-tunings']:g}", passes, f"{seconds / 60:.0f}", f"{seconds / unit:.2g}", less]
        )
    headers = ["search", "K", "fine-tunings", "thousand passes of a sentence", "minutes of one thread", "times `screened`"]
    return page_table([*headers, "dev of the eight, less `screened`"], rows)


def _row(own: Found) -> list[str]:
    """Gain with its interval, p, the gain that could have been found, the k chosen and seeds."""
    p, least = own.get("p_holm", own.get("p")), own.get("detectable")
    return [_gain(own), "" if p is None else f"{p:.2g}", "" if least is None else f"{least:.2f}", _ks(own), str(own["seeds"])]


def _gain(own: Found) -> str:
    low, high = own["interval"] or (None, None)
    return f"{own['gain']:+.2f}" + ("" if low is None else f" ({low:+.2f} to {high:+.2f})")


def _ks(own: Found) -> str:
    ks = own.get("k") or []
    return " to ".join(map(str, dict.fromkeys((min(ks), max(ks))))) if ks else ""
