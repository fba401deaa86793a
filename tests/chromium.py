"""One headless Chromium for all tests, and pages in it with everything they complained of and asked a network for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE = 90_000.0  # milliseconds: other tests share the processor
_AT_HOME = ("file:", "data:", "blob:", "about:")


@contextmanager
def launched() -> Iterator[Any]:
    """Debian's Chromium; the calling test is skipped where it is not installed. Playwright can be started once at a time only."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
    if _CHROMIUM is None:
        pytest.skip("needs the package chromium (sh scripts/browser.sh)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page that is open.

    Attributes:
        page: Playwright's.
        complaints: Console messages of errors and warnings, exceptions, and dialogs that opened.
        requests: Addresses outside the page and the disk that it asked for.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def assert_quiet(self) -> None:
        """Fails if the page complained or asked for anything."""
        self.settle()
        assert (self.complaints, self.requests) == ([], [])

    def settle(self) -> None:
        """Lets the page do what it has put off, and its messages arrive."""
        self.page.evaluate("new Promise((done) => setTimeout(done, 20))")

    def heads(self, attribute: str) -> list[Any]:
        """An attribute of every cell of the map, in the order of the page."""
        return list(self.page.eval_on_selector_all("#head-map button", f"all => all.map((one) => one.{attribute})"))

    def choices(self, name: str) -> list[str]:
        """What a select element offers; nothing if it is hidden."""
        if not self.page.is_visible(f"#{name}"):
            return []
        return list(self.page.eval_on_selector_all(f"#{name} option", "all => all.map((one) => one.value)"))


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1280, dark: bool = False, scripts: bool = True) -> Iterator[Opened]:
    """The file, loaded; every test has cookies, storage and settings of its own."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts)
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (found.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda asked: None if asked.url.startswith(_AT_HOME) else found.requests.append(asked.url))
    page.on("websocket", lambda socket: found.requests.append(socket.url))
    try:
        page.goto(path.resolve().as_uri(), wait_until="load")
        yield found
    finally:
        context.close()
