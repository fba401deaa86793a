"""The learning rate that was used stands on the page, and the settings hold no seed that was not used."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from record_case import cell, record

from polyhead.report.page import page

TRAIN = {"epochs": 3, "learning_rate": None, "seed": 42}


@pytest.mark.parametrize(
    ("asked", "used", "said"),
    [
        (None, 3e-4, "0.0003 (by the encoder's width)"),
        (2e-5, 2e-5, "2e-05"),
    ],
)
def test_the_learning_rate_stands_on_the_page(asked: float | None, used: float, said: str) -> None:
    case = record(train={**TRAIN, "learning_rate": asked}, facts={"learning_rate": used})
    assert f"- learning rate: {said}\n" in page(case)


def test_the_seed_inside_train_is_left_out_beside_the_seeds() -> None:
    case = record(cell(1), cell(2), train=TRAIN, seeds=[1, 2])
    text = page(case)
    assert "seeds = [1, 2]" in text
    assert "train = {'epochs': 3, " in text
    assert "'seed'" not in text
