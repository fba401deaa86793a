"""One sentence a row, words and labels joined by spaces: MultiATIS++ in both its headers."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError
from polyhead.data.multiatis import UNEVEN, read_token_rows
from polyhead.data.textfile import TextFile

HEADER = "id\tutterance\tslot_labels\tintent\n"
OLD_HEADER = "u_id\tutterance\tanything\tslot-labels\tintent\n"


def read(tmp_path, text, uneven="error", **options):
    path = tmp_path / "train_XX.tsv"
    path.write_text(text, encoding="utf-8")
    return list(read_token_rows(TextFile(path, "fr", **options), uneven=uneven))


@pytest.mark.parametrize(
    "text",
    [
        HEADER + '1\tfly "to paris\tO O B-toloc.city_name\tatis_flight#atis_fare\n',
        OLD_HEADER + '1\tfly "to paris\t-\tO O B-toloc.city_name\tatis_flight\n',
    ],
)
def test_both_headers_are_read_without_quoting(tmp_path, text):
    (sentence,) = read(tmp_path, text)
    assert (sentence.words, sentence.labels) == (("fly", '"to', "paris"), ("O", "O", "B-toloc.city_name"))
    assert (sentence.language, sentence.source) == ("fr", f"{tmp_path}/train_XX.tsv:2")


def test_uneven_rows_are_an_error_unless_they_are_declared(tmp_path):
    text = HEADER + "1\ta b\tO\tx\n2\ta\tI-y\tx\n"
    with pytest.raises(DataFormatError, match=r":2: 2 words but 1 label; expected one label per word"):
        read(tmp_path, text)
    repairs = Counter()
    (sentence,) = read(tmp_path, text, "skip", repairs=repairs)
    assert (sentence.words, sentence.labels) == (("a",), ("B-y",))
    assert repairs == {UNEVEN: 1, "I- that starts a span read as B-": 1}
    with pytest.raises(DataFormatError, match=r":2: 2 word"):
        read(tmp_path, text, "skip", strict=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\ta\tO\tx\n", r":1: header '1\\ta\\tO\\tx'; expected 'id\\tutterance\\tslot_labels\\tintent' or"),
        (HEADER + "1\ta\tO\n", r":2: 3 columns .* expected 4 columns separated by TAB, as in the header"),
        (HEADER + "1\ta  b\tO O O\tx\n", r":2: 3 words, one of them empty .* but 3 label"),
        (HEADER + "1\ta b\tO E-x\tx\n", r":2: word 2: tag 'E-x'; expected O or B-TYPE"),
    ],
)
def test_bad_rows_are_one_error_with_their_line(tmp_path, text, said):
    with pytest.raises(DataFormatError, match=said) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_strict_reading_refuses_what_it_would_mend(tmp_path):
    with pytest.raises(DataFormatError, match=r":2: word 2: I- that starts .* \(strict"):
        read(tmp_path, HEADER + "1\ta b\tO I-x\tx\n", strict=True)


WORD = st.text(st.characters(codec="utf-8", exclude_characters=" \t\n\r\x00"), min_size=1, max_size=5)
LABELLED = st.lists(st.tuples(WORD, st.sampled_from(["O", "B-a.b", "B-c-d"])), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(sentences=st.lists(LABELLED, min_size=1, max_size=4))
def test_what_was_written_is_read_back(tmp_path_factory, sentences):
    columns = [(" ".join(w for w, _ in s), " ".join(tag for _, tag in s)) for s in sentences]
    text = HEADER + "".join(f"{i}\t{words}\t{tags}\tx\n" for i, (words, tags) in enumerate(columns))
    found = read(tmp_path_factory.mktemp("rows"), text, strict=True)
    assert [list(zip(s.words, s.labels, strict=True)) for s in found] == sentences
