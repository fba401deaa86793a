"""Pictures of `docs/shrink.md`: points lost by how many times as fast, with intervals; a panel for each language.

    python benchmarks/shrink_pictures.py      # seconds; needs the extra report; writes docs/images/shrink-*.svg

From results/shrink.json and results/elastic.json alone. A plan whose time was not measured is left out.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

from plan_times import shape_name
from shrink_cells import SHAPES
from shrink_rows import ARMS
from shrink_tables import ARMS as SHOWN
from shrink_tables import ELASTIC, PICTURES, default_sizes, results_of

from polyhead.report.pictures import write_picture

LAYERS = "whole layers, repaired"
WAYS = (*(SHOWN[arm] for arm in ARMS[:3]), ELASTIC, LAYERS)
"""What a front is drawn of, in the order of the legend."""


def rows(asked: Mapping[str, Any], sizes: Mapping[str, Any], shape: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """A point for each language, speed and way: times as fast, points lost and their interval."""
    batch = "{} x {}".format(*shape)
    for key, found in asked.items():
        if not key.startswith("pos: ") or not key.endswith(batch):
            continue
        for rule, arms in (("joint", ARMS[:3]), ("half-layers", ("refit",))):
            own = found["rules"].get(rule, {})
            for arm in arms:
                if arm in own:
                    yield from _points(own, own[arm]["gain"], SHOWN[arm] if rule == "joint" else LAYERS)
    for key, own in default_sizes(sizes).items():
        if key.endswith(f"x.{shape_name(shape)}"):
            yield from _points(own, own["over ordinary"], ELASTIC)


def _points(own: Mapping[str, Any], gain: Mapping[str, Any], way: str) -> Iterator[dict[str, Any]]:
    measured = [value for value in own["speedup_measured"] if value is not None]
    if not measured:
        return
    for language, row in gain.items():
        low, high = (None if row[end] is None else -row[end] for end in ("high", "low"))
        yield {"language": language, "how": way, "fast": median(measured), "lost": -row["points"], "low": low, "high": high}


def front_chart(altair: Any, points: list[dict[str, Any]]) -> Any:
    """A panel for each language, a line for each way."""
    shown = [way for way in WAYS if any(point["how"] == way for point in points)]
    languages = list(dict.fromkeys(point["language"] for point in points))
    base = altair.Chart().encode(
        x=altair.X("fast:Q", title="times as fast, measured", scale=altair.Scale(zero=False)),
        color=altair.Color(
            "how:N", sort=shown, scale=altair.Scale(domain=shown, scheme="tableau10"), legend=altair.Legend(title=None)
        ),
    )
    lost = altair.Y("lost:Q", title="points lost, with their 95 % interval")
    lines = base.mark_line(opacity=0.6).encode(y=lost)
    dots = base.mark_point(filled=True, size=45, opacity=1).encode(y=lost)
    ends = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5).encode(y=altair.Y("low:Q"), y2="high:Q")
    zero = altair.Chart().mark_rule(strokeDash=[3, 3], color="grey").encode(y=altair.datum(0))
    panel = altair.layer(zero, ends, lines, dots, data=altair.Data(values=points)).properties(width=210, height=180)
    return panel.facet(facet=altair.Facet("language:N", sort=languages, title=None), columns=3).resolve_scale(y="independent")


def main() -> None:
    asked, sizes = results_of("shrink").get("asked", {}), results_of("elastic").get("sizes", {})
    for shape in SHAPES:
        points = [*rows(asked, sizes, shape)]
        if not points:
            print(f"{shape_name(shape)}: nothing measured yet", file=sys.stderr)
            continue
        path = write_picture(PICTURES / f"shrink-{shape_name(shape)}.svg", partial(front_chart, points=points))
        print(path or "the extra report is missing", file=sys.stderr)


if __name__ == "__main__":
    main()
