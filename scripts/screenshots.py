"""Takes screenshots of a run's page for the documentation, in headless Chromium.

    python scripts/screenshots.py RUN/report.html

Writes `docs/images/report-top.png`, `report-heads.png`, `report-dark.png` and `report-phone.png`.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


def shot(browser: Any, page: Path, name: str, *, width: int, height: int, dark: bool = False, heads: bool = False) -> None:
    """Take one screenshot: the top of the page, or the map of heads with one head selected."""
    opened = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    opened.goto(page.resolve().as_uri())
    if heads:
        opened.select_option("#measure", "effect")
        measured = "all => all.filter(e => !Number.isNaN(parseFloat(e.textContent)))"  # a dash: not measured
        best = f"{measured}.reduce((a, b) => parseFloat(b.textContent) < parseFloat(a.textContent) ? b : a).dataset.head"
        opened.click(f'#head-map button[data-head="{opened.eval_on_selector_all("#head-map button", best)}"]')
        opened.evaluate("document.querySelector('#heads').scrollIntoView()")
        opened.evaluate("document.activeElement.blur()")
    opened.screenshot(path=str(IMAGES / name))
    opened.close()


def main() -> None:
    """Take all screenshots of the page named on the command line."""
    page = Path(sys.argv[1])
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shot(browser, page, "report-top.png", width=1280, height=900)
        shot(browser, page, "report-heads.png", width=1280, height=1000, heads=True)
        shot(browser, page, "report-dark.png", width=1280, height=1000, dark=True, heads=True)
        shot(browser, page, "report-phone.png", width=390, height=844, heads=True)
        browser.close()


if __name__ == "__main__":
    main()
