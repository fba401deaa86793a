"""The table of one fine-tuning for every size, against cells whose counts are known."""

from pathlib import Path

import elastic
import numpy as np
from e5 import keep
from shrink import LANGUAGES

SEEDS = (42, 43, 44)


def counts(correct: int) -> dict[str, np.ndarray]:
    return {language: np.array([[correct, 100]] * 10) for language in LANGUAGES}


def cells(folder: Path) -> None:
    for number, seed in enumerate(SEEDS):
        found = {"cpu_seconds": np.array([60])}
        for name, correct in (("whole", 90), ("ordinary", 91), ("2x.32x128", 89 + number % 2)):
            found |= {f"{name}/{language}": own for language, own in counts(correct).items()}
        found |= {"2x.32x128/heads": np.array([6, 2]), "2x.32x128/neurons": np.array([64, 0])}
        found |= {"2x.32x128/us/predicted": np.array([4000, 2000]), "2x.32x128/us/measured": np.array([4000, 1600])}
        keep(elastic.Job(seed).path(folder), found)
    for seed in SEEDS[:2]:
        keep(elastic.Job(seed, 2.0).path(folder), {f"alone/{name}": own for name, own in counts(87).items()})


def test_each_speed_is_compared_with_the_ordinary_model_and_with_its_plan_alone(tmp_path: Path) -> None:
    cells(tmp_path)
    (rows,) = elastic.table(SEEDS, [elastic.TAUGHT, 0.5], tmp_path).values()
    assert rows["whole over ordinary"]["de"]["points"] == -1.0
    row = rows["2x.32x128"]
    assert row["seeds"] == list(SEEDS)
    assert row["over ordinary"]["ja"]["points"] == np.mean([-2, -1, -2])
    assert row["over the plan alone"]["en"]["points"] == 2.5
    assert row["speedup_measured"] == [2.5] * 3
    assert row["heads"] == [6.0, 2.0]
    assert "3x.32x128" not in rows, "a speed that was not reached has no row"


def test_jobs_are_in_the_order_of_what_is_claimed() -> None:
    names = [job.name for job in elastic.jobs((42, 45), (elastic.TAUGHT, 0.5))]
    assert names[:4] == ["elastic.42", "alone.2x.42", "elastic.45", "alone.2x.45"]
    assert names[4:] == ["alone.1.5x.42", "alone.3x.42", "elastic-0.5.42"]
