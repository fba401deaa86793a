"""`polyhead study new`: a study file to start from."""

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.study_requests import StudyNewRequest
from polyhead.studies.study_presets import study_preset


def study_new(request: StudyNewRequest, console: Console) -> int:
    """Print the file's text."""
    text = study_preset(request.preset)
    console.result({"schema": 1, "preset": request.preset, "text": text}, text)
    return DONE
