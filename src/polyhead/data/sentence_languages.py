"""The language of each sentence of a text in several languages: a CoNLL-U comment, or a column."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from polyhead.data.column_format import ColumnFormat, place, split_row
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import data_error, is_blank, read_lines, shown

_KEY = "lang"


def commented_languages(path: Path, sentences: Sequence[Sentence]) -> list[str | None]:
    """What `# lang = CODE` above each sentence of a CoNLL-U file says; None where there is no such comment.

    Args:
        path: The file that the sentences were read from.
        sentences: In file order.
    """
    found: list[str | None] = []
    language: str | None = None
    firsts = _firsts(sentences)
    following = next(firsts, 0)
    for number, line in read_lines(path):
        if is_blank(line):
            language = None
        elif line[0] == "#":
            key, equals, value = line[1:].partition("=")
            if equals and key.strip() == _KEY and value.strip():
                language = value.strip()
        elif number == following:
            found.append(language)
            following = next(firsts, 0)
    return found


def column_languages(path: Path, sentences: Sequence[Sentence], layout: ColumnFormat, column: int) -> list[str | None]:
    """What a column says of each sentence.

    Args:
        path: The file that the sentences were read from.
        sentences: In file order.
        layout: Of the file, `settled`.
        column: Counts from 1, or from the end with -1.

    Raises:
        DataFormatError: A row lacks the column, or the rows of a sentence differ.
    """
    found: list[str | None] = []
    firsts = _firsts(sentences)
    following, inside = next(firsts, 0), False
    for number, line in read_lines(path):
        if is_blank(line):
            inside = False
            continue
        starts = number == following
        if not (starts or inside) or (layout.comments and line[0] == "#" and "\t" not in line):
            continue
        cells = split_row(line, layout)
        try:
            language = cells[place(column)].strip()
        except IndexError:
            raise data_error(path, number, f"{len(cells)} columns in {shown(line)}", f"a language in column {column}") from None
        if starts:
            found.append(language or None)
            following, inside = next(firsts, 0), True
        elif (language or None) != found[-1]:
            was = f"{shown(found[-1] or '')} as in the sentence's first row; one language for each sentence"
            raise data_error(path, number, f"language {shown(language)} in column {column}", was)
    return found


def _firsts(sentences: Sequence[Sentence]) -> Iterator[int]:
    """The line of the first row of each sentence."""
    return (int(sentence.source.rpartition(":")[2]) for sentence in sentences)
