"""The page in headless Chromium: quiet, alone, answering mouse and keyboard, right in every script, at home on any screen."""

import re
from pathlib import Path
from typing import Any

import pytest
from report.browser import opened, quiet
from report.page_case import ODD

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["one", "bare", "empty", "twenty"])
@pytest.mark.parametrize("width", [1280, 390])
def test_loads_without_complaint_or_network_and_stays_inside_the_window(
    browser: Any, pages: dict[str, Path], name: str, width: int
) -> None:
    with opened(browser, pages[name], width=width) as shown:
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        assert "target" in shown.page.inner_text("#headline") or name == "twenty"
        assert shown.page.locator("#head-map button").count() == 48
        quiet(shown)


def test_the_rig_notices_a_request_and_an_error(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text('<img src="http://localhost:9/x.png"><script>nothing()</script>', encoding="utf-8")
    with opened(browser, path) as shown:
        assert shown.requests == ["http://localhost:9/x.png"]
        assert any("nothing is not defined" in text for text in shown.complaints)


def test_a_click_opens_a_head(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        page = shown.page
        page.click('#head-map button[data-head="3.5"]')
        assert page.get_attribute("#head-panel", "data-head") == "3.5"
        assert "Head 3.5" in page.inner_text("#head-panel h3")
        assert page.get_attribute('#head-map button[data-head="3.5"]', "aria-pressed") == "true"
        text = page.inner_text("#head-panel")
        assert all(name in text for name in ("ud/de_gsd", "ud/ar_padt", "95 % interval", "nsubj", "1,834"))
        assert page.inner_text("#chosen-head").startswith("Head 3.5. In the ranking")
        quiet(shown)


def test_arrow_keys_move_and_enter_opens(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        page = shown.page
        page.click('#head-map button[data-head="2.2"]')
        for key, head in (("ArrowUp", "3.2"), ("ArrowRight", "3.3"), ("ArrowDown", "2.3"), ("End", "2.7"), ("Home", "2.0")):
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.dataset.head") == head
        assert page.get_attribute("#head-panel", "data-head") == "2.2"
        page.keyboard.press("Enter")
        assert page.get_attribute("#head-panel", "data-head") == "2.0"
        assert page.evaluate("document.activeElement.dataset.head") == "2.0"
        assert page.locator('#head-map button[tabindex="0"]').count() == 1
        quiet(shown)


def test_every_measure_fills_the_map_with_plain_numbers(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        page = shown.page
        measures = page.eval_on_selector_all("#measure option", "all => all.map((one) => one.value)")
        assert {"place", "score", "language-score", "effect", "previous", "nsubj:to_head"} <= {*measures}
        seen = set()
        for measure in measures:
            page.select_option("#measure", measure)
            for language in page.eval_on_selector_all("#language option", "all => all.map((one) => one.value)"):
                if page.is_visible("#language"):
                    page.select_option("#language", language)
                texts = page.locator("#head-map button").all_inner_texts()
                assert not [text for text in texts if re.search(r"e[+-]|NaN|undefined|null|Infinity", text)]
                label = page.get_attribute('#head-map button[data-head="1.1"]', "aria-label")
                assert re.search(r"head 1\.1, .*place \d+ of 48", label)
                seen.add((measure, tuple(texts)))
        assert len(seen) > len(measures)
        quiet(shown)


def test_effects_are_coloured_from_zero(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        page = shown.page
        page.select_option("#measure", "effect")
        cells = page.eval_on_selector_all(
            "#head-map button", "all => all.map((one) => [parseFloat(one.textContent), getComputedStyle(one).backgroundColor])"
        )
        for value, colour in cells:
            red, _, blue = map(int, re.findall(r"\d+", colour)[:3])
            assert (blue >= red) if value < 0 else (red >= blue)


def test_pruned_heads_are_those_of_the_chosen_seed(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        page = shown.page
        found = []
        for seed in ("42", "43"):
            page.select_option("#seed", seed)
            found.append(page.eval_on_selector_all("#head-map button.pruned", "all => all.map((one) => one.dataset.head)"))
        assert [len(heads) for heads in found] == [4, 4]
        assert found[0] != found[1]


def test_a_word_shows_where_the_head_looks_from_it(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        page = shown.page
        page.click('#head-map button[data-head="3.5"]')
        sentence = page.locator('.sentence[lang="de"]').first
        before = sentence.inner_text()
        sentence.locator(".word").nth(3).click()
        assert sentence.inner_text() != before
        shares = [int(text.removesuffix(" %")) for text in sentence.locator("small").all_inner_texts()]
        assert 90 <= sum(shares) <= 110
        assert sentence.locator('.word[aria-pressed="true"]').inner_text().startswith("hier")
        quiet(shown)


@pytest.mark.parametrize(("language", "direction"), [("ar", "rtl"), ("he", "rtl"), ("zh-Hans", "ltr"), ("en", "ltr")])
def test_sentences_run_in_the_direction_of_their_script(
    browser: Any, pages: dict[str, Path], language: str, direction: str
) -> None:
    with opened(browser, pages["one"]) as shown:
        box = shown.page.locator(f'.sentence[lang="{language}"]').first
        assert box.evaluate("one => getComputedStyle(one).direction") == direction
        words = box.locator("button.word")
        first, second = (words.nth(i).bounding_box()["x"] for i in (0, 1))
        assert (first > second) == (direction == "rtl")


GLYPHS = """([text, language]) => {
  const draw = (character) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 48;
    const pen = canvas.getContext("2d");
    pen.font = "32px " + getComputedStyle(document.body).fontFamily;
    pen.fillText(character, 4, 36);
    return pen.getImageData(0, 0, 48, 48).data.join(",");
  };
  const box = draw("\\uFFFF");
  const none = draw("");
  return [...new Set(text)].filter((one) => one.trim() && (draw(one) === box || draw(one) === none));
}"""


@pytest.mark.parametrize("language", ["ar", "he", "zh-Hans"])
def test_no_character_is_a_missing_glyph_box(browser: Any, pages: dict[str, Path], language: str) -> None:
    with opened(browser, pages["one"]) as shown:
        words = shown.page.locator(f'.sentence[lang="{language}"] button.word').all_inner_texts()
        text = re.sub(r"\d+ %|\s", "", "".join(words))
        assert len(set(text)) > 10
        assert shown.page.evaluate(GLYPHS, [text, language]) == []
        assert shown.page.evaluate(GLYPHS, ["\U0010ffff\ufffe", ""]), "a character that no font has must be noticed"


def test_names_are_text_and_not_markup(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        assert shown.page.locator("main b").count() == 0
        assert ODD.removeprefix("x=").rpartition("/")[2] in shown.page.inner_text("#scores")
        assert "<b>wrote</b>" in shown.page.inner_text('.sentence[lang="en"] >> nth=1')


def test_dark_and_light_differ_and_print_shows_everything(browser: Any, pages: dict[str, Path]) -> None:
    colours = []
    for dark in (False, True):
        with opened(browser, pages["twenty"], dark=dark) as shown:
            colours.append(shown.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert not shown.page.is_visible("#sources details ul")
            shown.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
            shown.page.emulate_media(media="print")
            assert shown.page.is_visible("#sources details ul >> nth=0")
            assert not shown.page.is_visible("nav")
            assert not shown.page.is_visible("#measure")
    assert colours[0] != colours[1]


@pytest.mark.parametrize("name", ["bare", "empty"])
def test_what_was_not_measured_is_said(browser: Any, pages: dict[str, Path], name: str) -> None:
    with opened(browser, pages[name]) as shown:
        assert "not measured" in shown.page.inner_text("#head-panel")
        quiet(shown)


def test_a_language_left_out_is_named_with_its_reason(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["one"]) as shown:
        assert "ud/xx_none (has no dev split)" in shown.page.inner_text("#left-out")


def test_twenty_runs_stand_side_by_side_in_a_small_page(browser: Any, pages: dict[str, Path]) -> None:
    assert pages["twenty"].stat().st_size < 5_000_000
    with opened(browser, pages["twenty"]) as shown:
        page = shown.page
        assert page.locator("#headline tbody tr").count() == 20
        places = []
        for run in ("0", "7"):
            page.select_option("#run", run)
            places.append(page.locator("#head-map button").all_inner_texts())
        assert places[0] != places[1]
        quiet(shown)
