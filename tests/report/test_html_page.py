"""The page as text: complete in itself, small, markup in names kept harmless; a run is never lost to it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report import page_case, profile_case
from report.page_case import edited, write_run
from report.unpack import unpacked

from polyhead.report import html_page as module
from polyhead.report.finished_run import finished_run, finished_runs
from polyhead.report.html_page import as_html, html_page

pytest.importorskip("altair", reason="needs the extra report")
pytest.importorskip("vl_convert", reason="needs the extra report")
pytest.importorskip("jinja2", reason="needs the extra report")

XLM_R_LARGE = (24, 16)


def facts(page: str) -> list[dict[str, Any]]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    found: list[dict[str, Any]] = unpacked(json.loads(data))
    return found


def test_sections_stand_in_order_the_map_before_the_tables(tmp_path: Path) -> None:
    page = html_page([finished_run(write_run(tmp_path))])
    assert re.findall(r'<section id="(\w+)">', page) == ["gains", "heads", "agreement", "curves", "trials", "scores", "sources"]
    assert page.index('id="headline"') < page.index('id="gains"')


def test_no_text_of_a_run_ends_a_script_or_becomes_markup(tmp_path: Path) -> None:
    evil = '</script><script>alert("x")</script><!--\u2028'
    run = edited(write_run(tmp_path), lambda record: record["settings"].update(sources=[evil]))
    assert run.heads is not None
    (first, *others), (left, *_) = run.heads.languages, run.heads.left_out
    first.examples[0].words[0] = evil
    run.record.environment["host"] = evil
    languages, left_out = [first.model_copy(update={"name": evil}), *others], [left.model_copy(update={"why": evil})]
    heads = run.heads.model_copy(update={"languages": languages, "left_out": left_out})
    page = html_page([replace(run, heads=heads)])
    assert page.count("</script>") == 2
    assert '<script>alert("x")' not in page
    assert facts(page)[0]["languages"][0]["examples"][0]["words"][0] == evil


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in ten languages."""
    more = {f"q{letter}": profile_case.SENTENCES["de"] for letter in "abcde"}
    monkeypatch.setattr(profile_case, "SENTENCES", profile_case.SENTENCES | more)
    monkeypatch.setattr(page_case, "TARGETS", (*page_case.TARGETS, *((f"ud/{code}_x", code) for code in more)))


@pytest.mark.slow
@pytest.mark.usefixtures("large")
def test_pages_stay_small_and_say_what_they_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = html_page([finished_run(write_run(tmp_path / "one", shape=XLM_R_LARGE))])
    assert len(one.encode("utf-8")) < 1_500_000
    monkeypatch.setattr(module, "_LARGEST_OF_ONE", 500_000)
    small = html_page([finished_run(tmp_path / "one")])
    assert len(small.encode("utf-8")) < 520_000
    assert facts(small)[0]["slimmed"][0] == "second example sentences"
    assert facts(one)[0]["slimmed"] == []
    for own in facts(small)[0]["languages"]:
        assert len(own["difference"]) == 24, "what the map shows is never left out"


@pytest.mark.slow
@pytest.mark.usefixtures("large")
def test_the_room_is_shared_among_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1_500_000)
    page = html_page(finished_runs([write_run(tmp_path / name, shape=XLM_R_LARGE) for name in "abc"]))
    assert len(page.encode("utf-8")) < 1_540_000
    assert all(run["slimmed"] for run in facts(page))


def test_a_table_scrolls_in_its_own_box_and_says_how_wide_it_is() -> None:
    html = as_html("| a | b | c |\n|--|--|--|\n| <b>x</b> | 1 | ![i](http://x/y.png) |")
    assert html.startswith('<div class="scroll" tabindex="0"><table style="--columns: 3">')
    assert "<b>" not in html
    assert "<img" not in html
