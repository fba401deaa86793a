"""`python -m polyhead.report.draw FOLDER`: `heads.svg` and `report.html` of a finished run, drawn in a process of its own.

The picture engine is native code, which can end the process that it runs in; a run's results must not depend on that.
"""

import logging
import sys
from pathlib import Path

from polyhead.core.errors import PolyheadError
from polyhead.core.files import write_text_atomic
from polyhead.report.finished_run import finished_run
from polyhead.report.html_page import PAGE, html_page
from polyhead.report.page import PICTURE
from polyhead.report.pictures import cell_chart, write_picture

logger = logging.getLogger(__name__)


def draw(folder: Path) -> None:
    """Draws the files. A missing extra, a damaged file or a full disk is logged: nothing may spoil a run that is finished."""
    try:
        run = finished_run(folder)
        write_picture(folder / PICTURE, lambda altair: cell_chart(altair, run.record.first))
        write_text_atomic(folder / PAGE, html_page([run]))
    except PolyheadError as error:
        logger.warning("no page: %s", error)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    draw(Path(sys.argv[1]))
