from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError
from polyhead.data.column_format import ColumnFormat, parse_columns
from polyhead.data.columns import TRAILING, WORDLESS, read_columns
from polyhead.data.layouts import read_layout
from polyhead.data.schemes import INSIDE_STARTS
from polyhead.data.textfile import BLANK, TextFile


def write(tmp_path, text, name="a.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def read(path, columns, **options):
    if isinstance(columns, str):
        columns = parse_columns(columns)
    return list(read_layout(TextFile(path, "en", **options), columns))


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ("space:scheme=iob2", "Ann B-PER\nsings O\n\n# O\n"),
        ("space:scheme=iob2", "Ann   B-PER\nsings  O\n\n # O \n"),
        ("tab:scheme=iob2", "Ann\tB-PER\nsings\tO\n\n#\tO"),
        ("auto:scheme=iob2", "Ann\tB-PER\nsings\tO\n\n#\tO"),
        ("auto:scheme=iob2", "Ann B-PER\nsings O\n\n# O\n\n\n"),
        ("auto:scheme=iob1", "\n\nAnn NNP I-PER\nsings V O\n\n# S O\n"),
        ("tab:token=2,tag=1,scheme=bioes", "S-PER\tAnn\nO\tsings\n\nO\t#\n"),
        ("tab:index=1,token=2,tag=3,comments=hash,scheme=iob2", "# a\tb\n1\tAnn\tB-PER\tx\n2\tsings\tO\tx\n\n# c\n0\t#\tO\tx\n"),
        ("tab:comments=hash,scheme=io", "# text = x\nAnn\tI-PER\n# in between\nsings\tO\n\n#\tO\n# end\n"),
        ("space:comments=hash,columns=2,scheme=iob2", "# text = x\nAnn B-PER\nsings O\n\n# O\n"),
        ("tab:columns=2/4,tag=2,scheme=iob2", "Ann\tB-PER\t-\tx\nsings\tO\n\n#\tO\n"),
    ],
)
def test_layouts(tmp_path, columns, text):
    path = write(tmp_path, text)
    for data in (text, text.replace("\n", "\r\n"), "\ufeff" + text):
        path.write_bytes(data.encode())
        first, second = read(path, columns)
        assert (first.words, first.labels) == (("Ann", "sings"), ("B-PER", "O"))
        assert (second.words, second.labels) == (("#",), ("O",))
        lines = text.split("\n")
        assert first.source == f"{path}:{1 + next(i for i, line in enumerate(lines) if 'Ann' in line)}"


def test_files_without_tags_and_words_without_a_tag(tmp_path):
    (sentence,) = read(write(tmp_path, "Ann\nsings\n"), "tab:tag=none")
    assert sentence.labels == (None, None)
    (sentence,) = read(write(tmp_path, "Ann\tPROPN\nsings\t_\n"), ColumnFormat("tab", types=frozenset({"PROPN"})))
    assert sentence.labels == ("PROPN", None)


@pytest.mark.parametrize(
    ("columns", "text", "message"),
    [
        ("tab:scheme=iob2", "a\tO\nb\n", r":2: 1 column in 'b'; expected 2, separated by tab"),
        ("tab:scheme=iob2", "a\tO\nb\tO\t\n", r":2: 3 columns"),
        ("tab:scheme=iob2", "a O\n", r":1: 1 column in 'a O'; expected at least 2"),
        ("tab:token=3,scheme=iob2", "a\tO\n", r":1: 2 column"),
        ("tab:token=2,scheme=iob2", "a\tO\n", r":1: 2 columns in .*; expected at least 3"),
        ("space:scheme=iob2", "a O\n O\n", r":2: 1 column"),
        ("tab:scheme=iob2", "a\tO\n\tO\n", r":2: an empty word in '\\tO'; expected a word in column 1"),
        ("tab:scheme=iob2", "a\tO\n \tO\n", r":2: an empty word"),
        ("tab:scheme=iob2", "a\tO\nb\tE-PER\n", r":2: tag 'E-PER'; expected O or B-TYPE or I-TYPE \(iob2\)"),
        ("tab:scheme=iob2", "a\tO\nb\t\n", r":2: tag ''"),
        ("tab:scheme=iob2", "a\tO\n\nb\tPER\n", r":3: tag 'PER'"),
        ("tab:scheme=iob2", "# text = x\na\tO\n", r":1: 1 column in '# text = x'; .* comments=hash"),
        ("tab:index=1,token=2,scheme=iob2", "1\ta\tO\n3\tb\tO\n", r":2: index '3' in column 1; expected 2, counting up by one"),
        ("tab:index=1,token=2,scheme=iob2", "2\ta\tO\n", r":1: index '2' in column 1; expected 0 or 1"),
        ("tab:index=1,token=2,scheme=iob2", "x\ta\tO\n", r":1: index 'x'"),
        ("tab:scheme=iob2", "", r": end of file and not one sentence; expected at least one"),
        ("tab:scheme=iob2", "\n\n", r": end of file and not one sentence"),
    ],
)
def test_bad_input_is_one_error_with_its_line(tmp_path, columns, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataFormatError, match=message) as caught:
        read(path, columns)
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)


def test_declared_types_and_tags(tmp_path):
    path = write(tmp_path, "a\tB-X\n")
    with pytest.raises(DataFormatError, match=":1: tag 'B-X' of type 'X'; expected one of the types PER"):
        read(path, ColumnFormat("tab", scheme="iob2", types=frozenset({"PER"})))
    with pytest.raises(DataFormatError, match=":1: tag 'B-X'; expected one of NOUN VERB, or _"):
        read(path, ColumnFormat("tab", types=frozenset({"NOUN", "VERB"})))


@pytest.mark.parametrize(
    ("columns", "text", "labels", "repairs", "line"),
    [
        (ColumnFormat("tab", scheme="iob2"), "a\tO\nb\tI-PER\n", ("O", "B-PER"), {INSIDE_STARTS: 1}, 2),
        (ColumnFormat("tab", scheme="iob2"), "a\tO\n   \n", ("O",), {BLANK: 1}, 2),
        (
            ColumnFormat("tab", scheme="iob2", rewrites={"-X": "I-X", "B-O": "O"}),
            "a\tB-X\nb\t-X\nc\tB-O\n",
            ("B-X", "I-X", "O"),
            {"tag -X read as I-X": 1, "tag B-O read as O": 1},
            2,
        ),
        (
            ColumnFormat("tab", scheme="iob2", skipped_rows={"O": "it has no word"}),
            "a\tO\nO\nb\tO\n",
            ("O", "O"),
            {"row 'O' left out: it has no word": 1},
            2,
        ),
        (
            ColumnFormat("tab", index=1, token=2, scheme="iob2", skip_wordless=True),
            "1\ta\tO\n2\t\tO\n3\tb\tO\n",
            ("O", "O"),
            {WORDLESS: 1},
            2,
        ),
    ],
)
def test_known_faults_are_mended_and_counted_or_refused(tmp_path, columns, text, labels, repairs, line):
    path = write(tmp_path, text)
    met: Counter[str] = Counter()
    (sentence,) = read(path, columns, repairs=met)
    assert sentence.labels == labels
    assert met == repairs
    with pytest.raises(DataFormatError, match=rf":{line}: .* \(strict reading allows no repair\)"):
        read(path, columns, strict=True)


def test_an_empty_word_with_a_span_tag_is_never_left_out(tmp_path):
    path = write(tmp_path, "1\t\tB-X\n")
    with pytest.raises(DataFormatError, match=":1: an empty word"):
        read(path, ColumnFormat("tab", index=1, token=2, scheme="iob2", skip_wordless=True))


def test_only_u0020_and_tab_separate(tmp_path):
    (sentence,) = read(write(tmp_path, "a\u00a0b O\n\u2028 O\n\x85 O\n\u3000 O\n"), "space:scheme=iob2")
    assert sentence.words == ("a\u00a0b", "\u2028", "\x85", "\u3000")
    with pytest.raises(DataFormatError, match=r":1: 1 column in '\\u3000'"):
        read(write(tmp_path, "\u3000\na O\n"), "space:scheme=iob2")


WORD = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters=" \t\n\r\x00"), min_size=1)
TAG = st.sampled_from(["O", "B-PER", "B-a-b", "B-c/d"])


@settings(deadline=None, max_examples=60)
@given(
    sentences=st.lists(st.lists(st.tuples(WORD, TAG), min_size=1, max_size=6), min_size=1, max_size=5),
    separator=st.sampled_from(["tab", "space"]),
    with_index=st.booleans(),
)
def test_what_was_written_is_read_back(tmp_path_factory, sentences, separator, with_index):
    sep = {"tab": "\t", "space": " "}[separator]
    blocks = [
        "".join(sep.join([str(i), w, t] if with_index else [w, t]) + "\n" for i, (w, t) in enumerate(sentence))
        for sentence in sentences
    ]
    path = tmp_path_factory.mktemp("columns") / "a.txt"
    # A byte order mark is no part of the first word, so a first word that begins with U+FEFF needs one before it.
    path.write_bytes(("\ufeff" + "\n".join(blocks)).encode())
    columns = ColumnFormat(separator, token=2, index=1, scheme="iob2") if with_index else ColumnFormat(separator, scheme="iob2")
    assert [list(zip(s.words, s.labels, strict=True)) for s in read(path, columns)] == sentences


def test_a_needless_separator_is_dropped_where_it_is_declared(tmp_path):
    path = write(tmp_path, "a\tO\t-\nb\tB-X\t-\t\n")
    met: Counter[str] = Counter()
    columns = ColumnFormat("tab", tag=2, scheme="iob2", trailing_separator=True)
    (sentence,) = read(path, columns, repairs=met)
    assert (sentence.labels, met) == (("O", "B-X"), {TRAILING: 1})
    for strict, declared in ((True, columns), (False, ColumnFormat("tab", tag=2, scheme="iob2"))):
        with pytest.raises(DataFormatError, match=r":2: "):
            read(path, declared, strict=strict)


def test_retyped_spans_keep_their_borders_and_are_no_repair(tmp_path):
    path = write(tmp_path, "a\tB-Xpart\nb\tI-Xpart\nc\tB-Xderiv\nd\tB-X\n")
    met: Counter[str] = Counter()
    (sentence,) = read(path, ColumnFormat("tab", scheme="iob2", retyped={"Xpart": "Y", "Xderiv": "O"}), repairs=met)
    assert (sentence.labels, met) == (("B-Y", "I-Y", "O", "B-X"), {})


@pytest.mark.parametrize("blank", ["\t", "\t\t", " \t ", "\ufeff", "  "])
def test_a_line_of_white_space_ends_a_sentence_and_is_counted(tmp_path, blank):
    repairs: Counter[str] = Counter()
    path = write(tmp_path, f"a\tO\n{blank}\nb\tO\n")
    found = list(read_columns(TextFile(path, "x", repairs=repairs), ColumnFormat("tab", scheme="iob2")))
    assert [sentence.words for sentence in found] == [("a",), ("b",)]
    assert repairs == {BLANK: 1}


def test_document_starts_are_neither_words_nor_repairs(tmp_path):
    path = write(tmp_path, "-DOCSTART- -X- O\n\na X O\n\n-DOCSTART- -X- O\n\nb X O\n")
    repairs: Counter[str] = Counter()
    columns = ColumnFormat("space", scheme="iob2")
    found = list(read_columns(TextFile(path, "x", True, repairs), columns))
    assert ([sentence.words for sentence in found], repairs) == ([("a",), ("b",)], {})


def test_json_lines_are_called_so(tmp_path):
    path = write(tmp_path, '{"tokens": ["a b"], "tags": ["O"]}\n')
    with pytest.raises(DataFormatError, match=r":1: JSON Lines: .*; expected columns"):
        list(read_columns(TextFile(path, "x"), ColumnFormat(scheme="iob2")))
    path = write(tmp_path, '{" O\n')
    assert [s.words for s in read_columns(TextFile(path, "x"), ColumnFormat(scheme="iob2"))] == [('{"',)]
