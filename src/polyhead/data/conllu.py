"""Reads CoNLL-U with UPOS as the label; words are surface tokens or syntactic words.

Lines that begin with `#` are comments. A line of only white space is read as blank and counted as a repair. Empty nodes (`8.1`)
are not words. Ids must count up from 1, so that a missing row is an error.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from polyhead.core.errors import DataFormatError
from polyhead.core.values import whole_number
from polyhead.data.sentences import Sentence
from polyhead.data.tasks import UPOS
from polyhead.data.textfile import BLANK, TextFile, is_blank, read_lines, shown

Words = Literal["surface", "syntactic"]
_ID = re.compile(r"[1-9][0-9]*(-[1-9][0-9]*)?|[0-9]+\.[1-9][0-9]*")
_LABELS: dict[str, str | None] = {**{tag: tag for tag in UPOS}, "_": None}


@dataclass(slots=True)
class _Range:
    first: int
    last: int
    form: str
    line: int


@dataclass(slots=True)
class _Open:
    """The sentence being read."""

    forms: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    ranges: list[_Range] = field(default_factory=list)
    start: int = 0


def read_conllu(file: TextFile, *, words: Words = "syntactic", upos: Literal["read", "ignore"] = "read") -> Iterator[Sentence]:
    """Sentences in file order; the label is UPOS, and None where UPOS is `_`. Streams: one sentence in memory at a time.

    Args:
        file: A CoNLL-U file.
        words: `syntactic`: the rows with a whole-number id. `surface`: each multiword range (`1-2`) is one word, labelled with
            the UPOS of its first member whose HEAD is outside the range.
        upos: `ignore` does not read the column: every label is None.

    Raises:
        DataFormatError: The file breaks the format; the message names file, line, what was found and what was expected.
    """
    current = _Open()
    n_sentences = 0
    last_line = 0
    for number, line in file.lines():
        last_line = number
        if is_blank(line):
            if line:
                file.repair(number, BLANK, "an empty line")
            if current.start:
                yield _finish(file, current, words, number)
                n_sentences += 1
                current = _Open()
            continue
        if line[0] == "#":
            continue
        columns = line.split("\t")
        if len(columns) != 10:
            expected = "10 columns separated by TAB, as CoNLL-U has; for other column files use a column format"
            raise file.error(number, f"{len(columns)} column(s) in {shown(line)}", expected)
        identifier = columns[0]
        expected_id = len(current.forms) + 1
        if identifier == str(expected_id):
            try:
                current.labels.append(_LABELS[columns[3]] if upos == "read" else None)
            except KeyError:
                allowed = f"one of {' '.join(UPOS)}, or _ where there is none"
                raise file.error(number, f"UPOS {shown(columns[3])} in column 4", allowed) from None
            if not columns[1].strip(" "):
                raise file.error(number, f"word {identifier} has an empty FORM", "a word in column 2")
            current.forms.append(columns[1])
            current.heads.append(columns[6])
            current.start = current.start or number
        else:
            _other_row(file, number, columns, current)
    if current.start:
        yield _finish(file, current, words, last_line)
        n_sentences += 1
    if not n_sentences:
        raise file.error(max(last_line, 1), "end of file and not one sentence", "CoNLL-U with at least one word row")


def conllu_faults(path: Path) -> Counter[str]:
    """Number of rows that break the format, by kind; ids out of order are not counted.

    Raises:
        DataFormatError: The file cannot be read as text.
    """
    found: Counter[str] = Counter()
    for _, line in read_lines(path):
        if is_blank(line) or line[0] == "#":
            continue
        columns = line.split("\t")
        if len(columns) != 10:
            spaced = len(columns) == 1 and len(line.split()) >= 10
            found["row with spaces in place of TABs" if spaced else f"row of {len(columns)} columns"] += 1
        elif not _ID.fullmatch(columns[0]):
            found["id that is not N, N-M or N.M"] += 1
        elif columns[3] not in _LABELS:
            found["UPOS that is not one of the 17"] += 1
    return found


def _number(text: str) -> int:
    number = whole_number(text)
    return -1 if number is None else number


def _other_row(file: TextFile, number: int, columns: list[str], current: _Open) -> None:
    """Read a multiword range or skip an empty node; anything else is an id out of order."""
    identifier = columns[0]
    n_words = len(current.forms)
    first, dash, last = identifier.partition("-")
    if dash:
        a, b = _number(first), _number(last)
        if a < 1 or b < a:
            raise file.error(number, f"id {shown(identifier)}", "a range such as 1-2")
        if a != n_words + 1 or (current.ranges and current.ranges[-1].last >= a):
            raise file.error(number, f"range {identifier} after word {n_words}", f"a range that begins with {n_words + 1}")
        if not columns[1].strip(" "):
            raise file.error(number, f"range {identifier} has an empty FORM", "a word in column 2")
        current.ranges.append(_Range(a, b, columns[1], number))
        current.start = current.start or number
        return
    word, dot, sub = identifier.partition(".")
    if dot and _number(word) == n_words and _number(sub) >= 1:
        return
    expected = f"{n_words + 1}, {n_words + 1}-N or {n_words}.N, ids counting up from 1 in every sentence"
    raise file.error(number, f"id {shown(identifier)} in column 1", expected)


def _finish(file: TextFile, current: _Open, words: Words, line: int) -> Sentence:
    if current.ranges and current.ranges[-1].last > len(current.forms):
        span = current.ranges[-1]
        found = f"range {span.first}-{span.last} (line {span.line}), but the sentence ends with word {len(current.forms)}"
        raise file.error(line, found, f"words up to {span.last}")
    if words == "syntactic" or not current.ranges:
        return file.sentence(current.forms, current.labels, current.start)
    forms: list[str] = []
    labels: list[str | None] = []
    position = 0
    for span in current.ranges:
        forms += current.forms[position : span.first - 1]
        labels += current.labels[position : span.first - 1]
        forms.append(span.form)
        labels.append(_range_label(file, current, span))
        position = span.last
    forms += current.forms[position:]
    labels += current.labels[position:]
    return file.sentence(forms, labels, current.start)


def _range_label(file: TextFile, current: _Open, span: _Range) -> str | None:
    """UPOS of the first member whose HEAD is outside the range; None if no member has a UPOS."""
    members = range(span.first - 1, span.last)
    if all(current.labels[member] is None for member in members):
        return None
    for member in members:
        head = _number(current.heads[member])
        if head < 0:
            found = f"word {member + 1} of range {span.first}-{span.last} has HEAD {shown(current.heads[member])}"
            raise _no_head(file, span.line, found)
        if not span.first <= head <= span.last:
            return current.labels[member]
    raise _no_head(file, span.line, f"every HEAD of range {span.first}-{span.last} is inside it")


def _no_head(file: TextFile, line: int, found: str) -> DataFormatError:
    return file.error(line, found, "a member with its HEAD outside, whose UPOS the surface token takes; or read @words")
