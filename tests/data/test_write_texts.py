from pathlib import Path

import pytest

from polyhead.core.errors import SettingError
from polyhead.data.text_format import TextFormat, parse_texts
from polyhead.data.textfile import TextFile
from polyhead.data.texts import read_texts, with_container
from polyhead.data.write_texts import rewrite_texts

FILES = {
    "tsv": (b"text\tlabel\tid\r\na b\tx\t1\r\n\r\nc\t\t2", b"text\tlabel\tid\r\na b\tyes\t1\r\n\r\nc\tno\t2"),
    "tsv without labels": (
        b"\xef\xbb\xbfid\ttext\n1\ta \x1d\n2\tb\n",
        b"\xef\xbb\xbfid\ttext\tlabel\n1\ta \x1d\tyes\n2\tb\tno\n",
    ),
    "csv": (b'label,text\n,"a, ""b"""\nx,"c\nd"\n', b'label,text\nyes,"a, ""b"""\nno,"c\nd"\n'),
    "jsonl": (
        b'{"text": "a",  "label": 1, "n": [2]}\n{"text": "b"}\n',
        b'{"text": "a",  "label": "yes", "n": [2]}\n{"text": "b", "label": "no"}\n',
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_labels_are_filled_in_and_the_rest_stays(tmp_path: Path, name: str) -> None:
    before, after = FILES[name]
    path = tmp_path / "in"
    path.write_bytes(before)
    file = TextFile(path, "und")
    layout = with_container(path, TextFormat())
    assert len(list(read_texts(file, layout, labelled=False))) == 2
    rewrite_texts(file, layout, ["yes", "no"], tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == after


@pytest.mark.parametrize(
    ("before", "columns", "after"),
    [
        (b"text\tid\na b\t1\nc\t2\n", "tsv:label=guess", b"text\tid\tguess\na b\t1\tyes\nc\t2\tno\n"),
        (b"text,id\na b,1\nc,2\n", "csv:label=guess", b"text,id,guess\na b,1,yes\nc,2,no\n"),
        (b"text\tlabel\na b\t0\nc\t-1\n", "tsv:names=no yes", b"text\tlabel\na b\t1\nc\t0\n"),
        (b"text,label\na b,0\nc,1\n", "csv:names=no yes", b"text,label\na b,1\nc,0\n"),
        (
            b'{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n',
            "jsonl:names=no yes",
            b'{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n',
        ),
    ],
)
def test_a_declared_column_is_added_and_named_numbers_stay_numbers(
    tmp_path: Path, before: bytes, columns: str, after: bytes
) -> None:
    (tmp_path / "in").write_bytes(before)
    rewrite_texts(TextFile(tmp_path / "in", "und"), parse_texts(columns), ["yes", "no"], tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == after


def test_a_label_without_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="the predicted label 'perhaps' has no number; name all labels"):
        rewrite_texts(TextFile(tmp_path / "in", "und"), parse_texts("tsv:names=no yes"), ["no", "perhaps"], tmp_path / "out")


def test_tables_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="labels of sentences are written into tsv, csv or jsonl"):
        rewrite_texts(TextFile(tmp_path / "in", "und"), TextFormat("parquet"), [], tmp_path / "out")
