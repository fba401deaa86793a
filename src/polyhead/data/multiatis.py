"""TSV files with a header and one sentence a row: words joined by spaces in one column, their labels in another.

MultiATIS++ (LDC2021T04) comes so, in two layouts that are told apart by their header.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polyhead.core.errors import DataFormatError
from polyhead.data.schemes import Scheme, TagError, to_iob2
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import data_error, find_file, read_lines, shown

UNEVEN = "row with another number of labels than of words left out"
# The released files, and the internal naming that the data's own code reads (its third column is not used).
_HEADERS = ("id utterance slot_labels intent", "u_id utterance ? slot-labels intent")
_WORDS, _LABELS = ("utterance",), ("slot_labels", "slot-labels")


@dataclass(frozen=True)
class RowFormat:
    """What must be declared about such a file.

    Attributes:
        scheme: How the labels are written.
        uneven: What to do with a row whose words and labels differ in number: `error`, or `skip` it and count a repair.
    """

    scheme: Scheme = "iob2"
    uneven: Literal["error", "skip"] = "error"


def read_token_rows(
    path: Path,
    *,
    language: str,
    layout: RowFormat,
    strict: bool = False,
    repairs: Counter[str] | None = None,
    digest: "hashlib._Hash | None" = None,
) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2. Streams: one row in memory at a time; quotes are characters like any other.

    Args:
        path: The file, plain or compressed (`read_lines`).
        language: BCP-47 code that the sentences will carry.
        layout: What is declared about the file.
        strict: Raise where a repair would be counted.
        repairs: Counts what was repaired, by description.
        digest: A hashlib object, fed with the decompressed bytes.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    path = find_file(path) or path
    repairs = Counter() if repairs is None else repairs
    header: list[str] = []
    number = n_sentences = 0
    for number, line in read_lines(path, digest=digest):
        fields = line.split("\t")
        if not header:
            header = _checked_header(path, fields)
            words_at, labels_at = (_place(header, names) for names in (_WORDS, _LABELS))
            continue
        if len(fields) != len(header):
            found = f"{len(fields)} column(s) in {shown(line)}"
            raise data_error(path, number, found, f"{len(header)} columns separated by TAB, as in the header")
        words, tags = fields[words_at].split(" "), fields[labels_at].split(" ")
        if len(words) != len(tags) or not all(words):
            if layout.uneven == "error" or strict:
                raise _uneven(path, number, words, tags)
            repairs[UNEVEN] += 1
            continue
        yield Sentence(tuple(words), _labels(path, number, tags, layout, strict, repairs), language, f"{path}:{number}")
        n_sentences += 1
    if not n_sentences:
        raise data_error(path, max(number, 1), "end of file and not one sentence", "a header and at least one row")


def _checked_header(path: Path, fields: Sequence[str]) -> list[str]:
    for header in _HEADERS:
        names = header.split(" ")
        if len(names) == len(fields) and all(name in ("?", met) for name, met in zip(names, fields, strict=True)):
            return list(fields)
    expected = " or ".join(repr(header.replace(" ", "\t")) for header in _HEADERS)
    raise data_error(path, 1, f"header {shown(chr(9).join(fields))}", f"{expected} (? stands for any name)")


def _place(header: Sequence[str], names: Sequence[str]) -> int:
    return next(i for i, name in enumerate(header) if name in names)


def _uneven(path: Path, number: int, words: Sequence[str], tags: Sequence[str]) -> DataFormatError:
    empty = "" if all(words) else ", one of them empty (two spaces in a row?)"
    found = f"{len(words)} word(s){empty} but {len(tags)} label(s)"
    return data_error(path, number, found, "one label a word, each joined by one space; correct the row or leave it out")


def _labels(
    path: Path, number: int, tags: Sequence[str], layout: RowFormat, strict: bool, repairs: Counter[str]
) -> tuple[str, ...]:
    def on_repair(position: int, description: str) -> None:
        if strict:
            expected = f"tags in {layout.scheme} (strict reading allows no repair)"
            raise data_error(path, number, f"word {position + 1}: {description}", expected)
        repairs[description] += 1

    try:
        return to_iob2(tags, layout.scheme, on_repair=on_repair)
    except TagError as error:
        raise data_error(path, number, f"word {error.position + 1}: {error.found}", error.expected) from error
