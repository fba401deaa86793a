"""One browser for all tests of the page."""

from collections.abc import Iterator
from typing import Any

import pytest
from report.browser import CHROMIUM


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, headless; tests are skipped where it is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
    if CHROMIUM is None:
        pytest.skip("needs the package chromium (sh scripts/browser.sh)")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()
