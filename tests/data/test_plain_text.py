"""Lines of plain text, or the words of CoNLL-U by its name; faults name the file."""

import lzma
from pathlib import Path

import pytest

from polyhead.core.errors import DataFormatError
from polyhead.data.plain_text import raw_text, read_text, words_of
from polyhead.data.sentences import Sentence


def test_lines_and_words(tmp_path: Path) -> None:
    (tmp_path / "news.txt").write_text("Ein Satz.\n\n  \nNoch einer\n", encoding="utf-8")
    assert list(read_text(tmp_path / "news.txt", language="de")) == ["Ein Satz.", "Noch einer"]
    rows = "1\tvon dem\t_\tADP" + "\t_" * 6 + "\n2\tHaus\t_\tNOUN" + "\t_" * 6 + "\n\n"
    (tmp_path / "dev.conllu.xz").write_bytes(lzma.compress(rows.encode()))
    (sentence,) = read_text(tmp_path / "dev.conllu", language="de")
    assert isinstance(sentence, Sentence)
    assert (words_of(sentence), raw_text(sentence)) == (("von dem", "Haus"), "von dem Haus")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=r"none\.txt: no such file"):
        list(read_text(tmp_path / "none.txt", language="de"))
