"""A pruning curve read from the file that `polyhead curve` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # typing's own cannot be checked before Python 3.12

from polyhead.report.document import fault_text, read_content, unusable
from polyhead.report.tables import markdown, shown_interval, shown_number, title

CURVE = "curve.json"
Number = Annotated[float, Field(allow_inf_nan=False)]
MaybeBounds = Annotated[list[Number | None], Field(min_length=2, max_length=2)]


class _Data(TypedDict):
    name: str
    split: str
    sentences: int


class _Order(TypedDict):
    group: str
    name: str
    direction: Literal["lowest", "highest", "random", "oracle"]
    scores: Annotated[list[Number], Field(min_length=1)]


class _Difference(TypedDict):
    difference: Number | None
    interval: MaybeBounds


class _Change(TypedDict):
    low: list[Number]
    high: list[Number]


class _Area(TypedDict):
    group: str
    area: Number | None
    interval: MaybeBounds
    change: _Change | None
    minus_random: _Difference | None
    minus_highest: _Difference | None
    regret: _Difference | None


class _Curve(TypedDict):
    schema: Literal[1]
    model: str
    main_metric: str
    data: _Data
    orders: Annotated[list[_Order], Field(min_length=1)]
    areas: Annotated[list[_Area], Field(min_length=1)]


def read_curve(path: Path) -> Mapping[str, Any]:
    """The document in a curve file.

    Args:
        path: `curve.json`, or the folder that `polyhead curve --out` wrote.

    Raises:
        StoreError: The file cannot be read or is not one.
    """
    path = path / CURVE if path.is_dir() else path
    what, then = "a pruning curve", f"give the {CURVE} that polyhead curve --out writes"
    document = read_content(path, what, then=then)
    try:
        TypeAdapter(_Curve).validate_python(document, strict=True)
        scores = [order["scores"] for order in document["orders"]]
        scores += [change[end] for row in document["areas"] if (change := row["change"]) for end in ("low", "high")]
        if len(lengths := {len(values) for values in scores}) > 1:
            raise ValueError(f"orders have {', '.join(map(str, sorted(lengths)))} scores; expected equally many")
    except ValueError as error:
        raise unusable(path, what, fault_text(error), then=then) from None
    return dict(document)


# What a direction is called, and its dashes, which tell it apart without colour.
_DIRECTIONS = {
    "lowest": ("lowest first", [1, 0]),
    "highest": ("highest first", [6, 4]),
    "random": ("random", [2, 2]),
    "oracle": ("oracle", [10, 3, 2, 3]),
}


def curve_chart(altair: Any, document: Mapping[str, Any]) -> Any:
    """One line per group of orders, mean and range for random orders; colour shows an order's source, dashes its direction.

    Args:
        altair: From `drawing_library`.
        document: The content of `curve.json`.
    """
    rows = points(document)
    names = list(dict.fromkeys(row["name"] for row in rows))
    dashes = dict(_DIRECTIONS[order["direction"]] for order in document["orders"])
    base = altair.Chart(altair.Data(values=rows)).encode(
        x=altair.X("k:Q", title="heads ablated (k)", axis=altair.Axis(tickMinStep=1)),
        color=altair.Color(
            "name:N",
            title="order from",
            sort=names,
            scale=altair.Scale(domain=names, scheme="category20" if len(names) > 10 else "tableau10"),
            legend=altair.Legend(symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3),
        ),
        detail="group:N",
    )
    metric = f"{title(document['main_metric'])} in points"
    line = base.mark_line(strokeWidth=2).encode(
        y=altair.Y("score:Q", title=metric, scale=altair.Scale(zero=False)),
        strokeDash=altair.StrokeDash(
            "direction:N",
            title="removed",
            sort=list(dashes),
            scale=altair.Scale(domain=list(dashes), range=list(dashes.values())),
        ),
    )
    band = base.transform_filter("datum.low < datum.high").mark_area(opacity=0.2).encode(y="low:Q", y2="high:Q")
    data = document["data"]
    subtitle = [f"{data['name']}, {data['split']}, {data['sentences']:,} sentences; nothing retrained"]
    if any(row["change"] for row in document["areas"]):
        subtitle.append("shaded: 95 % interval of the change from k = 0: this model, other sentences")
    if any(len(orders) > 1 for orders in by_group(document).values()):
        subtitle.append("random: mean of the orders, shaded from the worst to the best")
    caption = altair.TitleParams(f"score against heads ablated: {document['model']}", subtitle=subtitle, anchor="start")
    return altair.layer(band, line).properties(title=caption, width=520, height=340)


def points(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per group of orders and k: the mean score of its orders, and the shaded range around it.

    The range is worst to best for several orders; for one, the interval of the change from k = 0, if the document has it.
    """
    changes = {row["group"]: row["change"] for row in document["areas"]}
    rows = []
    for group, own in by_group(document).items():
        change = changes.get(group)
        for k, scores in enumerate(zip(*(order["scores"] for order in own), strict=True)):
            low, high = min(scores), max(scores)
            if change is not None and len(own) == 1:
                first = own[0]["scores"][0]
                low, high = first + change["low"][k], first + change["high"][k]
            facts = {"group": group, "name": own[0]["name"], "direction": _DIRECTIONS[own[0]["direction"]][0]}
            rows.append({**facts, "k": k, "score": fmean(scores), "low": low, "high": high})
    return rows


def by_group(document: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The orders of each group."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for order in document["orders"]:
        groups.setdefault(order["group"], []).append(order)
    return groups


def area_table(areas: Sequence[Mapping[str, Any]]) -> str:
    """One row per group of orders: its area, and differences from random orders, highest first and the oracle.

    Args:
        areas: `areas` of the curve's document.
    """
    others = {"minus_random": "minus random", "minus_highest": "minus highest first"}
    if any(row["regret"] for row in areas):
        others["regret"] = "regret"
    rows = []
    for row in areas:
        found = [row[key] or {"difference": None, "interval": None} for key in others]
        pairs = [(shown_number(own["difference"], "+.4f"), shown_interval(own["interval"], "+.4f")) for own in found]
        area = [shown_number(row["area"], ".4f"), shown_interval(row["interval"], ".4f")]
        rows.append([row["group"], *area, *(cell for pair in pairs for cell in pair)])
    headers = [header for name in ("area", *others.values()) for header in (name, "95 % interval")]
    return markdown(["order", *headers], rows)
