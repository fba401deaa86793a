"""`python -m polyhead.report.draw FOLDER`: `heads.svg` and `report.html` of a finished run, drawn in a process of its own.

The picture engine is native code, which can end the process that it runs in; a run's results must not depend on that.
"""

import logging
import sys
from pathlib import Path

from polyhead.core.errors import PolyheadError
from polyhead.report.finished_run import finished_run
from polyhead.report.html_page import write_html_page
from polyhead.report.page import draw_heads

logger = logging.getLogger(__name__)


def draw(folder: Path) -> None:
    """Draws the files; failures are logged."""
    try:
        draw_heads(finished_run(folder).record, folder)
    except (PolyheadError, OSError) as error:
        logger.warning("no picture of the heads: %s", error)
    write_html_page(folder)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    draw(Path(sys.argv[1]))
