"""The table of one fine-tuning for every size, against cells whose counts are known."""

from dataclasses import replace
from pathlib import Path

import elastic
import numpy as np
import plan_times
import pytest
from e5 import keep
from shrink_cells import DESIGN, SETTINGS, Asked, before_name, distil_name
from studies.shrink_case import made_up_table, tagger

from polyhead.studies import plan_rounds

SEEDS = (42, 43, 44)
LANGUAGES = SETTINGS["pos"].languages


@pytest.fixture(autouse=True)
def no_measured_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_times, "TABLES", tmp_path / "tables")  # they are of other models


def counts(correct: int) -> dict[str, np.ndarray]:
    return {language: np.array([[correct, 100]] * 10) for language in LANGUAGES}


def cells(folder: Path) -> None:
    for number, seed in enumerate(SEEDS):
        found = {"cpu_seconds": np.array([540]), "plans/cpu_seconds": np.array([-1 if number else 60])}
        found |= {"smallest/heads": np.array([1, 0]), "smallest/neurons": np.array([64, 0])}
        keep(replace(DESIGN, folder=folder).cell(before_name("pos", seed)), counts(91))
        for name, correct in (("whole", 90), ("2x.32x128", 89 + number % 2)):
            found |= {f"{name}/{language}": own for language, own in counts(correct).items()}
        found |= {"2x.32x128/heads": np.array([6, 2]), "2x.32x128/neurons": np.array([64, 0])}
        keep(elastic.Cell(seed).path(folder), found)
    for seed in SEEDS[:2]:
        keep(elastic.Cell(seed, 2.0).path(folder), {f"alone/{name}": own for name, own in counts(87).items()})
    for seed in SEEDS[1:]:
        design, asked = replace(DESIGN, folder=folder), Asked("half-layers", seed, 2.0)
        found = {"search/cpu_ms": np.array([60_000]), "refit/cpu_ms": np.array([30_000])}
        keep(design.cell(asked.name), found)
        taught = {f"distil/{name}": own for name, own in counts(88).items()}
        keep(design.cell(distil_name(asked)), {"distil/minutes_x1000": np.array([11_500]), **taught})


def test_each_speed_is_compared_with_the_ordinary_model_and_with_its_plan_alone(tmp_path: Path) -> None:
    cells(tmp_path)
    (rows,) = elastic.table(SEEDS, [elastic.TAUGHT, 0.5], replace(DESIGN, folder=tmp_path), tmp_path).values()
    assert rows["whole over ordinary"]["de"]["points"] == -1.0
    row = rows["2x.32x128"]
    assert row["seeds"] == list(SEEDS)
    assert row["over ordinary"]["ja"]["points"] == np.mean([-2, -1, -2])
    assert row["over the plan alone"]["en"]["points"] == 2.5
    assert row["seeds alone"] == list(SEEDS[:2])
    assert row["speedup_measured"] == [None] * 3
    assert row["heads"] == [6.0, 2.0]
    assert "3x.32x128" not in rows, "a speed that was not reached has no row"
    assert rows["smallest"]["32x128"]["speedup_measured"] == [None] * 3


def test_each_speed_is_compared_with_the_distilled_plan_of_every_rule(tmp_path: Path) -> None:
    cells(tmp_path)
    (rows,) = elastic.table(SEEDS, [elastic.TAUGHT], replace(DESIGN, folder=tmp_path), tmp_path).values()
    found = rows["2x.32x128"]["over rules"]
    assert [*found] == ["half-layers"], "no other rule has cells"
    assert found["half-layers"]["seeds"] == list(SEEDS[1:])
    assert found["half-layers"]["gain"]["zh"]["points"] == np.mean([90, 89]) - 88
    assert found["half-layers"]["cpu_minutes"] == {"elastic": None, "rule": 13.0}
    ours = {42: {"plans/cpu_seconds": np.array([60]), "cpu_seconds": np.array([540])}}
    assert elastic._minutes(ours) == 10


def test_cells_are_in_the_order_of_what_is_claimed_and_wait_for_one_another(tmp_path: Path) -> None:
    found = elastic.jobs([*elastic.cells((42, 45), (elastic.TAUGHT, 0.5))], folder=tmp_path)
    names = [job.name for job in found]
    assert names[:4] == ["elastic.42", "alone.2x.42", "elastic.45", "alone.2x.45"]
    assert names[4:] == ["alone.1.5x.42", "alone.3x.42", "elastic-0.5.42"]
    assert found[0].needs == (DESIGN.cell("before.42"),)
    assert found[1].needs == (elastic.Cell(42).path(tmp_path),)


def test_variants_share_the_plans_of_their_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elastic, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(elastic, "POS", replace(elastic.POS, corpora={"en": "phrases/en"}))
    scored: list[int] = []
    scorer = plan_rounds.score_plan
    monkeypatch.setattr(plan_rounds, "score_plan", lambda *given, **more: scored.append(1) or scorer(*given, **more))
    design = replace(DESIGN, dev=8, scored=8, tables={(32, 128): made_up_table(batch=32, length=128)})
    found = [
        elastic.nested_plans(tagger(), 42, replace(elastic.elastic_spec(design, taught), rounds=2, per_round=2), design)
        for taught in (elastic.TAUGHT, 0.5)
    ]
    assert len(scored) == 2, "one pass for each round of the first call"
    assert found[0][0] == found[1][0]
    assert (found[0][1] >= 0, found[1][1]) == (True, -1)


def test_plans_that_were_taken_are_timed(tmp_path: Path) -> None:
    cells(tmp_path)
    smallest = [(1, 64), (0, 0)]
    assert [*elastic.timed_plans(SEEDS[:1], [elastic.TAUGHT], tmp_path)] == [
        ((32, 128), [(6, 64), (2, 0)]),
        ((32, 128), smallest),
        ((1, 32), smallest),
    ]
