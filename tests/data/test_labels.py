import pytest

from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.data.labels import LabelSet, harmonise, label_set
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import TASKS, UPOS


def dataset(*labels):
    return Dataset("x", "en", "train", tuple(Sentence(("w",) * len(row), tuple(row), "en", "x:1") for row in labels))


def test_label_set_of_tags_is_fixed():
    assert label_set(TASKS["pos"], []).names == UPOS


def test_label_set_of_spans_is_the_union_sorted_with_both_prefixes():
    labels = label_set(TASKS["slots"], [dataset(["O", "B-z-a"], [None]), dataset(["B-a/b", "I-a/b"])])
    assert labels.names == ("O", "B-a/b", "I-a/b", "B-z-a", "I-z-a")
    assert (len(labels), next(iter(labels))) == (5, "O")
    assert [labels.index(name) for name in labels] == [0, 1, 2, 3, 4]


def test_no_span_in_training_is_an_error():
    with pytest.raises(SettingError, match=r"task ner: no span in the training data \(x\)"):
        label_set(TASKS["ner"], [dataset(["O"])])


def test_unknown_label_and_bad_sets():
    with pytest.raises(UnknownNameError, match="label 'B-X': this model predicts O"):
        LabelSet(("O",)).index("B-X")
    for names in ((), ("O", "O")):
        with pytest.raises(SettingError, match="expected at least one name and no duplicates"):
            LabelSet(names)


def test_harmonise_renames_types_and_keeps_borders():
    data = harmonise(dataset(["B-DATE", "I-DATE", "B-NETI", "O", None, "B-NEL"]), TASKS["ner"])
    assert data.sentences[0].labels == ("B-MISC", "I-MISC", "B-MISC", "O", None, "B-LOC")
    assert data.merged == {
        f"span of type {old} read as {new}": 1 for old, new in (("DATE", "MISC"), ("NEL", "LOC"), ("NETI", "MISC"))
    }
    assert data.notes == data.merged


def test_types_that_the_model_predicts_are_not_merged():
    data = harmonise(dataset(["B-DATE", "I-DATE", "B-NETI"]), TASKS["ner"], kept=frozenset({"DATE"}))
    assert data.sentences[0].labels == ("B-DATE", "I-DATE", "B-MISC")


def test_harmonise_leaves_other_tasks_and_clean_data_alone():
    for labels, name in ((["NOUN"], "pos"), (["B-x"], "slots"), (["B-PER", "O"], "ner")):
        data = dataset(labels)
        assert harmonise(data, TASKS[name]) is data
