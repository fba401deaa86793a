"""A study's cell: its fingerprint, and the run that it becomes."""

from dataclasses import fields, replace

import pytest
from studies.study_case import cells

from polyhead.core.specs import SearchSpec
from polyhead.studies.arms import Cell
from polyhead.studies.settings import run_settings
from polyhead.studies.study_cells import PLACES, StudyCell

(CELL, *_) = cells()
OTHERS = {
    "task": "ner",
    "model": "other",
    "revision": "main",
    "setting": "monolingual",
    "sources": ("phrases/nl",),
    "targets": ("phrases/de",),
    "method": "fisher",
    "normalisation": "paper",
    "protocol": "paper",
    "rank_on": "sources",
    "combine": "summed",
    "target_tenths": 3,
    "train_limit": 10,
    "search": SearchSpec(max_pruned=3),
    "select_on": "pooled",
    "train": replace(CELL.train, seed=9),
    "arm": "random",
    "columns": "facebook",
    "scheme": "iob2",
    "strict": True,
    "unseen_labels": "keep",
}


def test_a_fingerprint_is_of_all_values_but_where_things_lie() -> None:
    assert {*OTHERS} == {item.name for item in fields(StudyCell)} - PLACES
    prints = [replace(CELL, **{name: value}).fingerprint for name, value in OTHERS.items()]
    assert len({CELL.fingerprint, *prints}) == len(OTHERS) + 1
    assert replace(CELL, data="elsewhere", folder="there").fingerprint == CELL.fingerprint


def test_a_fingerprint_is_the_same_in_every_version() -> None:
    assert CELL.fingerprint == "2c956c00084f5712", "stores name cells by it: a new field needs a new schema of stores"


def test_it_becomes_the_settings_of_a_run() -> None:
    wanted = run_settings(
        model="polyhead/tiny", task="pos", sources=["phrases/en"], targets=["phrases/de", "phrases/nl"], train={"seed": 1}
    )
    assert CELL.settings() == wanted
    assert CELL.cell() == Cell(CELL.train, "ranked")


@pytest.mark.parametrize(("arm", "called"), [("highest", "highest"), ("random", "random"), ("noise", "ranked")])
def test_its_arm(arm: str, called: str) -> None:
    assert replace(CELL, arm=arm).cell().arm == called
