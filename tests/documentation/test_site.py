"""The site as it is built: no warning, nothing asked of a network, examples in it, and a search that works from disk."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chromium import opened

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_no_page_names_anything_on_a_network_to_be_loaded(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//', text), path


def test_the_examples_are_part_of_the_site(site: Path) -> None:
    listed = re.findall(r'href="([\w/-]+/report\.html)"', (site / "examples" / "index.html").read_text(encoding="utf-8"))
    assert set(listed) == {path.relative_to(ROOT / "examples").as_posix() for path in (ROOT / "examples").glob("*/report.html")}
    assert all((site / "examples" / name).is_file() for name in listed)


def test_every_module_of_the_reference_is_described(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    assert text.count('class="doc doc-object') >= 40
    assert "&gt;&gt;&gt;" in text or ">>>" in text, "examples of docstrings are shown"


def test_search_works_from_disk_and_nothing_is_asked_of_a_network(site: Path, browser: Any) -> None:
    with opened(browser, site / "index.html") as found:
        page = found.page
        page.locator("input[data-md-component=search-query]").press_sequentially("densify")  # keys, for the page listens to them
        page.wait_for_selector(".md-search-result__item")
        links = page.eval_on_selector_all(".md-search-result__link", "all => all.map(a => a.getAttribute('href'))")
        assert any("prune" in link or "faq" in link or "api" in link for link in links), links
        found.assert_quiet()
