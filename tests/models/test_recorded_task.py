"""Which task a model is for: the one given comes first, then the one recorded."""

from dataclasses import replace
from pathlib import Path

import pytest

from polyhead.core.errors import CheckpointError, SettingError, UnknownNameError
from polyhead.data.tasks import TASKS
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.recorded_task import task_of

CHOICE = EncodingChoice(anchor="first", max_length=64, precision="fp32", words="surface", task="slots")


def test_the_task_given_comes_before_the_one_recorded() -> None:
    assert task_of("m", None, CHOICE) is TASKS["slots"]
    assert task_of("m", "ner", CHOICE) is TASKS["ner"]
    own = replace(TASKS["ner"], name="own")
    assert task_of("m", own, CHOICE) is own
    assert task_of("nowhere", "pos", None) is TASKS["pos"], "no model is read for it"
    with pytest.raises(UnknownNameError, match=r"^task 'nre': did you mean 'ner'\?"):
        task_of("m", "nre", CHOICE)


def test_a_task_that_is_neither_given_nor_recorded(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^polyhead/tiny: does not record its task; give --task, one of pos, ner, slots"):
        task_of("polyhead/tiny", None, None, option="--task")
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/none: no such folder"):
        task_of(f"{tmp_path}/none", None, None)
    with pytest.raises(SettingError, match=r"^m: polyhead.json records task 'own': expected one of pos, .*; give task=$"):
        task_of("m", None, replace(CHOICE, task="own"))
