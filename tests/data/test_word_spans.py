"""Spans that count words: what the tools would write is read as it was meant, and what cannot be meant is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError
from polyhead.data.corpora import open_file
from polyhead.data.layouts import LAYOUTS
from polyhead.data.tasks import TASKS
from polyhead.data.word_spans import NOT_ACCEPTED

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4).filter(lambda word: word.strip())


@st.composite
def sentences(draw):
    """Words, and spans side by side: first word, last word, type."""
    text = draw(st.lists(words, min_size=1, max_size=7))
    spans, start = [], 0
    while start < len(text):
        last = draw(st.integers(start, len(text) - 1))
        if draw(st.booleans()):
            spans.append((start, last, draw(st.sampled_from(["PER", "a/b", "X-Y"]))))
        start = last + 1
    return text, spans


def labels_of(text, spans):
    labels = ["O"] * len(text)
    for first, last, kind in spans:
        labels[first : last + 1] = [f"B-{kind}", *[f"I-{kind}"] * (last - first)]
    return tuple(labels)


def prodigy(text, spans):
    found = [{"token_start": a, "token_end": b, "label": kind} for a, b, kind in spans]
    return {"text": " ".join(text), "tokens": [{"text": word} for word in text], "spans": found, "answer": "accept"}


def gliner(text, spans):
    return {"tokenized_text": text, "ner": [list(span) for span in spans]}


def as_lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


WRITERS = {
    "prodigy": lambda found: as_lines(prodigy(*one) for one in found),
    "gliner": lambda found: json.dumps([gliner(*one) for one in found], indent=2),
    "gliner lines": lambda found: as_lines(gliner(*one) for one in found),
}


def read(path, name):
    return open_file(path, TASKS["ner"], "dev", language="und", columns=LAYOUTS[name.partition(" ")[0]])


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=30, deadline=None)
@given(found=st.lists(sentences(), min_size=1, max_size=3))
def test_what_is_written_is_read(tmp_path_factory, name, found):
    path = tmp_path_factory.mktemp("x") / "x.json"
    path.write_text(WRITERS[name](found), encoding="utf-8")
    assert [(list(one.words), one.labels) for one in read(path, name)] == [
        (text, labels_of(text, spans)) for text, spans in found
    ]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([(0, 2, "X")], "span 0 to 2 of 2 words; expected 0 to 1, the last word included"),
        ([(1, 0, "X")], "span 1 to 0 of 2 words"),
        ([(-1, 0, "X")], "span -1 to 0 of 2 words"),
        ([(0, 1, "X"), (1, 1, "Y")], "span 1 to 1, Y, overlaps another; expected each word in one span at most"),
        ([(0, 1, "")], "numbers of the first and last word, and a type"),
        ([("0", 1, "X")], "numbers of the first and last word, and a type"),
        ([(0, True, "X")], "numbers of the first and last word, and a type"),
    ],
)
def test_spans_that_cannot_be_are_refused_with_their_record(tmp_path, name, spans, said):
    path = tmp_path / "x.json"
    path.write_text(WRITERS[name]([(["a"], []), (["a", "b"], spans)]))
    with pytest.raises(DataFormatError) as caught:
        read(path, name)
    assert str(caught.value).startswith(f"{path}:{'record 2' if name == 'gliner' else 2}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("prodigy", {"text": "a", "spans": []}),
        ("prodigy", {"tokens": ["a"], "spans": []}),
        ("prodigy", {"tokens": [{"text": "a"}], "spans": [{"start": 0, "end": 1, "label": "X"}]}),
        ("prodigy", {"tokens": [{"text": " "}], "spans": []}),
        ("gliner", {"tokenized_text": [], "ner": []}),
        ("gliner", {"tokenized_text": ["a"], "ner": [[0]]}),
        ("gliner", {"tokenized_text": "a b", "ner": 3}),
        ("gliner", {"tokenized_text": "ab", "ner": []}),
    ],
)
def test_records_of_another_form_are_refused(tmp_path, name, record):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(DataFormatError, match=r"x.json:1: no words and spans in .*; expected .*words not empty") as caught:
        read(path, name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_half_of_a_surrogate_pair_is_refused_in_words_and_types(tmp_path, name):
    path = tmp_path / "x.json"
    for sentence in ((["\ud800"], []), (["a"], [(0, 0, "\udfff")])):
        path.write_text(WRITERS[name]([sentence]).encode("ascii", "backslashreplace").decode())
        with pytest.raises(DataFormatError, match="half of a surrogate pair"):
            read(path, name)
    path.write_text(WRITERS[name]([(["a"], [(0, 0, "\\ud83d\\ude00")])]).replace("\\\\", "\\"))
    assert read(path, name).sentences[0].labels == ("B-\U0001f600",)


def test_tasks_that_were_not_accepted_are_counted(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(as_lines(prodigy(["a"], []) | {"answer": answer} for answer in ("accept", "reject", "ignore")))
    data = read(path, "prodigy")
    assert (len(data), data.repairs) == (1, {NOT_ACCEPTED: 2})
