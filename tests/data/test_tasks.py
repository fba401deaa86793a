import pickle

import pytest

from polyhead.core.errors import UnknownNameError
from polyhead.data.tasks import TASKS, UPOS, task


def test_the_table_is_as_promised():
    assert {name: (row.kind, row.metric) for name, row in TASKS.items()} == {
        "pos": ("tag", "accuracy"),
        "ner": ("span", "span_f1"),
        "slots": ("span", "span_f1"),
        "nli": ("sentence", "accuracy"),
        "classification": ("sentence", "accuracy"),
        "mlm": ("masked", "accuracy"),
    }
    assert all(name == row.name for name, row in TASKS.items())


def test_upos_has_seventeen_tags_in_order():
    assert len(UPOS) == 17
    assert list(UPOS) == sorted(set(UPOS))
    assert task("pos").labels == UPOS


@pytest.mark.parametrize(
    ("span_type", "expected"),
    [
        ("PER", "PER"),
        ("NEP", "PER"),
        ("NEL", "LOC"),
        ("NEO", "ORG"),
        ("MIS", "MISC"),
        ("MISC", "MISC"),
        ("DATE", "MISC"),
        ("NETI", "MISC"),
    ],
)
def test_entity_types_are_merged_as_the_paper_does(span_type, expected):
    assert task("ner").map_type(span_type) == expected


def test_slot_types_stay():
    assert task("slots").map_type("reminder/todo") == "reminder/todo"


def test_unknown_task_lists_the_names():
    with pytest.raises(UnknownNameError, match=r"task 'nre': did you mean 'ner'\? Expected one of pos, ner, slots"):
        task("nre")


def test_a_task_can_be_hashed_and_sent_to_a_worker():
    assert len({hash(row) for row in TASKS.values()}) == 6
    assert pickle.loads(pickle.dumps(task("ner"))) == task("ner")
