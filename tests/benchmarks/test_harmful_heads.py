"""Table of removed heads, from cells whose gains are known."""

from pathlib import Path

import harmful_heads
import numpy as np
import pytest
from e5 import keep
from harmful_heads import ARMS, SEEDS, TARGETS

PREMISES = 40


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All heads are right in two of three pairs of a premise; `shapley` in all, `random` in one, by one premise less per seed."""
    monkeypatch.setattr(harmful_heads, "CELLS", tmp_path)
    gold = np.tile([0, 1, 2], PREMISES)
    whole = np.tile([0, 1, 0], PREMISES)
    best, chance = gold.copy(), np.tile([0, 0, 0], PREMISES)
    for i, seed in enumerate(SEEDS):
        keep(
            harmful_heads.cell(f"full.{seed}"),
            {f"{t}/{k}": v for t in TARGETS for k, v in [("predicted", whole[None]), ("gold", gold)]},
        )
        own = best.copy()
        own[: 3 * i] = whole[: 3 * i]
        for target in TARGETS:
            facts = {"removed": np.array([9, 50, 9, 9]), "passes_x10": np.array([3140])}
            predicted = np.stack([own, whole, whole, chance])
            keep(harmful_heads.cell(f"removed.{target}.{seed}"), {"predicted": predicted, "gold": gold, **facts})


@pytest.mark.usefixtures("cells")
def test_gains_and_differences_are_those_of_the_cells() -> None:
    found = harmful_heads.table()
    assert (found["seeds"], found["passes of shapley"]) == (list(SEEDS), [314.0])
    gain = 100 / 3
    mean = found["mean"]["shapley less all heads"]
    assert mean["accuracy"]["by_seed"] == pytest.approx([gain, gain * 39 / 40, gain * 38 / 40])
    assert mean["macro_f1"]["value"] > 0
    assert found["ar"]["shapley less random"]["accuracy"]["value"] == pytest.approx(gain * 39 / 40 + gain)
    assert found["ar"]["gradient less all heads"]["accuracy"]["value"] == pytest.approx(0)
    assert found["accuracy with all heads"]["sw"] == pytest.approx(200 / 3)
    assert found["heads removed"]["ur"] == dict(zip(ARMS, [[9] * 3, [50] * 3, [9] * 3, [9] * 3], strict=True))


@pytest.mark.usefixtures("cells")
def test_a_seed_counts_when_all_its_cells_are_there() -> None:
    harmful_heads.cell(f"removed.sw.{SEEDS[1]}").unlink()
    assert harmful_heads.table()["seeds"] == [SEEDS[0], SEEDS[2]]
    for seed in SEEDS:
        harmful_heads.cell(f"full.{seed}").unlink()
    assert harmful_heads.table() == {}
