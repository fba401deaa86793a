"""Heat maps for comparing scores, as SVG with the extra `report`: correlations of groups, and each group's heads side by side."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyhead.report.pictures import Scores, drawing_library, save_chart

CORRELATION_LEGEND = (
    "Spearman's ρ of head scores, mean over pairs of runs, from −1 (red) by 0 (white) to 1 (blue); "
    "diagonal: between a group's own runs, empty where it has one"
)
RANK_LEGEND = "colour: rank of a head, 0 = least important, 1 = most, mean over a group's runs; empty: no such head"
_CELL = 46  # pixels: room for a number such as -0.12
_SMALL = 16


def correlation_map(names: Sequence[str], values: Scores, path: Path, *, title: str = "") -> Path | None:
    """Draws an SVG and returns its path: groups × groups, coloured by correlation, value in each cell; None without the extra.

    Colours always span −1..1 with 0 in the middle, so that maps are comparable.

    Args:
        names: Of the groups, in the order of rows and columns.
        values: `[groups][groups]`; null or NaN leaves a cell empty.
        path: Where the SVG goes.
        title: Printed above.
    """
    altair = drawing_library()
    return None if altair is None else save_chart(correlation_chart(altair, names, values, title=title), path)


def correlation_chart(altair: Any, names: Sequence[str], values: Scores, *, title: str = "") -> Any:
    """The chart of `correlation_map`."""
    rows = [
        {"one": one, "other": other, "rho": value, "text": f"{value:z.2f}", "dark": abs(value) > 0.65}
        for one, line in zip(names, values, strict=True)
        for other, value in zip(names, line, strict=True)
        if value is not None and not math.isnan(value)
    ]
    domain = altair.Scale(domain=list(names))
    base = altair.Chart(altair.Data(values=rows)).encode(
        x=altair.X("other:N", scale=domain, title=None, axis=altair.Axis(labelAngle=-45, labelLimit=0, orient="bottom")),
        y=altair.Y("one:N", scale=domain, title=None, axis=altair.Axis(labelLimit=0)),
    )
    scale = altair.Scale(domain=[-1, 0, 1], scheme="redblue")
    colour = altair.Color("rho:Q", scale=scale, legend=altair.Legend(title="ρ", values=[-1, -0.5, 0, 0.5, 1]))
    layers = [base.mark_rect().encode(color=colour)]
    for is_dark, ink in ((False, "black"), (True, "white")):
        inked = base.transform_filter(f"datum.dark === {str(is_dark).lower()}")
        layers.append(inked.mark_text(fontSize=12, color=ink).encode(text="text:N"))
    chart = altair.layer(*layers).properties(width=altair.Step(_CELL), height=altair.Step(_CELL))
    return _captioned(altair, chart, title, CORRELATION_LEGEND)


def head_maps(ranks: Mapping[str, Scores], path: Path, *, columns: int = 4, title: str = "") -> Path | None:
    """Draws an SVG and returns its path: one heads × layers map per group, on one colour scale; None without the extra.

    Ranks, unlike scores, have one unit in all methods and languages. Dark heads are the important ones, as in `head_picture`.

    Args:
        ranks: By group `[layers][heads]`, 0 (least important) to 1; null or NaN for a head that is gone.
        path: Where the SVG goes.
        columns: Maps in a row.
        title: Printed above.
    """
    altair = drawing_library()
    return None if altair is None else save_chart(head_maps_chart(altair, ranks, columns=columns, title=title), path)


def head_maps_chart(altair: Any, ranks: Mapping[str, Scores], *, columns: int = 4, title: str = "") -> Any:
    """The chart of `head_maps`."""
    rows = [
        {"group": name, "layer": i, "head": j, "rank": value}
        for name, matrix in ranks.items()
        for i, line in enumerate(matrix)
        for j, value in enumerate(line)
        if value is not None and not math.isnan(value)
    ]
    n_layers = max(len(matrix) for matrix in ranks.values())
    n_heads = max(len(line) for matrix in ranks.values() for line in matrix)
    legend = altair.Legend(title="rank", values=[0, 0.25, 0.5, 0.75, 1], format=".2f")
    small = altair.Axis(labelAngle=0, labelFontSize=9, labelOverlap="parity")
    chart = (
        altair.Chart(altair.Data(values=rows))
        .mark_rect()
        .encode(
            x=altair.X("head:O", axis=small, scale=altair.Scale(domain=[*range(n_heads)])),
            y=altair.Y("layer:O", axis=small, scale=altair.Scale(domain=[*reversed(range(n_layers))])),
            color=altair.Color("rank:Q", scale=altair.Scale(domain=[0, 1], scheme="viridis", reverse=True), legend=legend),
            facet=altair.Facet(
                "group:N", columns=columns, sort=list(ranks), title=None, header=altair.Header(labelFontSize=12, labelLimit=0)
            ),
        )
        .properties(width=altair.Step(_SMALL), height=altair.Step(_SMALL))
        .resolve_axis(x="independent", y="independent")  # shared ones stand under empty places of the last row
    )
    return _captioned(altair, chart, title, RANK_LEGEND)


def _captioned(altair: Any, chart: Any, title: str, legend: str) -> Any:
    caption = altair.TitleParams(title, subtitle=legend.split("; "), anchor="start")
    return chart.properties(title=caption, background="white")
