"""The drawing library, which the extra `report` brings, and the two forms in which charts leave: files, and text for a page."""

import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def drawing_library() -> Any:
    """altair, or None where the extra is missing, which is logged."""
    try:
        import altair
        import vl_convert  # noqa: F401 (altair draws SVG and PNG with it)
    except ImportError:
        logger.info("no SVG picture: altair and vl-convert-python are not installed (pip install 'polyhead[report]')")
        return None
    return altair


def save_chart(chart: Any, path: Path) -> Path:
    """The path of the picture written, whole or not at all; its ending says which kind: `.svg`, or `.png` of twice the size."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    chart.save(str(part), **({"scale_factor": 2} if path.suffix == ".png" else {}))
    part.replace(path)
    return path


def svg_text(chart: Any) -> str:
    """The chart as the text of an SVG."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(chart.to_json())
    return svg
