"""The published figures in the documentation are those of the tables typed from the paper."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from paper_tables import FIGURES, PAGE, renewed, scores  # noqa: E402


def test_the_page_holds_every_cell() -> None:
    if not FIGURES.is_dir():
        pytest.skip("needs the paper's tables in ../shared/paper")
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text, FIGURES) == text, "run python scripts/paper_tables.py"


def test_a_cell_is_unpruned_then_pruned_and_gains_are_means() -> None:
    rows = [
        {
            "task": "pos",
            "model": model,
            "setting": setting,
            "source": "en",
            "target": target,
            "f1_unpruned": "50",
            "f1_pruned": pruned,
        }
        for model in ("mbert", "xlmr")
        for setting in ("cross-lingual", "multi-lingual")
        for target, pruned in (("de", "51"), ("zh", "54"))
    ]
    table = scores(rows, "pos").splitlines()
    assert table[2].startswith("| en | de | 50.00 → 51.00 |")
    assert table[-1].startswith("| mean gain |  | +2.50 |")
