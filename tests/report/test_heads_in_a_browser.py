"""The map of heads and the panel of one head in headless Chromium: mouse, keyboard, every measure, missing heads."""

import re
from typing import Any

import pytest
from chromium import opened
from report.page_case import PageOf

pytestmark = pytest.mark.slow

NOT_A_NUMBER = re.compile(r"e[+-]|NaN|undefined|null|Infinity|\[object")


def test_a_click_opens_a_head(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        page = shown.page
        page.click('#head-map button[data-head="3.5"]')
        assert page.get_attribute("#head-panel", "data-head") == "3.5"
        assert "Head 3.5" in page.inner_text("#head-panel h3")
        assert page.locator('#head-map button[aria-pressed="true"]').get_attribute("data-head") == "3.5"
        text = page.inner_text("#head-panel")
        assert all(name in text for name in ("ud/de_gsd", "ud/ar_padt", "95 % interval"))
        assert any(relation in text for relation in ("nsubj", "obj", "case", "det", "nmod"))
        shown.assert_quiet()


def test_arrow_keys_move_and_enter_or_space_opens(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        page = shown.page
        page.click('#head-map button[data-head="2.2"]')
        for key, head in (("ArrowUp", "3.2"), ("ArrowRight", "3.3"), ("ArrowDown", "2.3"), ("End", "2.7"), ("Home", "2.0")):
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.dataset.head") == head
        assert page.get_attribute("#head-panel", "data-head") == "2.2"
        page.keyboard.press("Enter")
        assert page.get_attribute("#head-panel", "data-head") == "2.0"
        assert page.evaluate("document.activeElement.dataset.head") == "2.0"
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("document.activeElement.dataset.head") == "2.0", "there is none to the left"
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Space")
        assert page.get_attribute("#head-panel", "data-head") == "3.0"
        shown.assert_quiet()


def test_the_map_is_one_stop_of_the_tab_key(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        page = shown.page
        page.click('#head-map button[data-head="2.2"]')
        page.keyboard.press("ArrowUp")
        assert page.locator('#head-map button[tabindex="0"]').count() == 1
        page.keyboard.press("Tab")
        assert not page.evaluate("document.getElementById('head-map').contains(document.activeElement)")
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.dataset.head") == "3.2"


@pytest.mark.parametrize("name", ["one", "missing"])
def test_every_measure_fills_the_map_with_plain_numbers(browser: Any, page_of: PageOf, name: str) -> None:
    with opened(browser, page_of(name)) as shown:
        page = shown.page
        measures = shown.choices("measure")
        assert {"place", "score", "language-score", "effect", "previous", "nsubj:to_head"} <= {*measures}
        seen = set()
        for measure in measures:
            page.select_option("#measure", measure)
            for language in shown.choices("language") or [""]:
                if language:
                    page.select_option("#language", language)
                texts = shown.heads("textContent")
                labels = shown.heads("ariaLabel")
                assert not [text for text in (*texts, *labels) if NOT_A_NUMBER.search(text)]
                assert all(bool(text) != label.endswith("not in the encoder") for text, label in zip(texts, labels, strict=True))
                assert all(re.search(r"^head \d\.\d, .*(place \d+ of \d+|not in the encoder)", label) for label in labels)
                assert not NOT_A_NUMBER.search(page.inner_text("#legend") + page.inner_text("#map-words"))
                seen.add((measure, tuple(texts)))
        assert len(seen) > len(measures), "languages differ"
        shown.assert_quiet()


def test_words_and_legend_follow_measure_language_and_seed(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        page = shown.page
        seen = set()
        for measure, chooser in (("place", "seed"), ("score", "seed"), ("language-score", "language"), ("effect", "language")):
            page.select_option("#measure", measure)
            for choice in shown.choices(chooser)[:2]:
                page.select_option(f"#{chooser}", choice)
                assert choice in page.inner_text("#map-words")
                seen.add((page.inner_text("#map-words"), page.inner_text("#legend")))
        assert len(seen) == 8
        low, high = (float(part) for part in page.inner_text("#legend").split())
        assert low == -high, "effects are centred on zero"


def test_small_scores_are_not_all_called_zero(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("fisher")) as shown:
        for measure in ("score", "language-score"):
            shown.page.select_option("#measure", measure)
            texts = shown.heads("textContent")
            assert "0" not in texts
            assert len(set(texts)) > 24
            assert max(map(len, texts)) < 8
        rows = shown.page.locator("#head-panel table").first.locator("tbody tr td:nth-child(2)").all_inner_texts()
        assert "0" not in rows
        shown.assert_quiet()


def test_large_scores_are_whole_numbers(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("magnitude")) as shown:
        for measure in ("score", "language-score"):
            shown.page.select_option("#measure", measure)
            assert all(re.fullmatch(r"\d{3,5}", text) for text in shown.heads("textContent"))
            assert not NOT_A_NUMBER.search(shown.page.inner_text("#legend"))
        assert not NOT_A_NUMBER.search(shown.page.inner_text("#head-panel"))
        shown.assert_quiet()


def test_effects_are_coloured_from_zero(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        shown.page.select_option("#measure", "effect")
        colours = shown.page.eval_on_selector_all(
            "#head-map button", "all => all.map((one) => getComputedStyle(one).backgroundColor)"
        )
        for text, colour in zip(shown.heads("textContent"), colours, strict=True):
            red, _, blue = map(int, re.findall(r"\d+", colour)[:3])
            assert (blue >= red) if float(text) < 0 else (red >= blue)
        assert len(set(colours)) > 20


def test_pruned_heads_are_those_of_the_chosen_seed(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        page = shown.page
        found = []
        for seed in ("42", "43"):
            page.select_option("#seed", seed)
            found.append(page.eval_on_selector_all("#head-map button.pruned", "all => all.map((one) => one.dataset.head)"))
            labels = page.eval_on_selector_all("#head-map button.pruned", "all => all.map((one) => one.ariaLabel)")
            assert all(label.endswith(f"pruned by seed {seed}") for label in labels)
        assert [len(heads) for heads in found] == [4, 4]
        assert found[0] != found[1]


def test_a_missing_head_is_an_empty_cell_without_figures(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("missing")) as shown:
        page = shown.page
        for measure in shown.choices("measure"):
            page.select_option("#measure", measure)
            assert page.inner_text('#head-map button[data-head="2.4"]') == ""
        page.click('#head-map button[data-head="2.4"]')
        text = page.inner_text("#head-panel")
        assert "not in the encoder" in text
        assert not re.search(r"\b0 %|NaN|undefined|null|\b0\.00\b", text)
        assert "place 1 of 46" in page.locator("#head-map").inner_html()
        shown.assert_quiet()


def test_a_head_that_was_not_measured_is_a_dash(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("unmeasured")) as shown:
        shown.page.select_option("#measure", "effect")
        unmeasured, missing = (shown.page.locator(f'#head-map button[data-head="{head}"]') for head in ("3.5", "2.4"))
        assert (unmeasured.inner_text(), missing.inner_text()) == ("–", "")
        assert "effect of ablating it not measured, place" in str(unmeasured.get_attribute("aria-label"))
        assert missing.get_attribute("aria-label") == "head 2.4, not in the encoder"
        assert "–: not measured; empty: the encoder does not\nhave this head" in shown.page.content()


def test_choosing_a_run_shows_its_own_heads(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("twenty")) as shown:
        assert shown.page.locator("#headline tbody tr").count() == 20
        places = []
        for run in ("0", "7"):
            shown.page.select_option("#run", run)
            places.append(shown.heads("textContent"))
        assert places[0] != places[1]
        shown.assert_quiet()


def test_runs_of_another_shape_or_without_a_profile_keep_the_page_whole(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("mixed")) as shown:
        page = shown.page
        page.select_option("#measure", "effect")
        page.click('#head-map button[data-head="5.7"]')
        page.select_option("#run", "2")
        assert len(shown.heads("dataset.head")) == 12
        assert page.input_value("#measure") == "effect"
        chosen = page.get_attribute("#head-panel", "data-head")
        assert page.locator('#head-map button[aria-pressed="true"]').get_attribute("data-head") == chosen
        page.select_option("#run", "1")
        assert page.input_value("#measure") == "place"
        assert not page.is_visible("#language")
        assert "not measured" in page.inner_text("#head-panel")
        page.select_option("#run", "0")
        assert len(shown.heads("dataset.head")) == 48
        assert "narrow" in page.inner_text("#agreement"), "which runs cannot be compared, and why"
        shown.assert_quiet()
