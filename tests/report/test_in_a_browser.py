"""The page in headless Chromium: quiet, alone, at home on any screen and on paper, readable by night, safe from names."""

from pathlib import Path
from typing import Any

import pytest
from chromium import opened
from report.page_case import ODD, PageOf

pytestmark = pytest.mark.slow

# Ratio of contrast (WCAG 2.2) of all text that is seen, against the colours that lie below it; what is under 4.5
CONTRAST = """() => {
  const parts = (colour) => { const all = colour.match(/[0-9.]+/g).map(Number); return all.length < 4 ? [...all, 1] : all; };
  const over = (below, above) => below.map((part, i) => part + (above[i] - part) * above[3]);
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  for (const one of document.body.querySelectorAll("*")) {
    const text = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (!text || one.closest("noscript, script") || !one.checkVisibility()) continue;
    const grounds = [];
    for (let own = one; own; own = own.parentElement) grounds.unshift(parts(getComputedStyle(own).backgroundColor));
    const ground = grounds.reduce(over, [255, 255, 255]);
    const [dim, bright] = [light(ground), light(over(ground, parts(getComputedStyle(one).color)))].sort((a, b) => a - b);
    if ((bright + 0.05) / (dim + 0.05) < 4.5) low.push(`${text.slice(0, 40)}: ${((bright + 0.05) / (dim + 0.05)).toFixed(2)}`);
  }
  return low;
}"""


def test_the_rig_notices_requests_errors_and_faint_text(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    text = '<p style="color: #999">faint</p><p style="color: #555">clear</p><img src="http://localhost:9/x.png">'
    path.write_text(text + '<script>new WebSocket("ws://localhost:9/y"); alert("hello"); nothing()</script>', encoding="utf-8")
    with opened(browser, path) as shown:
        shown.settle()
        assert shown.requests == ["http://localhost:9/x.png", "ws://localhost:9/y"]
        assert "dialog: hello" in shown.complaints
        assert any("nothing is not defined" in text for text in shown.complaints)
        assert shown.page.evaluate(CONTRAST) == ["faint: 2.85"]


@pytest.mark.parametrize("name", ["one", "bare", "empty", "missing", "fisher", "mixed", "twenty"])
@pytest.mark.parametrize("width", [1280, 390])
def test_loads_without_complaint_or_network_and_stays_inside_the_window(
    browser: Any, page_of: PageOf, name: str, width: int
) -> None:
    with opened(browser, page_of(name), width=width) as shown:
        assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert shown.page.inner_text("#headline").strip()
        assert len(shown.heads("dataset.head")) == 48
        shown.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "with everything unfolded"
        shown.assert_quiet()


@pytest.mark.parametrize("width", [1280, 390])
def test_no_choice_makes_the_page_wider_than_the_window(browser: Any, page_of: PageOf, width: int) -> None:
    with opened(browser, page_of("mixed"), width=width) as shown:
        for run in shown.choices("run"):
            shown.page.select_option("#run", run)
            for measure in shown.choices("measure"):
                shown.page.select_option("#measure", measure)
                shown.page.locator("#head-map button").last.click()
                assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (run, measure)


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read_on_its_ground(browser: Any, page_of: PageOf, dark: bool) -> None:
    with opened(browser, page_of("one"), dark=dark) as shown:
        for measure in ("place", "score", "effect", "separators"):
            shown.page.select_option("#measure", measure)
            assert shown.page.evaluate(CONTRAST) == [], measure
        for head in shown.heads("dataset.head"):
            shown.page.click(f'#head-map button[data-head="{head}"]')
            assert shown.page.evaluate(CONTRAST) == [], head


def test_dark_is_dark_and_light_is_light(browser: Any, page_of: PageOf) -> None:
    grounds = []
    for dark in (False, True):
        with opened(browser, page_of("one"), dark=dark) as shown:
            colour = shown.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
            grounds.append(sum(colour) / 3)
    light, dark_one = grounds
    assert light > 240
    assert dark_one < 40


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["one", "twenty"])
def test_paper_is_white_and_shows_everything(browser: Any, page_of: PageOf, name: str, dark: bool) -> None:
    with opened(browser, page_of(name), dark=dark) as shown:
        page = shown.page
        if name == "twenty":
            assert not page.is_visible("#sources details ul >> nth=0")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        for section in ("headline", "scores", "heads", "head-map", "head-panel", "agreement", "curves", "trials", "sources"):
            assert page.is_visible(f"#{section}"), section
        assert page.locator("figure img").evaluate_all("all => all.every((one) => one.checkVisibility())")
        assert page.is_visible("#sources ul >> nth=0")
        assert not page.is_visible("nav")
        assert not page.is_visible("#measure")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate(CONTRAST) == []
        assert page.pdf().startswith(b"%PDF")


def test_names_and_sentences_are_text_and_not_markup(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("mixed")) as shown:
        assert shown.page.locator("main b, main img[src=x]").count() == 0
        assert "<img src=x onerror=alert(1)>" in shown.page.inner_text("#headline")
        assert ODD.removeprefix("x=").rpartition("/")[2] in shown.page.text_content("#scores")
        assert "<b>wrote</b>" in shown.page.inner_text('.sentence[lang="en"] >> nth=1')
        shown.page.select_option("#run", "1")
        shown.assert_quiet()


def test_tables_and_charts_need_no_script(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one"), scripts=False) as shown:
        assert "The map of heads and the tables of agreement need JavaScript" in shown.page.inner_text("noscript")
        assert not shown.page.is_visible(".controls")
        assert shown.page.locator("#scores table").count() >= 2
        assert shown.page.locator("#gains figure img").first.bounding_box()["height"] > 100


@pytest.mark.parametrize("name", ["bare", "empty"])
def test_what_was_not_measured_is_said(browser: Any, page_of: PageOf, name: str) -> None:
    with opened(browser, page_of(name)) as shown:
        assert "not measured" in shown.page.inner_text("#head-panel")
        assert shown.choices("measure") == ["place", "score"]
        shown.assert_quiet()


def test_a_language_left_out_is_named_with_its_reason(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        assert "ud/xx_none (has no dev split)" in shown.page.inner_text("#left-out")


def test_pages_are_small_enough_to_send(page_of: PageOf) -> None:
    assert page_of("one").stat().st_size < 1_500_000
    assert page_of("twenty").stat().st_size < 5_000_000
