"""Unlabelled text of one language: lines of a plain text file, or the words of a CoNLL-U file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from polyhead.data.corpora import is_conllu, open_file
from polyhead.data.sentences import Sentence
from polyhead.data.tasks import TASKS
from polyhead.data.textfile import is_blank, read_lines

Line = str | Sequence[str] | Sentence
"""Raw text, or its words."""


def read_text(path: Path, *, language: str) -> Iterator[Line]:
    """Every line that is not blank; a `.conllu` file gives its sentences. Both may be compressed.

    Args:
        path: The file.
        language: BCP-47 code.

    Raises:
        DataFormatError: The file is missing, or neither UTF-8 text nor well-formed CoNLL-U.
    """
    if is_conllu(path):
        yield from open_file(path, TASKS["pos"], "train", language=language)
    else:
        yield from (line for _, line in read_lines(path) if not is_blank(line))


def words_of(line: Line) -> Sequence[str]:
    """The words of a line; raw text is split at white space.

    >>> words_of("Anna sings ."), words_of(["New York", "sings"])
    (['Anna', 'sings', '.'], ['New York', 'sings'])
    """
    return line.words if isinstance(line, Sentence) else line.split() if isinstance(line, str) else line


def raw_text(line: Line) -> str:
    """The line as one string, with spaces between words.

    >>> raw_text(["Anna", "sings"])
    'Anna sings'
    """
    return line if isinstance(line, str) else " ".join(words_of(line))
