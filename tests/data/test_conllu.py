import lzma
from collections import Counter

import conllu as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError
from polyhead.data.conllu import conllu_faults
from polyhead.data.layouts import read_layout
from polyhead.data.tasks import UPOS
from polyhead.data.textfile import BLANK, TextFile

SAMPLE = """# newdoc
# text = Im Haus!
1-2\tIm\t_\t_\t_\t_\t_\t_\t_\t_
1\tIn\tin\tADP\t_\t_\t3\tcase\t_\t_
2\tdem\tder\tDET\t_\t_\t3\tdet\t_\t_
3\tHaus\tHaus\tNOUN\t_\t_\t0\troot\t_\t_
3.1\tleer\t_\tVERB\t_\t_\t_\t_\t_\t_
4\t!\t!\t_\t_\t_\t3\tpunct\t_\t_

1\t_\t_\tX\t_\t_\t0\troot\t_\t_
"""


def write(tmp_path, text, name="a.conllu"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def read(path, *, strict=False, repairs=None, **options):
    file = TextFile(path, "de", strict, Counter() if repairs is None else repairs)
    return list(read_layout(file, None, **{"words": "syntactic", **options}))


def row(identifier, form="w", upos="NOUN", head="_"):
    return "\t".join([identifier, form, "_", upos, "_", "_", head, "_", "_", "_"]) + "\n"


def test_syntactic_words(tmp_path):
    path = write(tmp_path, SAMPLE)
    first, second = read(path)
    assert first.words == ("In", "dem", "Haus", "!")
    assert first.labels == ("ADP", "DET", "NOUN", None)
    assert first.source == f"{path}:3"
    assert first.language == "de"
    assert (second.words, second.labels, second.source) == (("_",), ("X",), f"{path}:10")


def test_upos_is_not_looked_at_where_it_is_to_be_ignored(tmp_path):
    path = write(tmp_path, row("1", upos="NN") + row("2", upos=""))
    with pytest.raises(DataFormatError, match="UPOS 'NN'"):
        read(path)
    assert read(path, labelled=False)[0].labels == (None, None)


def test_surface_tokens_take_the_upos_of_the_first_member_with_an_outer_head(tmp_path):
    first, _ = read(write(tmp_path, SAMPLE), words="surface")
    assert first.words == ("Im", "Haus", "!")
    assert first.labels == ("ADP", "NOUN", None)


def test_a_member_whose_head_is_inside_does_not_give_the_label(tmp_path):
    text = (
        row("1-3", "x", "_") + row("1", upos="ADP", head="2") + row("2", upos="NOUN", head="0") + row("3", upos="PRON", head="2")
    )
    (sentence,) = read(write(tmp_path, text), words="surface")
    assert (sentence.words, sentence.labels) == (("x",), ("NOUN",))


def test_two_ranges_and_the_words_between(tmp_path):
    text = row("1", "a") + row("2-3", "bc", "_") + row("2", "b", "ADP", "4") + row("3", "c", "DET", "4")
    text += row("4", "d") + row("5-5", "e", "_") + row("5", "e", "PRON", "4")
    (sentence,) = read(write(tmp_path, text), words="surface")
    assert sentence.words == ("a", "bc", "d", "e")
    assert sentence.labels == ("NOUN", "ADP", "NOUN", "PRON")


def test_unlabelled_ranges_are_unlabelled_surface_tokens(tmp_path):
    text = row("1-2", "im", "_") + row("1", "in", "_") + row("2", "dem", "_")
    (sentence,) = read(write(tmp_path, text), words="surface")
    assert (sentence.words, sentence.labels) == (("im",), (None,))


def test_a_range_of_labelled_words_without_heads_is_an_error_only_for_surface(tmp_path):
    path = write(tmp_path, row("1-2", "im", "_") + row("1") + row("2"))
    assert len(read(path)[0].words) == 2
    with pytest.raises(DataFormatError, match=r":1: range 1-2 with the HEADs '_, _'; expected .* read @words"):
        read(path, words="surface")
    path = write(tmp_path, row("1-2", "im", "_") + row("1", head="2") + row("2", head="1"))
    with pytest.raises(DataFormatError, match=r":1: range 1-2 with the HEADs '2, 1'"):
        read(path, words="surface")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ta\tNOUN\n", r":1: 3 columns in '1\\ta\\tNOUN'; expected 10 columns separated by TAB"),
        (row("1") + row("2").replace("\t", " "), r":2: 1 column"),
        (row("1") + row("2", upos="NOMEN"), r":2: UPOS 'NOMEN' in column 4; expected one of ADJ ADP"),
        (row("1") + row("3"), r":2: id '3' in column 1; expected 2, 2-N or 1.N"),
        (row("2"), r":1: id '2'"),
        (row("1") + row("1"), r":2: id '1'"),
        (row("01"), r":1: id '01'"),
        (row("x"), r":1: id 'x'"),
        (row("1") + row("3.1"), r":2: id '3.1'"),
        (row("1-x"), r":1: id '1-x'; expected a range such as 1-2"),
        (row("1") + row("3-4"), r":2: range 3-4 after word 1; expected a range that begins with 2"),
        (row("1-2") + row("1") + row("2-3") + row("2"), r":3: range 2-3"),
        (row("1-3") + row("1") + row("2") + "\n" + row("1"), r":3: range 1-3 \(line 1\), but the sentence ends with word 2"),
        (row("1-2") + row("1"), r":2: range 1-2"),
        (row("1", form=""), r":1: word 1 has an empty FORM"),
        (row("1", form=" "), r":1: word 1 has an empty FORM"),
        (row("1-2", form="") + row("1") + row("2"), r":1: range 1-2 has an empty FORM"),
        ("", r": end of file and not one sentence"),
        ("\n# nothing\n\n", r": end of file and not one sentence"),
    ],
)
def test_bad_input_is_one_error_with_its_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataFormatError, match=message) as caught:
        read(path, words="surface")
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)


def test_a_line_of_spaces_is_blank_and_counted(tmp_path):
    path = write(tmp_path, row("1") + "  \n" + row("1"))
    repairs: Counter[str] = Counter()
    assert len(read(path, repairs=repairs)) == 2
    assert repairs == {BLANK: 1}
    with pytest.raises(DataFormatError, match=":2: line of white space"):
        read(path, strict=True)


def test_crlf_bom_and_separators_inside_a_word(tmp_path):
    plain = read(write(tmp_path, SAMPLE, "b.conllu"))
    odd = read(write(tmp_path, "\ufeff" + SAMPLE.replace("\n", "\r\n").rstrip(), "b.conllu"))
    assert odd == plain
    (sentence,) = read(write(tmp_path, row("1", "a\u2028b") + row("2", "\x85") + row("3", "\u3000") + row("4", "1 000")))
    assert sentence.words == ("a\u2028b", "\x85", "\u3000", "1 000")


def test_a_word_of_ten_megabytes(tmp_path):
    (sentence,) = read(write(tmp_path, row("1", "x" * 10_000_000)))
    assert len(sentence.words[0]) == 10_000_000


def test_source_names_the_file_that_was_read(tmp_path):
    (tmp_path / "a.conllu.xz").write_bytes(lzma.compress(row("1").encode()))
    assert read(tmp_path / "a.conllu")[0].source == f"{tmp_path}/a.conllu.xz:1"


WORD = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\t\n\r\x00"), min_size=1).filter(
    lambda text: text.strip(" ")
)
SENTENCES = st.lists(st.lists(st.tuples(WORD, st.sampled_from([*UPOS, None])), min_size=1, max_size=6), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(sentences=SENTENCES)
def test_what_was_written_is_read_back(tmp_path_factory, sentences):
    path = tmp_path_factory.mktemp("conllu") / "a.conllu"
    blocks = ["".join(row(str(i), w, u or "_") for i, (w, u) in enumerate(sentence, 1)) for sentence in sentences]
    path.write_bytes("\n".join(blocks).encode())
    read_back = [list(zip(s.words, s.labels, strict=True)) for s in read(path)]
    assert read_back == sentences


@pytest.mark.parametrize("name", ["UD_German-GSD/de_gsd-ud-dev.conllu", "UD_English-EWT/en_ewt-ud-test.conllu"])
def test_the_conllu_package_reads_the_same(shared, name):
    path = shared / "data/ud" / f"{name}.xz"
    text = lzma.decompress(path.read_bytes()).decode("utf-8")
    expected = oracle.parse(text, fields=["id", "form", "lemma", "upos"])
    ours = read(path)
    assert len(ours) == len(expected)
    for sentence, tokens in zip(ours, expected, strict=True):
        words = [token for token in tokens if isinstance(token["id"], int)]
        assert sentence.words == tuple(token["form"] for token in words)
        assert sentence.labels == tuple(token["upos"] for token in words)


def test_the_head_rule_gives_the_surface_file_of_german(shared):
    folder = shared / "data/ud/UD_German-GSD"
    ours = read(folder / "de_gsd-ud-test.conllu", words="surface")
    theirs = read(folder / "de_gsd-ud-test.surface.conllu")
    assert [(s.words, s.labels) for s in ours] == [(s.words, s.labels) for s in theirs]


def test_rows_that_break_the_format_are_counted_by_kind(tmp_path):
    row = ["1", "a", "_", "NOUN", "_", "_", "0", "_", "_", "_"]
    ids = ("1--2", "²", "1-2", "8.1", "0", "1-")
    rows = [row, row[:9], [*row, "_"], *([i, *row[1:]] for i in ids), [*row[:3], "NN", *row[4:]]]
    path = tmp_path / "a.conllu"
    path.write_text("\n".join(["# text", *map("\t".join, rows), " ".join(row), "\t", ""]))
    assert conllu_faults(path) == {
        "row of 9 columns": 1,
        "row of 11 columns": 1,
        "id that is not N, N-M or N.M": 4,
        "UPOS that is not one of the 17": 1,
        "row with spaces in place of TABs": 1,
    }
