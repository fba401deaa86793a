"""Span files: the rows of the multilingual dialogues and Stockmark's JSON list."""

import json
import unicodedata
from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError
from polyhead.data.schemes import SHARED, WIDENED, LabelError, span_labels
from polyhead.data.spans import BEFORE, DECOMPOSED, read_facebook, read_stockmark
from polyhead.data.textfile import TextFile


def row(text, slots, words=None, tokens=None):
    """One row; words are those between spaces unless given as offsets."""
    if words is None:
        words, at = [], 0
        for word in text.split(" "):
            words += [(at, at + len(word))] if word else []
            at += len(word) + 1
    tokens = [text[a:b].lower() for a, b in words] if tokens is None else tokens
    spans = [{"start": a, "length": b - a} for a, b in words]
    return "\t".join(["x/y", slots, text, "en_XX", json.dumps({"tokenizations": [{"tokens": tokens, "tokenSpans": spans}]})])


def read(tmp_path, text, reader=read_facebook, **options):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    return list(reader(TextFile(path, "en", **options)))


@pytest.mark.parametrize(
    ("spans", "labels", "repairs"),
    [
        ([(0, 3, "a")], ["B-a", "O", "O"], {}),
        ([(4, 11, "a"), (0, 3, "b")], ["B-b", "B-a", "I-a"], {}),
        ([(0, 5, "a")], ["B-a", "I-a", "O"], {WIDENED: 1}),
        ([(1, 3, "a")], ["B-a", "O", "O"], {WIDENED: 1}),
        ([(0, 5, "a"), (5, 11, "b")], ["B-a", "I-a", "B-b"], {WIDENED: 2, SHARED: 1}),
        ([(0, 5, "a"), (5, 7, "b")], ["B-a", "I-a", "O"], {WIDENED: 2, SHARED: 1}),
        ([(0, 3, "a"), (4, 7, "a")], ["B-a", "B-a", "O"], {}),
    ],
)
def test_spans_become_labels_of_words(spans, labels, repairs):
    met = Counter()
    found = span_labels([(0, 3), (4, 7), (8, 11)], spans, lambda what: met.update([what]))
    assert (list(found), met) == (labels, repairs)


@pytest.mark.parametrize(
    ("spans", "said"),
    [([(0, 5, "a"), (4, 7, "b")], "4:7:b overlaps the span that ends at 5"), ([(3, 4, "a")], "contains no word")],
)
def test_spans_that_no_labels_express(spans, said):
    with pytest.raises(LabelError, match=said):
        span_labels([(0, 3), (4, 7)], spans, print)


def test_facebook_rows_keep_the_case_of_the_utterance(tmp_path):
    first, second = read(tmp_path, row("Wake me at 7am", "8:14:datetime") + "\n" + row("Stop ", "") + "\n")
    assert (first.words, first.labels) == (("Wake", "me", "at", "7am"), ("O", "O", "B-datetime", "I-datetime"))
    assert (second.words, second.labels, second.source) == (("Stop",), ("O",), f"{tmp_path}/a.txt:2")


DECOMPOSED_ROW = row("más té", "0:6:x", words=[(0, 4), (5, 8)], tokens=["más", "té"])


@pytest.mark.parametrize(
    ("text", "labels", "repairs"),
    [
        (row("Bob's cat", "0:3:who"), ("B-who", "O"), {WIDENED: 1}),
        (row("a b", "-2:1:x"), ("B-x", "O"), {BEFORE: 1}),
        (DECOMPOSED_ROW, ("B-x", "I-x"), {DECOMPOSED: 1}),
    ],
)
def test_known_faults_are_counted_or_refused(tmp_path, text, labels, repairs):
    met = Counter()
    (sentence,) = read(tmp_path, text, repairs=met)
    assert (sentence.labels, met) == (labels, repairs)
    with pytest.raises(DataFormatError, match=r"a.txt:1: .* \(strict reading allows no repair\)"):
        read(tmp_path, text, strict=True)


def test_decomposed_offsets_cut_the_composed_words(tmp_path):
    assert len(unicodedata.normalize("NFD", "más")) == 4
    (sentence,) = read(tmp_path, DECOMPOSED_ROW)
    assert sentence.words == ("más", "té")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\n", r":1: 2 columns in 'a\\tb'; expected 5, separated by TAB"),
        (row("a b", "") + "\n" + row("a b", "0:9:x"), r":2: slot '0:9:x' in column 2; expected start:end:type inside .* 3 char"),
        (row("a b", "1:1:x"), r":1: slot '1:1:x'"),
        (row("a b", "0:1"), r":1: slot '0:1'"),
        (row("a b", "0:2:x,1:3:y"), r":1: span 1:3:y overlaps"),
        (row("a b", "").rpartition("\t")[0] + "\t{}", r":1: tokenisation '{}' in column 5"),
        (row("a b", "").rpartition("\t")[0] + "\t" + "[" * 5000, r":1: tokenisation"),
        (row("a b", "", words=[(0, 9)], tokens=["a b"]), r":1: word at 0:9 of 'a b'"),
        (row("a b", "", words=[(2, 3), (0, 1)]), r":1: word at 0:1 of 'a b'; expected words in order"),
        (row("a b", "", words=[(0, 1), (1, 2)]), r":1: word at 1:2 .* not blank"),
    ],
)
def test_bad_rows_are_one_error_with_their_line(tmp_path, text, said):
    with pytest.raises(DataFormatError, match=said) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


WORD = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=4)
LABELLED = st.lists(st.tuples(WORD, st.sampled_from(["O", "B-a/b", "B-c:d", "B-e-f"])), min_size=1, max_size=6)


def written(sentence):
    """Words, text and spans of one sentence, each labelled word a span of its own."""
    text = " ".join(word for word, _ in sentence)
    spans, at = [], 0
    for word, label in sentence:
        spans += [(at, at + len(word), label[2:])] if label != "O" else []
        at += len(word) + 1
    return text, spans


@settings(deadline=None, max_examples=50)
@given(sentences=st.lists(LABELLED, min_size=1, max_size=4))
def test_facebook_gives_back_what_was_written(tmp_path_factory, sentences):
    rows = [row(text, ",".join(f"{a}:{b}:{kind}" for a, b, kind in spans)) for text, spans in map(written, sentences)]
    found = read(tmp_path_factory.mktemp("rows"), "\n".join(rows), strict=True)
    assert [list(zip(s.words, s.labels, strict=True)) for s in found] == sentences


def stockmark(*records):
    return json.dumps(
        [
            {"curid": "1", "text": text, "entities": [{"name": text[a:b], "span": [a, b], "type": kind} for a, b, kind in spans]}
            for text, spans in records
        ],
        ensure_ascii=False,
        indent=2,
    )


@settings(deadline=None, max_examples=50)
@given(sentences=st.lists(LABELLED, min_size=1, max_size=4))
def test_stockmark_gives_back_what_was_written(tmp_path_factory, sentences):
    texts = [written(sentence) for sentence in sentences]
    found = read(tmp_path_factory.mktemp("json"), stockmark(*texts), read_stockmark, strict=True)
    for sentence, (text, spans) in zip(found, texts, strict=True):
        assert "".join(sentence.words) == text.replace(" ", "")
        starts = [i for i, character in enumerate(text) if character != " "]
        got = [(starts[i], label[2:]) for i, label in enumerate(sentence.labels) if label.startswith("B-")]
        assert got == [(a, kind) for a, _, kind in spans]
        assert sum(label != "O" for label in sentence.labels) == sum(b - a for a, b, _ in spans)


def test_stockmark_types_are_renamed_and_checked(tmp_path):
    text = stockmark(("東京 に行く", [(0, 2, "地名")]))
    (sentence,) = read(tmp_path, text, partial(read_stockmark, types={"地名": "LOC"}))
    assert (sentence.words[:3], sentence.labels[:3], sentence.source[-9:]) == (
        ("東", "京", "に"),
        ("B-LOC", "I-LOC", "O"),
        ":record 1",
    )
    with pytest.raises(DataFormatError, match=r"record 1: span type '地名'; expected one of 人名"):
        read(tmp_path, text, partial(read_stockmark, types={"人名": "PER"}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[\n{"text": }', r":2: not JSON \(Expecting value\); expected one JSON list"),
        ("{}", r":1: a JSON dict; expected one JSON list"),
        ('[{"text": "a"}]', r"record 1: .*; expected {\"text\", \"entities\""),
        ('[{"text": 1, "entities": []}]', r"record 1: text '1'; expected a string"),
        ('[{"text": " ", "entities": []}]', r"record 1: text ' '; expected at least one word"),
        (
            '[{"text": "ab", "entities": [{"name": "b", "span": [0, 1], "type": "x"}]}]',
            r"record 1: entity 'b' at 0:1, where the text is 'a'",
        ),
        ('[{"text": "ab", "entities": [{"name": "b", "span": [1, 3], "type": "x"}]}]', r"span \[start, end\] inside the 2"),
        ("[" * 100000, r":1: not JSON"),
    ],
)
def test_bad_json_is_one_error_with_its_record(tmp_path, text, said):
    with pytest.raises(DataFormatError, match=said) as caught:
        read(tmp_path, text, read_stockmark)
    assert "\n" not in str(caught.value)
