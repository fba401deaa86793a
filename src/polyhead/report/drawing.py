"""The drawing library, which the extra `report` brings, and the two forms in which charts leave: files, and text for a page."""

import logging
from pathlib import Path
from typing import Any

from polyhead.core.errors import SettingError

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
    """The path of the picture written, whole or not at all; its ending says which kind: `.svg`, or `.png` of twice the size.

    Raises:
        SettingError: It cannot be drawn.
        OSError: It cannot be written.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        chart.save(str(part), **({"scale_factor": 2} if path.suffix == ".png" else {}))
        part.replace(path)
    except ValueError as error:
        raise _undrawn(error) from None
    finally:
        part.unlink(missing_ok=True)
    return path


def svg_text(chart: Any) -> str:
    """The chart as the text of an SVG for an `img`, whose marks nothing can read: without their labels it is half as long.

    Raises:
        SettingError: It cannot be drawn.
    """
    import vl_convert

    drawn = chart.to_dict()
    drawn["config"] = {**drawn.get("config", {}), "aria": False}
    try:
        svg: str = vl_convert.vegalite_to_svg(drawn)
    except ValueError as error:
        raise _undrawn(error) from None
    return svg


def _undrawn(error: ValueError) -> SettingError:
    why = (str(error).splitlines() or [""])[0]
    return SettingError(f"a chart cannot be drawn ({why}): install the extra again, pip install 'polyhead[report]'")
