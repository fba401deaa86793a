"""The committed examples are what today's code makes of their kept files."""

from pathlib import Path

import pytest

from polyhead.report.finished_run import finished_run
from polyhead.report.page import PICTURE, page

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", ["demo", "en-pos"])
def test_the_page_of_an_example_is_up_to_date(name: str) -> None:
    text = page(finished_run(EXAMPLES / name).record, picture=PICTURE)
    renew = "polyhead.report.page.write_report writes report.md, python -m polyhead.report.draw the picture and report.html"
    assert (EXAMPLES / name / "report.md").read_text(encoding="utf-8") == text, renew
