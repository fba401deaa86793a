"""Nested plans in polyhead.json: there and back, what is left of a smaller model, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyhead.core.errors import CheckpointError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.trained_plans import MOST_PLANS, TrainedPlans


def plan(heads: int, neurons: int) -> Plan:
    """Of two layers, without the first so many of either."""
    return Plan(
        HeadMask(np.arange(4) >= np.array([[heads], [0]])), NeuronMask(np.arange(6) >= np.array([[neurons], [neurons // 2]]))
    )


PLANS = (plan(0, 0), plan(1, 2), plan(1, 4), plan(4, 6))
FOUND = TrainedPlans.of(PLANS, batch=32, length=128)
CHOICE = EncodingChoice(anchor="text", max_length=128, precision="fp32", words="surface", task="pos", plans=FOUND)


def test_there_and_back(tmp_path: Path) -> None:
    CHOICE.write(tmp_path)
    again = EncodingChoice.read(tmp_path)
    assert again == CHOICE
    assert again is not None
    assert again.plans is not None
    assert again.plans.plans == PLANS
    held = json.loads((tmp_path / "polyhead.json").read_text())["plans"]
    assert held["heads"] == ["1333", "4444"]
    assert held["neurons"] == ["112233", "123444"]


def test_heads_that_share_a_key_stay_together() -> None:
    grouped = [Plan(HeadMask(own.heads.keep, 2), own.neurons) for own in (plan(0, 0), plan(2, 0))]
    assert TrainedPlans.of(grouped, batch=1, length=8).plans[1].heads.group == 2


def test_what_is_left_of_a_smaller_model() -> None:
    assert FOUND.smaller_than(PLANS[0]) == PLANS[1:]
    assert FOUND.smaller_than(PLANS[2]) == PLANS[3:]
    assert FOUND.smaller_than(PLANS[3]) == ()
    other = Plan(HeadMask(np.array([[True] * 4, [False, True, True, True]])), PLANS[1].neurons)
    assert [own.heads.n_kept for own in FOUND.smaller_than(other)] == [6, 6, 3]


def test_too_many() -> None:
    with pytest.raises(SettingError, match=f"expected 1 to {MOST_PLANS}"):
        TrainedPlans.of([PLANS[0]] * (MOST_PLANS + 1), batch=1, length=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": ["1334"]}, "1 layers of heads and 2 of neurons"),
        ({"heads": ["1334", "444"]}, "unequal numbers of heads"),
        ({"heads": ["1334", "4445"]}, "heads in 5 plans of 4"),
        ({"neurons": ["11223A", "123444"]}, "plans.neurons.0"),
        ({"n": 0}, "plans.n = 0: should be at least 1"),
        ({"n": 99}, "plans.n = 99"),
        ({"batch": "32"}, "plans.batch = '32': should be a whole number"),
        ({"heads": None}, "plans.heads"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    CHOICE.write(tmp_path)
    path = tmp_path / "polyhead.json"
    held = json.loads(path.read_text())
    held["plans"] |= change
    path.write_text(json.dumps(held))
    with pytest.raises(CheckpointError, match=message) as failure:
        EncodingChoice.read(tmp_path)
    assert str(failure.value).startswith(str(path))
    assert "\n" not in str(failure.value)


def test_plans_of_another_model() -> None:
    FOUND.check((2, 4, 6), where="tagger")
    with pytest.raises(CheckpointError, match="tagger: its plans are of 2 layers of 4 heads and 6 neurons, and the model has 2"):
        replace(FOUND).check((2, 4, 8), where="tagger")
