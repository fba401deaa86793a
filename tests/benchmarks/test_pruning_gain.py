"""The tables of gains on a real encoder, from cells whose gains are known."""

from pathlib import Path

import numpy as np
import pruning_cells
import pruning_gain
import pytest
from e5 import TARGETS, TREEBANKS, keep
from numpy.typing import NDArray

SENTENCES, WORDS = 40, 100


def counts(points: float) -> NDArray[np.int64]:
    """A set on which exactly that share of words is right."""
    return np.tile([round(points * WORDS / 100), WORDS], (SENTENCES, 1)).astype(np.int64)


def masked(name: str, points: list[float], agreeing: float = 99.0) -> dict[str, NDArray[np.int64]]:
    words = np.full(SENTENCES, WORDS, dtype=np.int64)
    right = np.tile(np.array(points).round().astype(np.int64)[:, None], (1, SENTENCES))
    same = np.full((len(points), SENTENCES), round(agreeing), dtype=np.int64)
    same[0] = WORDS
    return {f"{name}/scored": words, f"{name}/words": words, f"{name}/correct": right, f"{name}/agreeing": same}


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """English is best at k = 3 on dev, where targets gain 2 points; nested models gain 4 at k = 72, 5 over their own k = 0."""
    monkeypatch.setattr(pruning_cells, "CELLS", tmp_path)
    for seed in pruning_cells.POOL:
        dev = {f"{language}.dev": counts(80) for language in TREEBANKS}
        keep(pruning_cells.cell(f"full.{seed}"), dev | {f"{language}.test": counts(70 + seed % 2) for language in TREEBANKS})
    for seed in pruning_cells.SWEEP_SEEDS:
        for k in range(1, pruning_cells.SWEEP + 1):
            dev = {f"{language}.dev": counts(85 if k == 3 else 75) for language in TREEBANKS}
            gain = 2 if k == 3 else 4 if k == 7 else -1
            tests = {f"{language}.test": counts(70 + seed % 2 + gain) for language in TREEBANKS}
            keep(pruning_cells.cell(f"sweep.{seed}.{k}"), dev | tests)
    ks = pruning_cells.grid(72)
    for seed in pruning_cells.SEEDS:
        found = masked("en.dev", [80.0] * len(ks))
        for language in TARGETS:
            found |= masked(f"{language}.dev", [90.0 if k == 6 else 60.0 for k in ks], agreeing=97.0)
        for language in TREEBANKS:
            found |= masked(f"{language}.test", [69.0 + seed % 2, 60.0, 74.0 + seed % 2])
        keep(pruning_cells.cell(f"nested.72.ranked.{seed}"), found | {"tested": np.array([0, 6, 72])})


@pytest.mark.usefixtures("cells")
def test_k_is_chosen_on_english_dev_alone_and_gains_are_over_the_same_seed() -> None:
    found = pruning_gain.sweep()
    primary = found["chosen on English dev"]["mean of the eight"]
    assert (primary["gain"], primary["k"], primary["seeds"]) == (pytest.approx(2), [3] * 5, 5)
    maximum = found["best of k = 1..12 on each test (no p: a maximum)"]["mean of the eight"]
    assert (maximum["gain"], maximum["p"]) == (pytest.approx(4), None)
    assert found["selection noise"]["runs"] == 26
    assert found["selection noise"]["gain_minus_noise"] == pytest.approx(2 - found["selection noise"]["mean"])


@pytest.mark.usefixtures("cells")
def test_a_nested_model_has_two_gains_and_each_rule_its_own_k() -> None:
    ranked = pruning_gain.nested(72)["ranked"]
    best = ranked["source best"]
    assert best["over the ordinary fine-tuning"]["mean of the eight"]["k"] == [72] * 10, "ties go to more heads"
    assert best["over the ordinary fine-tuning"]["mean of the eight"]["gain"] == pytest.approx(4)
    assert best["over its own k = 0"]["mean of the eight"]["gain"] == pytest.approx(5)
    assert ranked["pooled best"]["over its own k = 0"]["mean of the eight"]["k"] == [6] * 10
    kept = ranked["agreement"]["over the ordinary fine-tuning"]["mean of the eight"]
    assert (kept["gain"], kept["k"]) == (0, [0] * 10), "97 % of the labels are too few: the ordinary model stays"


def test_every_p_but_the_primary_one_is_corrected() -> None:
    tables = {"first": {"mean": {"p": 0.01}}, "second": {"de": {"p": 0.01}, "nl": {"p": 0.04}, "en": {"p": None}}}
    pruning_gain.corrected(tables, ("first", "mean"))
    assert tables == {
        "first": {"mean": {"p": 0.01}},
        "second": {"de": {"p": 0.01, "p_holm": 0.02}, "nl": {"p": 0.04, "p_holm": 0.04}, "en": {"p": None}},
    }


@pytest.mark.usefixtures("cells")
def test_tables_whose_cells_are_missing_stay_empty() -> None:
    assert pruning_gain.curves() == pruning_gain.default_search() == pruning_gain.variants() == {}
