"""The table of shrunk models from cells whose losses are known."""

from pathlib import Path

import numpy as np
import pytest
from e5 import keep
from shrink import LANGUAGES, REPAIRS, SEEDS, SHAPES, Job, cell, jobs, table

from polyhead.compression.plan_search import RULES

LOST = {"joint": 1, "uniform": 3}
"""Words of 100 that each rule gets wrong beside the full model, without repair."""


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    for rule, lost in LOST.items():
        for seed in SEEDS:
            found = {"heads": np.array([6, 0]), "neurons": np.array([64, 128]), "bytes": np.array([1000, 700])}
            found |= {
                "search/cpu_ms": np.array([2000]),
                "us/predicted": np.array([200, 100]),
                "us/measured": np.array([210, 100]),
            }
            wrong = np.random.default_rng(seed).integers(5, 12, size=50)
            for language in LANGUAGES:
                found[f"before/{language}"] = np.stack([100 - wrong, np.full(50, 100)], axis=1)
                for repair in REPAIRS:
                    right = 100 - wrong - (lost if repair == "none" else 0)
                    found[f"{repair}/{language}"] = np.stack([right, np.full(50, 100)], axis=1)
            found |= {f"{repair}/cpu_ms": np.array([500]) for repair in REPAIRS}
            keep(cell(Job(rule, 2.0, SHAPES[1], seed).name, tmp_path), found)
    return tmp_path


def test_losses_and_contrasts_are_those_of_the_cells(cells: Path) -> None:
    (key, found), *others = table(SEEDS, cells).items()
    assert key == "2x, 32 x 128"
    assert others == []
    for rule, lost in LOST.items():
        row = found["rules"][rule]
        assert row["none"]["worst_language_loses"] == pytest.approx(lost)
        assert row["refit"]["worst_language_loses"] == pytest.approx(0)
        assert row["speedup_measured"] == [2.1] * len(SEEDS)
        assert row["share_of_bytes"] == 0.7
    gains = found["joint over"]
    assert [*gains] == ["uniform, none", "uniform, refit"]
    assert all(own["points"] == pytest.approx(2) for own in gains["uniform, none"].values())
    assert all(own["p_holm"] >= own["p"] for own in gains["uniform, none"].values())


def test_the_claim_comes_first_and_no_cell_twice() -> None:
    found = list(jobs(SEEDS, list(RULES)))
    names = [job.name for job in found]
    assert len(names) == len({*names})
    assert all(job.speedup == 2.0 for job in found[: 2 * len(RULES) * len(SEEDS)])
