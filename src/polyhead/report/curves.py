"""A pruning curve read from the file that `polyhead curve` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # typing's own cannot be checked before Python 3.12

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json
from polyhead.report.pictures import drawing_library, save_chart
from polyhead.report.record import fault_text
from polyhead.report.tables import markdown, title

CURVE = "curve.json"
Number = Annotated[float, Field(allow_inf_nan=False)]
MaybeBounds = Annotated[list[Number | None], Field(min_length=2, max_length=2)]


class CurveDataForm(TypedDict):
    """The text that the orders were scored on."""

    name: str
    split: str
    sentences: int


class OrderForm(TypedDict):
    """One order of heads and the score after each pruned head."""

    group: str
    name: str
    direction: Literal["lowest", "highest", "random", "oracle"]
    scores: Annotated[list[Number], Field(min_length=1)]


class DifferenceForm(TypedDict):
    """An area minus another one."""

    difference: Number | None
    interval: MaybeBounds


class AreaForm(TypedDict):
    """The area under the curve of a group of orders."""

    group: str
    area: Number | None
    interval: MaybeBounds
    minus_random: DifferenceForm | None
    minus_highest: DifferenceForm | None
    regret: DifferenceForm | None


class CurveForm(TypedDict):
    """A whole curve file."""

    schema: Literal[1]
    model: str
    main_metric: str
    data: CurveDataForm
    orders: Annotated[list[OrderForm], Field(min_length=1)]
    areas: NotRequired[list[AreaForm] | None]


def read_curve(path: Path) -> Mapping[str, Any]:
    """The document in a curve file.

    Args:
        path: `curve.json`, or the folder that `polyhead curve --out` wrote.

    Raises:
        StoreError: The file cannot be read or is not one.
    """
    path = path / CURVE if path.is_dir() else path
    document: Any = read_json(path)
    if fault := _fault(document):
        raise StoreError(f"{path}: not a curve ({fault}); give the {CURVE} that polyhead curve --out leaves")
    return dict(document)


def _fault(document: Any) -> str | None:
    try:
        TypeAdapter(CurveForm).validate_python(document, strict=True)
    except ValidationError as error:
        return fault_text(error)
    lengths = {len(order["scores"]) for order in document["orders"]}
    return None if len(lengths) == 1 else f"orders have {', '.join(map(str, sorted(lengths)))} scores; expected equally many"


# Dashes tell the directions apart without colour.
_DASHES = {"lowest first": [1, 0], "highest first": [6, 4], "random": [2, 2], "oracle": [10, 3, 2, 3]}
_SPOKEN = {"lowest": "lowest first", "highest": "highest first", "random": "random", "oracle": "oracle"}


def curve_picture(document: Mapping[str, Any], path: Path) -> Path | None:
    """Draws an SVG and returns its path: one line per group of orders, mean and range for random orders; None without the extra.

    Colour shows the source of the order, dashes its direction.

    Args:
        document: The content of `curve.json`.
        path: The SVG file.
    """
    altair = drawing_library()
    return None if altair is None else save_chart(curve_chart(altair, document), path)


def curve_chart(altair: Any, document: Mapping[str, Any]) -> Any:
    """The chart of `curve_picture`."""
    rows = points(document)
    names = list(dict.fromkeys(row["name"] for row in rows))
    heads = [_SPOKEN[key] for key in dict.fromkeys(order["direction"] for order in document["orders"])]
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
            "goes:N", title="removed", sort=heads, scale=altair.Scale(domain=heads, range=[_DASHES[name] for name in heads])
        ),
    )
    band = base.transform_filter("datum.low < datum.high").mark_area(opacity=0.2).encode(y="low:Q", y2="high:Q")
    data = document["data"]
    subtitle = [
        f"{data['name']}, {data['split']}, {data['sentences']:,} sentences; nothing retrained",
        *(["shaded: 95 % interval of the change from k = 0: this model, other sentences"] if _has_changes(document) else []),
        *(["random: mean of the orders, shaded from the worst to the best"] if _SPOKEN["random"] in heads else []),
    ]
    caption = altair.TitleParams(f"score against heads ablated: {document['model']}", subtitle=subtitle, anchor="start")
    return altair.layer(band, line).properties(title=caption, width=520, height=340)


def points(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per group of orders and k: the mean score of its orders, and the shaded range around it.

    The range is worst to best for random orders; for others, the interval of the change from k = 0, if the document has it.
    """
    changes = {row["group"]: row["change"] for row in document.get("areas") or () if row.get("change")}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for order in document["orders"]:
        groups.setdefault(order["group"], []).append(order)
    return [
        {
            "group": group,
            "name": own[0]["name"],
            "goes": _SPOKEN[own[0]["direction"]],
            "k": k,
            "score": fmean(scores),
            **_shaded(own, k, scores, changes.get(group)),
        }
        for group, own in groups.items()
        for k, scores in enumerate(zip(*(order["scores"] for order in own), strict=True))
    ]


def _shaded(
    orders: Sequence[Mapping[str, Any]], k: int, scores: Sequence[float], change: Mapping[str, Sequence[float]] | None
) -> dict[str, float]:
    if change is None or orders[0]["direction"] == "random":
        return {"low": min(scores), "high": max(scores)}
    first = fmean(order["scores"][0] for order in orders)
    return {"low": first + change["low"][k], "high": first + change["high"][k]}


def _has_changes(document: Mapping[str, Any]) -> bool:
    return any(row.get("change") for row in document.get("areas") or ())


def area_table(areas: Sequence[Mapping[str, Any]]) -> str:
    """One row per group of orders: its area, and differences from random orders, highest first and the oracle.

    Args:
        areas: `areas` of the curve's document.
    """
    rows = []
    with_oracle = any(row["regret"] for row in areas)
    for row in areas:
        cells = [row["group"], _number(row["area"]), _span(row["interval"])]
        for key in ("minus_random", "minus_highest", *(["regret"] if with_oracle else [])):
            found = row[key]
            cells += ["–", "–"] if found is None else [_number(found["difference"], "+"), _span(found["interval"], "+")]
        rows.append(cells)
    headers = ["order", "area", "95 % interval", "minus random", "95 % interval", "minus highest first", "95 % interval"]
    return markdown([*headers, *(["regret", "95 % interval"] if with_oracle else [])], rows)


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.4f}"


def _span(bounds: Sequence[float | None], sign: str = "") -> str:
    return "–" if None in bounds else f"{_number(bounds[0], sign)} to {_number(bounds[1], sign)}"
