"""One set of pages for all tests of the page."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from report.page_case import PageOf, give_two_methods, write_many, write_run

from polyhead.cli.main import main
from polyhead.report.document import read_document, write_document
from polyhead.report.heads_form import HeadsRecord


@pytest.fixture(scope="session")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> PageOf:
    """The page of a name in `_RUNS`, written by the command when a test first asks for it."""
    written: dict[str, Path] = {}

    def page_of(name: str) -> Path:
        if name not in written:
            folder = tmp_path_factory.mktemp(name)
            page = folder / "page of a run.html"
            assert main(["report", *map(str, _RUNS[name](folder)), "--out", str(page)]) == 0
            written[name] = page
        return written[name]

    return page_of


@pytest.fixture(scope="session")
def fonts() -> Callable[[str], None]:
    """Skips a test where the machine has no font of a language: what is missing then is not the page's fault."""

    def need(language: str) -> None:
        tool = shutil.which("fc-list")
        listed = subprocess.run([tool, f":lang={language}", "family"], capture_output=True, check=True) if tool else None
        if listed is None or not listed.stdout.strip():
            pytest.skip(f"needs a font with {language} (sh scripts/browser.sh)")

    return need


def _empty(folder: Path) -> list[Path]:
    """A run no language of which could be profiled."""
    run = write_run(folder / "empty")
    path = run / "heads.json"
    write_document(path, read_document(path, HeadsRecord).model_copy(update={"languages": []}))
    return [run]


def _unmeasured(folder: Path) -> list[Path]:
    """A run of an encoder without head 2.4, in which head 3.5 was not ablated."""
    run = write_run(folder / "unmeasured", missing=((2, 4),))
    path = run / "heads.json"
    profile = read_document(path, HeadsRecord)
    for own in profile.languages:
        for matrix in (own.effects.difference, own.effects.low, own.effects.high):
            matrix[3][5] = None
    write_document(path, profile)
    return [run]


def _mixed(folder: Path) -> list[Path]:
    """Three runs that differ in all a page may stumble over: what was measured, the shape, and a name that is markup."""
    return [
        write_run(folder / "whole"),
        write_run(folder / "<img src=x onerror=alert(1)>", profile=False, controls=False),
        write_run(folder / "narrow", seed=1, model_hash="b" * 64, shape=(3, 4)),
    ]


_RUNS: dict[str, Callable[[Path], list[Path]]] = {
    "one": lambda folder: [write_run(folder / "one")],
    "bare": lambda folder: [write_run(folder / "bare", profile=False)],
    "empty": _empty,
    "missing": lambda folder: [write_run(folder / "missing", missing=((2, 4), (0, 0)))],
    "unmeasured": _unmeasured,
    "magnitude": lambda folder: [write_run(folder / "magnitude", method="magnitude")],
    "fisher": lambda folder: [write_run(folder / "fisher", method="fisher")],
    "mixed": _mixed,
    "methods": lambda folder: [give_two_methods(write_run(folder / "methods"))],
    "twenty": lambda folder: write_many(folder, 20),
}
