"""The heads × layers picture: as text, which needs nothing, and as SVG, which needs the extra `report`."""

import logging
import math
from collections.abc import Collection, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

Scores = Sequence[Sequence[float | None]]


def text_picture(scores: Scores, pruned: Collection[str] = ()) -> str:
    """Heads × layers in characters: 0 to 9 is the tenth of the ranking a head is in (9 = most important), `x` pruned, `-` gone.

    Args:
        scores: `[layers][heads]`, higher = more important; null or NaN for a head that the model no longer has.
        pruned: Addresses `layer.head` of the heads that the run pruned.

    >>> print(text_picture([[0.1, 0.4], [0.3, 0.2]], ["0.0"]))
    layer | head 0 1
        1 |      5 2
        0 |      x 7
    """
    flat = sorted((value, i, j) for i, row in enumerate(scores) for j, value in enumerate(row) if _known(value))
    tenth = {(i, j): 10 * rank // len(flat) for rank, (_, i, j) in enumerate(flat)}
    width = len(str(max(len(row) for row in scores) - 1))
    lines = ["layer | head " + " ".join(f"{j:>{width}}" for j in range(max(len(row) for row in scores)))]
    for i in reversed(range(len(scores))):
        marks = ("x" if f"{i}.{j}" in pruned else str(tenth[i, j]) if (i, j) in tenth else "-" for j in range(len(scores[i])))
        lines.append(f"{i:>5} |      " + " ".join(f"{mark:>{width}}" for mark in marks))
    return "\n".join(lines)


def head_picture(scores: Scores, path: Path, *, pruned: Collection[str] = (), title: str = "") -> Path | None:
    """The path of the SVG written: a heat map of heads × layers with the pruned heads crossed out; None without the extra.

    Args:
        scores: As in `text_picture`.
        path: Where the SVG goes.
        pruned: Addresses of the pruned heads.
        title: Printed above.
    """
    try:
        import altair
        import vl_convert  # noqa: F401 (altair draws SVG with it)
    except ImportError:
        logger.info("no SVG picture: altair and vl-convert-python are not installed (pip install 'polyhead[report]')")
        return None
    rows = [
        {"layer": i, "head": j, "importance": value, "mark": "×" if f"{i}.{j}" in pruned else ""}
        for i, row in enumerate(scores)
        for j, value in enumerate(row)
        if _known(value)
    ]
    base = altair.Chart(altair.Data(values=rows), title=title).encode(
        x=altair.X("head:O", axis=altair.Axis(labelAngle=0)), y=altair.Y("layer:O", sort="descending")
    )
    heat = base.mark_rect().encode(color=altair.Color("importance:Q", scale=altair.Scale(scheme="viridis", zero=True)))
    crosses = base.mark_text(fontSize=18, fontWeight="bold", color="white", stroke="black", strokeWidth=0.5).encode(text="mark:N")
    (heat + crosses).properties(width=altair.Step(28), height=altair.Step(28)).save(str(path))
    return path


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
