"""One browser and a few pages for all tests in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report.browser import CHROMIUM
from report.page_case import give_two_methods, write_many, write_run

from polyhead.cli.main import main


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


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run, the same without a profile, one whose profile has no language, one with several methods, and twenty."""
    folder = tmp_path_factory.mktemp("pages")
    runs = {
        "one": [write_run(folder / "one")],
        "bare": [write_run(folder / "bare", profile=False)],
        "twenty": write_many(folder, 20),
    }
    runs["methods"] = [give_two_methods(write_run(folder / "methods"))]
    runs["empty"] = [write_run(folder / "empty")]
    heads = folder / "empty" / "heads.json"
    heads.write_text(re.sub(r'"languages": \[.*\], "left_out"', '"languages": [], "left_out"', heads.read_text(encoding="utf-8")))
    found = {}
    for name, own in runs.items():
        found[name] = folder / f"{name}.html"
        assert main(["report", *map(str, own), "--out", str(found[name])]) == 0
    return found
