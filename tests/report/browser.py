"""A page in headless Chromium, with everything it complained of and asked a network for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Opened:
    """A page that is open.

    Attributes:
        page: Playwright's.
        complaints: Console messages of errors and warnings, and exceptions.
        requests: Addresses outside the page and the disk that it asked for.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1280, dark: bool = False) -> Iterator[Opened]:
    """The file, loaded."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on(
        "request", lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else found.requests.append(asked.url)
    )
    try:
        page.goto(path.resolve().as_uri(), wait_until="load")
        yield found
    finally:
        page.close()


def quiet(shown: Opened) -> None:
    """Nothing was complained of, and no network asked for anything."""
    assert shown.complaints == []
    assert shown.requests == []
