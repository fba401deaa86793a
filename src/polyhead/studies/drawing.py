"""The pictures of a run, drawn by another process: whatever ends it, the results are there."""

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

_SECONDS: Final = 600


def draw(folder: Path) -> None:
    """Write `heads.svg` and `report.html` of a finished run; a failure is a warning."""
    places = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    said: list[str] = []
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "polyhead.report.draw", str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        said = done.stderr.strip().splitlines()[-3:]
        fault = (said or [f"drawing ended with status {done.returncode}"])[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        fault = f"drawing took more than {_SECONDS} seconds"
    except OSError as error:
        fault = f"another process cannot be started: {error.strerror or error}"
    if fault:
        said = [f"no page ({fault}); polyhead report {shlex.quote(str(folder))} draws it again"]
    for line in said:
        logger.warning("%s", line)
