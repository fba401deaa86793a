"""The page as text: one file, nothing that can leave its place, and a run that is never lost for want of it."""

import json
import re
from pathlib import Path

import pytest
from report.page_case import write_run

from polyhead.errors import SettingError
from polyhead.report import html_page as module
from polyhead.report.finished_run import finished_run
from polyhead.report.html_page import as_html, html_page, write_html_page


def test_names_and_sentences_cannot_end_the_script(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path / "one"))
    assert run.heads is not None
    run.heads["languages"][0]["examples"][0]["words"][0] = "</script><script>alert(1)</script>"
    page = html_page([run])
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["runs"][0]["languages"][0]["examples"][0]["words"][0].startswith("</script>")
    assert page.count("<script") == 2


def test_markdown_becomes_tables_that_scroll_and_markup_stays_text() -> None:
    found = as_html("| a | b |\n|:--|--:|\n| <b>x</b> | ![p](http://x/y.png) |")
    assert found.startswith('<div class="scroll"')
    assert "&lt;b&gt;x&lt;/b&gt;" in found
    assert "<img" not in found


def test_a_page_that_cannot_be_drawn_is_only_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = write_run(tmp_path / "one")
    assert write_html_page(run) == run / "report.html"
    (run / "heads.json").write_text("{}", encoding="utf-8")
    assert write_html_page(run) is None
    assert "heads.json: not the heads of this run" in caplog.text
    monkeypatch.setattr(module, "drawing_library", lambda: None)
    assert write_html_page(write_run(tmp_path / "two")) is None
    assert "pip install 'polyhead[report]'" in caplog.text
    with pytest.raises(SettingError, match="pip install"):
        html_page([finished_run(tmp_path / "two")])
