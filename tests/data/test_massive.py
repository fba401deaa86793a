"""Slots in brackets inside the utterance, one JSON object a line."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError
from polyhead.data.massive import OTHER_TEXT, read_bracketed
from polyhead.data.schemes import WIDENED
from polyhead.data.textfile import TextFile


def row(annotated, utterance=None):
    if utterance is None:
        utterance = " ".join(w.strip("[]") for w in annotated.split() if not w.startswith("[") and w != ":")
    return json.dumps({"id": "0", "partition": "train", "utt": utterance, "annot_utt": annotated}, ensure_ascii=False)


def read(tmp_path, text, words="spaces", **options):
    path = tmp_path / "train.jsonl"
    path.write_text(text, encoding="utf-8")
    return list(read_bracketed(TextFile(path, "de", **options), words=words))


def test_slots_become_labels(tmp_path):
    text = row("weck mich [date : diese woche] um [time : fünf uhr] auf") + "\n" + row("stopp")
    first, second = read(tmp_path, text, strict=True)
    assert first.words == ("weck", "mich", "diese", "woche", "um", "fünf", "uhr", "auf")
    assert first.labels == ("O", "O", "B-date", "I-date", "O", "B-time", "I-time", "O")
    assert (second.words, second.labels, second.source) == (("stopp",), ("O",), f"{tmp_path}/train.jsonl:2")


def test_scripts_without_spaces_are_read_character_by_character(tmp_path):
    (sentence,) = read(tmp_path, row("在[time : 五点 am]叫醒我", "在五点 am叫醒我"), "characters", strict=True)
    assert sentence.words == ("在", "五", "点", "am", "叫", "醒", "我")
    assert sentence.labels == ("O", "B-time", "I-time", "I-time", "O", "O", "O")


@pytest.mark.parametrize(
    ("text", "labels", "repairs"),
    [
        (row("on [date : monday]'s list", "on monday's list"), ("O", "B-date", "O"), {WIDENED: 1}),
        (row("on [date : monday]", "on tuesday"), ("O", "B-date"), {OTHER_TEXT: 1}),
    ],
)
def test_faults_are_counted_or_refused(tmp_path, text, labels, repairs):
    met = Counter()
    (sentence,) = read(tmp_path, text, repairs=met)
    assert (sentence.labels, met) == (labels, repairs)
    with pytest.raises(DataFormatError, match=r"train.jsonl:1: .* \(strict reading allows no repair\)"):
        read(tmp_path, text, strict=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (row("BAD").replace("BAD", "\\ud800"), r":1: row .*ud800"),
        ("{", r":1: row '{'; expected one JSON object a line"),
        (row("a") + "\n[1]", r":2: row '\[1\]'"),
        ('{"utt": "a"}', r":1: row"),
        ('{"utt": "a", "annot_utt": 1}', r":1: row"),
        (row("a [date b] c", "a b c"), r":1: a bracket that belongs to no slot in 'a \[date b\] c'"),
        (row("a ] c", "a c"), r":1: a bracket"),
        (row("a [date : ] c", "a c"), r":1: .*contains no word"),
        (row(" ", ""), r":1: text ' '; expected at least one word"),
    ],
)
def test_bad_rows_are_one_error_with_their_line(tmp_path, text, said):
    with pytest.raises(DataFormatError, match=said) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


WORD = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=4)
LABELLED = st.lists(st.tuples(WORD, st.sampled_from(["", "time", "list_name"])), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(sentences=st.lists(LABELLED, min_size=1, max_size=4))
def test_what_was_written_is_read_back(tmp_path_factory, sentences):
    annotated = [" ".join(f"[{kind} : {word}]" if kind else word for word, kind in s) for s in sentences]
    rows = [row(text, " ".join(word for word, _ in s)) for text, s in zip(annotated, sentences, strict=True)]
    found = read(tmp_path_factory.mktemp("rows"), "\n".join(rows), strict=True)
    expected = [[(word, f"B-{kind}" if kind else "O") for word, kind in s] for s in sentences]
    assert [list(zip(s.words, s.labels, strict=True)) for s in found] == expected
