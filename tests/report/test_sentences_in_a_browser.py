"""Example sentences in headless Chromium: directions and letters of five scripts, and where a head looks from a word."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from chromium import opened
from report.page_case import PageOf
from report.profile_case import SENTENCES

pytestmark = pytest.mark.slow

# Of the characters, those that are drawn as the box of a character that no font has, or not at all
GLYPHS = """([text, font, language]) => {
  const draw = (character) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 48;
    canvas.lang = language;
    const pen = canvas.getContext("2d");
    pen.font = `32px ${font}`;
    pen.fillText(character, 4, 36);
    return pen.getImageData(0, 0, 48, 48).data.join(",");
  };
  const missing = [draw("\\uFFFF"), draw("\\u{10FFFE}"), draw("")];
  return [...new Set(text)].filter((one) => one.trim() && missing.includes(draw(one)));
}"""


def test_a_word_shows_where_the_head_looks_from_it(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        shown.page.click('#head-map button[data-head="3.5"]')
        sentence = shown.page.locator('.sentence[lang="de"]').first
        before = sentence.inner_text()
        sentence.locator(".word").nth(3).click()
        assert sentence.inner_text() != before
        shares = [int(text.removesuffix(" %")) for text in sentence.locator("small").all_inner_texts()]
        assert len(shares) == 9  # eight words and the special tokens
        assert 95 <= sum(shares) <= 105
        pressed = sentence.locator('.word[aria-pressed="true"]')
        assert pressed.count() == 1
        assert pressed.inner_text().startswith("hier")
        shown.assert_quiet()


def test_a_word_is_chosen_by_keyboard(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        word = shown.page.locator('.sentence[lang="he"]').first.locator("button.word").nth(4)
        word.focus()
        shown.page.keyboard.press("Enter")
        assert word.get_attribute("aria-pressed") == "true"


def test_darker_words_get_more_attention(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        words = shown.page.locator('.sentence[lang="ar"]').first.locator(".word")
        shades = words.evaluate_all(
            "all => all.map((one) => Number((getComputedStyle(one).backgroundColor.match(/[0-9.]+/g)[3]) ?? 1))"
        )
        shares = [int(re.findall(r"(\d+) %", text)[0]) for text in words.all_inner_texts()]
        assert shares[max(range(len(shades)), key=shades.__getitem__)] == max(shares)
        assert shares[min(range(len(shades)), key=shades.__getitem__)] == min(shares)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("width", [1280, 390])
def test_sentences_run_in_the_direction_of_their_script(browser: Any, page_of: PageOf, language: str, width: int) -> None:
    with opened(browser, page_of("one"), width=width) as shown:
        box = shown.page.locator(f'.sentence[lang="{language}"]').first
        direction = box.evaluate("one => getComputedStyle(one).direction")
        assert direction == ("rtl" if language in ("ar", "he") else "ltr")
        words = box.locator("button.word")
        assert words.evaluate_all("all => all.map((one) => one.firstChild.data)") == SENTENCES[language][0].split(" ")
        first, second = (words.nth(i).bounding_box() for i in (0, 1))
        if abs(first["y"] - second["y"]) < 4:  # on one line
            assert (first["x"] > second["x"]) == (direction == "rtl")


@pytest.mark.parametrize("language", SENTENCES)
def test_no_character_is_a_missing_glyph_box(browser: Any, page_of: PageOf, fonts: Callable[[str], None], language: str) -> None:
    fonts(language.partition("-")[0])
    with opened(browser, page_of("one")) as shown:
        words = shown.page.locator(f'.sentence[lang="{language}"] button.word')
        text = "".join(words.evaluate_all("all => all.map((one) => one.firstChild.data)"))
        font = words.first.evaluate("one => getComputedStyle(one).fontFamily")
        assert len(set(text)) > 10
        assert shown.page.evaluate(GLYPHS, [text, font, language]) == []
        assert shown.page.evaluate(GLYPHS, ["\U0010ffff", font, language]), "a character that no font has must be noticed"
