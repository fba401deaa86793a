"""Heat maps for comparing scores, drawn with the extra `report`: correlations of groups, and each group's heads side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from polyhead.report.pictures import Scores, captioned, present

CORRELATION_LEGEND = (
    "Spearman's ρ of head scores, mean over pairs of runs, from −1 (red) by 0 (white) to 1 (blue); "
    "diagonal: between a group's own runs, empty where it has one"
)
RANK_LEGEND = "colour: rank of a head, 0 = least important, 1 = most, mean over a group's runs; empty: no such head"
_CELL = 46  # pixels: room for a number such as -0.12
_SMALL = 16
_MAPS_IN_A_ROW = 4


def correlation_chart(altair: Any, names: Sequence[str], values: Scores) -> Any:
    """Groups × groups, coloured by correlation, with the value in each cell.

    Colours always span −1..1 with 0 in the middle, so that maps are comparable.

    Args:
        altair: From `drawing_library`.
        names: Of the groups, in the order of rows and columns.
        values: `[groups][groups]`; null or NaN leaves a cell empty.
    """
    rows = [
        {"one": names[i], "other": names[j], "rho": value, "text": f"{value:z.2f}", "dark": abs(value) > 0.65}
        for i, j, value in present(values)
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
    return captioned(altair, chart, "agreement of head rankings", CORRELATION_LEGEND)


def head_maps_chart(altair: Any, ranks: Mapping[str, Scores]) -> Any:
    """One heads × layers map per group, on one colour scale.

    Ranks, unlike scores, have one unit in all methods and languages. Dark heads are the important ones, as in `head_chart`.

    Args:
        altair: From `drawing_library`.
        ranks: By group `[layers][heads]`, 0 (least important) to 1; null or NaN for a missing head.
    """
    rows = [
        {"group": name, "layer": i, "head": j, "rank": value} for name, matrix in ranks.items() for i, j, value in present(matrix)
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
                "group:N",
                columns=_MAPS_IN_A_ROW,
                sort=list(ranks),
                title=None,
                header=altair.Header(labelFontSize=12, labelLimit=0),
            ),
        )
        .properties(width=altair.Step(_SMALL), height=altair.Step(_SMALL))
        .resolve_axis(x="independent", y="independent")  # shared ones stand under empty places of the last row
    )
    return captioned(altair, chart, "rank of every head", RANK_LEGEND)
