"""Figures of the page in headless Chromium: methods kept apart, small numbers, order by a column, print, the map in sight."""

import re
from typing import Any

import pytest
from chromium import opened
from report.page_case import PageOf

pytestmark = pytest.mark.slow

# a cell of the first table of the panel, by the titles of its row and column
CELL = """([row, column]) => {
  const table = document.querySelector("#head-panel table");
  const titles = [...table.tHead.rows[0].cells].map((one) => one.textContent);
  const line = [...table.tBodies[0].rows].find((one) => one.cells[0].textContent === row);
  return line.cells[titles.indexOf(column)].textContent;
}"""


def test_every_method_has_its_score_and_the_ranking_keeps_its_own_name(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("methods")) as shown:
        page = shown.page
        page.click('#head-map button[data-head="3.5"]')
        assert page.evaluate(CELL, ["ud/de_gsd", "score, gradient"]) == "0.0000000012"
        assert float(page.evaluate(CELL, ["ud/de_gsd", "score, ablation"])) >= 0.5
        for measure, said in (
            ("score", "Score (shapley)"),
            ("language-score", "(gradient)"),
            ("language-score:ablation", "(ablation)"),
        ):
            page.select_option("#measure", measure)
            assert said in page.inner_text("#map-words")
        assert "Seeds are scored by shapley, languages by gradient" in page.inner_text("#agreement")
        shown.assert_quiet()


def test_small_scores_are_shown_in_a_unit_that_is_named(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("methods")) as shown:
        page = shown.page
        page.select_option("#measure", "language-score")
        texts = page.locator("#head-map button").all_inner_texts()
        assert "<0.01" in texts
        assert "0" not in texts
        assert 1 <= max(float(text) for text in texts if "<" not in text) <= 10
        (unit,) = re.findall("in units of (10⁻[⁰¹²³⁴⁵⁶⁷⁸⁹]+)", page.inner_text("#map-words"))
        assert unit in page.inner_text("#legend")
        assert unit in page.get_attribute('#head-map button[data-head="1.1"]', "aria-label")
        page.select_option("#measure", "language-score:ablation")
        assert "units" not in page.inner_text("#map-words")


def test_tables_are_ordered_by_a_column_and_means_stay_below(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        page = shown.page
        table = page.locator("#scores .scroll table").first
        column = table.locator("th").all_inner_texts().index("gain")

        def gains() -> list[float]:
            return [float(row.locator("td").nth(column).inner_text()) for row in table.locator("tbody tr").all()]

        before = gains()
        title = table.locator("th").nth(column)
        for order, expected in (
            ("ascending", sorted(before[:-1])),
            ("descending", sorted(before[:-1], reverse=True)),
            (None, before[:-1]),
        ):
            title.locator("button").click()
            assert title.get_attribute("aria-sort") == order
            assert gains() == [*expected, before[-1]]
        title.locator("button").press("Enter")
        assert gains()[0] == min(before[:-1])
        shown.assert_quiet()


def test_agreement_is_shown_in_numbers_and_colours(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        table = shown.page.locator("#agreement .matrix table")
        names = table.locator("thead th").all_inner_texts()
        assert names[0] == "seed 42"
        assert "ud/en_ewt" in names
        texts = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
        assert texts[0][0] == "–", "one run of a seed has nothing to agree with"
        assert texts == [list(column) for column in zip(*texts, strict=True)]
        numbers = {text: float(text) for row in texts for text in row if text != "–"}
        assert all(-1 <= number <= 1 for number in numbers.values())
        cell = table.locator(f"td:text-is('{max(numbers, key=numbers.__getitem__)}')").first
        red, _, blue = map(int, re.findall(r"\d+", cell.evaluate("one => getComputedStyle(one).backgroundColor"))[:3])
        assert blue > red, "agreement is blue"
        shown.assert_quiet()


def test_a_run_s_agreement_is_drawn_when_its_part_is_opened(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("twenty")) as shown:
        page = shown.page
        assert page.locator("#agreement .matrix table").count() == 1, "between the runs alone"
        page.click("#agreement details summary >> nth=3")
        page.wait_for_selector("#agreement details[open] .matrix table")
        assert page.locator("#agreement .matrix table").count() == 2
        shown.assert_quiet()


def test_runs_are_ordered_by_any_figure(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("twenty")) as shown:
        page = shown.page
        page.click("#headline th button:text-is('gain')")
        column = page.locator("#headline th").all_inner_texts().index("gain")
        found = [float(text) for text in page.locator(f"#headline tbody td:nth-child({column + 1})").all_inner_texts()]
        assert len(found) == 20
        assert found == sorted(found)
        assert "Gains side by side" in page.inner_text("#scores")


@pytest.mark.parametrize("name", ["one", "twenty"])
def test_print_loses_nothing_at_its_right_edge_and_leaves_the_screen_as_it_was(browser: Any, page_of: PageOf, name: str) -> None:
    a4 = 718  # CSS pixels between the usual margins
    with opened(browser, page_of(name), width=a4, dark=True) as shown:
        page = shown.page
        closed = page.locator("details:not([open])").count()
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= a4
        assert page.evaluate("getComputedStyle(document.querySelector('.note')).color") == "rgb(68, 76, 85)"
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() == closed


def test_the_map_stays_in_sight_of_a_long_panel(browser: Any, page_of: PageOf) -> None:
    with opened(browser, page_of("one")) as shown:
        shown.page.locator(".sentence").last.scroll_into_view_if_needed()
        assert shown.page.evaluate("document.getElementById('head-map').getBoundingClientRect().bottom") > 100
