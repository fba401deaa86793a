"""How charts are drawn, with the extra `report`; the heads × layers picture, as a chart and as text, which needs no extra."""

import logging
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from polyhead.core.errors import SettingError
from polyhead.core.files import write_bytes_atomic
from polyhead.report.reading import chosen_heads
from polyhead.report.record import CellRecord

logger = logging.getLogger(__name__)


def drawing_library() -> Any:
    """altair, or None where the extra is missing, which is logged."""
    try:
        import altair
        import vl_convert  # noqa: F401 (draws altair's charts)
    except ImportError:
        logger.info("no SVG picture: altair and vl-convert-python are not installed (pip install 'polyhead[report]')")
        return None
    return altair


def write_picture(path: Path, chart: Callable[[Any], Any]) -> Path | None:
    """Draws an SVG and returns its path; None without the extra.

    Args:
        path: The file; an older one is replaced atomically.
        chart: Makes the chart, given altair.

    Raises:
        SettingError: It cannot be drawn.
        StoreError: It cannot be written.
    """
    altair = drawing_library()
    if altair is None:
        return None
    write_bytes_atomic(path, picture_bytes(chart(altair), ".svg"))
    return path


def picture_bytes(chart: Any, kind: str, *, labels: bool = True) -> bytes:
    """The content of a picture's file.

    Args:
        chart: From altair.
        kind: `.svg`, or `.png` for one of twice the size.
        labels: Whether marks of an SVG are labelled for screen readers, which doubles its length; useless inside an `img`.

    Raises:
        SettingError: It cannot be drawn.
    """
    import vl_convert

    drawn = chart.to_dict(validate=False)  # validation takes longer than drawing
    if not labels:
        drawn["config"] = {**drawn.get("config", {}), "aria": False}
    try:
        if kind == ".png":
            return vl_convert.vegalite_to_png(drawn, scale=2)
        svg: str = vl_convert.vegalite_to_svg(drawn)
    except ValueError as error:
        why = (str(error).splitlines() or [""])[0]
        raise SettingError(f"a chart cannot be drawn ({why}): install the extra again, pip install 'polyhead[report]'") from None
    return svg.encode()


Scores = Sequence[Sequence[float | None]]
PICTURE_LEGEND = (
    "number and colour: place in the ranking (1 = lowest, pruned first); × in a black frame: pruned; empty: no such head"
)
_CELL = 34  # pixels: room for a cross above a number of three digits


def text_picture(scores: Scores, pruned: Collection[str] = ()) -> str:
    """Heads × layers as text: 0 to 9 is a head's tenth of the ranking (9 = most important), `x` pruned, `-` missing.

    Args:
        scores: `[layers][heads]`, higher = more important; null or NaN for a head that the model no longer has.
        pruned: Addresses `layer.head` of the heads that the run pruned.

    >>> print(text_picture([[0.1, 0.4], [0.3, 0.2]], ["0.0"]))
    layer | head 0 1
        1 |      5 2
        0 |      x 7
    """
    place = places(scores)
    tenth = {address: 10 * (n - 1) // len(place) for address, n in place.items()}
    width = len(str(max(len(row) for row in scores) - 1))
    lines = ["layer | head " + " ".join(f"{j:>{width}}" for j in range(max(len(row) for row in scores)))]
    for i in reversed(range(len(scores))):
        marks = ("x" if f"{i}.{j}" in pruned else str(tenth[i, j]) if (i, j) in tenth else "-" for j in range(len(scores[i])))
        lines.append(f"{i:>5} |      " + " ".join(f"{mark:>{width}}" for mark in marks))
    return "\n".join(lines)


def cell_chart(altair: Any, cell: CellRecord) -> Any:
    """The heads of a seed, those that it pruned crossed."""
    return head_chart(altair, cell.scores, pruned=chosen_heads(cell), title=f"importance of heads, seed {cell.seed}")


def head_chart(altair: Any, scores: Scores, *, pruned: Collection[str], title: str) -> Any:
    """Heads × layers by place in the ranking, pruned heads crossed and framed.

    Every head has its place as a number (1 = lowest score) and as a colour whose steps are even in place and whose lightness
    falls throughout, so that low heads are told apart, in grey too. Arguments as in `text_picture`.
    """
    place = places(scores)
    last = max(place.values(), default=1)
    rows = [
        {"layer": i, "head": j, "place": n, "pruned": f"{i}.{j}" in pruned, "dark": n > 0.55 * last}
        for (i, j), n in sorted(place.items())
    ]
    base = altair.Chart(altair.Data(values=rows)).encode(
        x=altair.X("head:O", axis=altair.Axis(labelAngle=0), scale=altair.Scale(domain=[*range(max(map(len, scores)))])),
        y=altair.Y("layer:O", scale=altair.Scale(domain=[*reversed(range(len(scores)))])),
    )
    scale = altair.Scale(domain=[1, max(last, 2)], scheme="viridis", reverse=True)
    legend = altair.Legend(
        title=["place in ranking", "(1 = lowest)"], values=sorted({1, *(last * q // 4 for q in (1, 2, 3, 4))} - {0})
    )
    layers = [base.mark_rect().encode(color=altair.Color("place:Q", scale=scale, legend=legend))]
    framed = base.transform_filter("datum.pruned")
    layers.append(framed.mark_rect(filled=False, stroke="black", strokeWidth=2.5, width=_CELL - 3, height=_CELL - 3))
    for is_dark, ink in ((False, "black"), (True, "white")):
        inked = base.transform_filter(f"datum.dark === {str(is_dark).lower()}")
        layers.append(inked.transform_filter("!datum.pruned").mark_text(fontSize=10, color=ink).encode(text="place:Q"))
        crossed = inked.transform_filter("datum.pruned")
        layers.append(crossed.mark_text(fontSize=10, color=ink, dy=9).encode(text="place:Q"))
        layers.append(crossed.mark_text(fontSize=22, fontWeight="bold", color=ink, dy=-5, text="×"))
    chart = altair.layer(*layers).properties(width=altair.Step(_CELL), height=altair.Step(_CELL))
    return captioned(altair, chart, title, PICTURE_LEGEND)


def captioned(altair: Any, chart: Any, title: str, legend: str) -> Any:
    """The chart with a title and, below it, each part of its legend on a line."""
    return chart.properties(title=altair.TitleParams(title, subtitle=legend.split("; "), anchor="start"))


def places(scores: Scores) -> dict[tuple[int, int], int]:
    """Place of every head (layer, head) in the ranking: 1 has the lowest score, ties go by address; missing heads have none.

    >>> places([[0.1, 0.4], [None, 0.2]])
    {(0, 0): 1, (1, 1): 2, (0, 1): 3}
    """
    flat = sorted((value, i, j) for i, j, value in present(scores))
    return {(i, j): place for place, (_, i, j) in enumerate(flat, start=1)}


def present(matrix: Scores) -> Iterator[tuple[int, int, float]]:
    """Row, column and value of all values but null and NaN."""
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if value is not None and not math.isnan(value):
                yield i, j, value
