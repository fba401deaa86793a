"""Reads TSV files with a header and one sentence per row: words joined by spaces in one column, their labels in another.

This is the format of MultiATIS++ (LDC2021T04), which has two possible headers.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from polyhead.core.errors import DataFormatError
from polyhead.data.schemes import TagError, to_iob2
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile, shown

UNEVEN = "row with different numbers of words and labels, skipped"
# The released files, and the internal naming that the data's own code reads (its third column is not used).
_HEADERS = ("id utterance slot_labels intent", "u_id utterance ? slot-labels intent")
_WORDS, _LABELS = ("utterance",), ("slot_labels", "slot-labels")


def looks_like_token_rows(line: str) -> bool:
    """Whether a line is the header of such a file."""
    fields = set(line.split("\t"))
    return not fields.isdisjoint(_WORDS) and not fields.isdisjoint(_LABELS)


def read_token_rows(file: TextFile, *, uneven: Literal["error", "skip"] = "error") -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2. Streams: one row in memory at a time; quotes are characters like any other.

    Args:
        file: A file with one of the two headers.
        uneven: What to do with a row whose words and labels differ in number: `error`, or `skip` it and count a repair.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    header: list[str] = []
    number = n_sentences = 0
    for number, line in file.lines():
        fields = line.split("\t")
        if not header:
            header = _checked_header(file, fields)
            words_at, labels_at = (_place(header, names) for names in (_WORDS, _LABELS))
            continue
        if len(fields) != len(header):
            found = f"{len(fields)} column(s) in {shown(line)}"
            raise file.error(number, found, f"{len(header)} columns separated by TAB, as in the header")
        words, tags = fields[words_at].split(" "), fields[labels_at].split(" ")
        if len(words) != len(tags) or not all(words):
            if uneven == "error" or file.strict:
                raise _uneven(file, number, words, tags)
            file.repairs[UNEVEN] += 1
            continue
        yield file.sentence(words, _labels(file, number, tags), number)
        n_sentences += 1
    if not n_sentences:
        raise file.error(max(number, 1), "end of file and not one sentence", "a header and at least one row")


def _checked_header(file: TextFile, fields: Sequence[str]) -> list[str]:
    for header in _HEADERS:
        names = header.split(" ")
        if len(names) == len(fields) and all(name in ("?", met) for name, met in zip(names, fields, strict=True)):
            return list(fields)
    expected = " or ".join(repr(header.replace(" ", "\t")) for header in _HEADERS)
    raise file.error(1, f"header {shown(chr(9).join(fields))}", f"{expected} (? stands for any name)")


def _place(header: Sequence[str], names: Sequence[str]) -> int:
    return next(i for i, name in enumerate(header) if name in names)


def _uneven(file: TextFile, number: int, words: Sequence[str], tags: Sequence[str]) -> DataFormatError:
    empty = "" if all(words) else ", one of them empty (two spaces in a row?)"
    found = f"{len(words)} word(s){empty} but {len(tags)} label(s)"
    return file.error(number, found, "one label per word, each joined by one space; correct the row or delete it")


def _labels(file: TextFile, number: int, tags: Sequence[str]) -> tuple[str, ...]:
    def on_repair(position: int, description: str) -> None:
        if file.strict:
            description = f"word {position + 1}: {description}"
        file.repair(number, description, "tags in iob2")

    try:
        return to_iob2(tags, "iob2", on_repair=on_repair)
    except TagError as error:
        raise file.error(number, f"word {error.position + 1}: {error.found}", error.expected) from error
