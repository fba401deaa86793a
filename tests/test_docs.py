"""The pages on methods and statistics hold the table of methods as it is and the figures as they were measured."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from method_page import PAGES, renewed, tables  # noqa: E402

from polyhead.importance.methods import METHODS  # noqa: E402


def test_the_tables_are_those_of_the_code_and_of_the_results() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert [renewed(text) for text in texts] == texts, "run python benchmarks/method_page.py"
    assert all(f"<!-- {name} -->" in "".join(texts) and table in "".join(texts) for name, table in tables().items())


def test_every_method_is_on_the_page() -> None:
    text = next(page for page in PAGES if page.name == "methods.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text and row.source in text for name, row in METHODS.items())
