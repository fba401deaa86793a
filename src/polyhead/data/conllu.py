"""CoNLL-U in, `Sentence` records out, with UPOS as the label and a choice of what a word is.

Lines that begin with `#` are comments, a line of nothing but white space counts as blank (and is counted), empty nodes (`8.1`)
are not words, and ids must count up from 1, so that a missing row is an error and not a missing word.
"""

import hashlib
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
from polyhead.data.textfile import BLANK, data_error, find_file, is_blank, read_lines, shown

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
    """The sentence that is being read."""

    forms: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    ranges: list[_Range] = field(default_factory=list)
    start: int = 0


def read_conllu(
    path: Path,
    *,
    language: str,
    words: Words = "syntactic",
    upos: Literal["read", "ignore"] = "read",
    strict: bool = False,
    repairs: Counter[str] | None = None,
    digest: "hashlib._Hash | None" = None,
) -> Iterator[Sentence]:
    """Sentences in file order; the label is UPOS, and None where UPOS is `_`. Streams: one sentence in memory at a time.

    Args:
        path: A CoNLL-U file, plain or compressed (`read_lines`).
        language: BCP-47 code that the sentences will carry.
        words: `syntactic`: the rows with a whole-number id. `surface`: each multiword range (`1-2`) is one word, labelled with
            the UPOS of its first member whose HEAD lies outside the range; all other words as they are.
        upos: `ignore` does not look at the column, whatever it holds: every label is None.
        strict: Raise where a repair would be counted.
        repairs: Counts what was repaired, by description.
        digest: A hashlib object, fed with the decompressed bytes.

    Raises:
        DataFormatError: The file breaks the format; the message names file, line, what was found and what was expected.
    """
    path = find_file(path) or path
    current = _Open()
    n_sentences = 0
    last_line = 0
    for number, line in read_lines(path, digest=digest):
        last_line = number
        if is_blank(line):
            if line:
                if strict:
                    raise data_error(path, number, "a line of white space", "an empty line between sentences (strict reading)")
                if repairs is not None:
                    repairs[BLANK] += 1
            if current.start:
                yield _finish(path, current, language, words, number)
                n_sentences += 1
                current = _Open()
            continue
        if line[0] == "#":
            continue
        columns = line.split("\t")
        if len(columns) != 10:
            expected = "10 columns separated by TAB, as CoNLL-U has; for other column files use a column format"
            raise data_error(path, number, f"{len(columns)} column(s) in {shown(line)}", expected)
        identifier = columns[0]
        expected_id = len(current.forms) + 1
        if identifier == str(expected_id):
            try:
                current.labels.append(_LABELS[columns[3]] if upos == "read" else None)
            except KeyError:
                allowed = f"one of {' '.join(UPOS)}, or _ where there is none"
                raise data_error(path, number, f"UPOS {shown(columns[3])} in column 4", allowed) from None
            if not columns[1].strip(" "):
                raise data_error(path, number, f"word {identifier} has an empty FORM", "a word in column 2")
            current.forms.append(columns[1])
            current.heads.append(columns[6])
            current.start = current.start or number
        else:
            _other_row(path, number, columns, current)
    if current.start:
        yield _finish(path, current, language, words, last_line)
        n_sentences += 1
    if not n_sentences:
        raise data_error(path, max(last_line, 1), "end of file and not one sentence", "CoNLL-U with at least one word row")


def conllu_faults(path: Path) -> Counter[str]:
    """How many rows break the format, by kind; one that is out of order is not among them.

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


def _other_row(path: Path, number: int, columns: list[str], current: _Open) -> None:
    """Take a multiword range or an empty node; anything else is an id out of order."""
    identifier = columns[0]
    n_words = len(current.forms)
    first, dash, last = identifier.partition("-")
    if dash:
        a, b = _number(first), _number(last)
        if a < 1 or b < a:
            raise data_error(path, number, f"id {shown(identifier)}", "a range such as 1-2")
        if a != n_words + 1 or (current.ranges and current.ranges[-1].last >= a):
            raise data_error(path, number, f"range {identifier} after word {n_words}", f"a range that begins with {n_words + 1}")
        if not columns[1].strip(" "):
            raise data_error(path, number, f"range {identifier} has an empty FORM", "a word in column 2")
        current.ranges.append(_Range(a, b, columns[1], number))
        current.start = current.start or number
        return
    word, dot, sub = identifier.partition(".")
    if dot and _number(word) == n_words and _number(sub) >= 1:
        return
    expected = f"{n_words + 1}, {n_words + 1}-N or {n_words}.N, ids counting up from 1 in every sentence"
    raise data_error(path, number, f"id {shown(identifier)} in column 1", expected)


def _finish(path: Path, current: _Open, language: str, words: Words, line: int) -> Sentence:
    if current.ranges and current.ranges[-1].last > len(current.forms):
        span = current.ranges[-1]
        found = f"range {span.first}-{span.last} (line {span.line}), but the sentence ends with word {len(current.forms)}"
        raise data_error(path, line, found, f"words up to {span.last}")
    source = f"{path}:{current.start}"
    if words == "syntactic" or not current.ranges:
        return Sentence(tuple(current.forms), tuple(current.labels), language, source)
    forms: list[str] = []
    labels: list[str | None] = []
    position = 0
    for span in current.ranges:
        forms += current.forms[position : span.first - 1]
        labels += current.labels[position : span.first - 1]
        forms.append(span.form)
        labels.append(_range_label(path, current, span))
        position = span.last
    forms += current.forms[position:]
    labels += current.labels[position:]
    return Sentence(tuple(forms), tuple(labels), language, source)


def _range_label(path: Path, current: _Open, span: _Range) -> str | None:
    """UPOS of the first member whose HEAD lies outside the range; None if no member has a UPOS."""
    members = range(span.first - 1, span.last)
    if all(current.labels[member] is None for member in members):
        return None
    for member in members:
        head = _number(current.heads[member])
        if head < 0:
            found = f"word {member + 1} of range {span.first}-{span.last} has HEAD {shown(current.heads[member])}"
            raise _no_head(path, span.line, found)
        if not span.first <= head <= span.last:
            return current.labels[member]
    raise _no_head(path, span.line, f"every HEAD of range {span.first}-{span.last} lies inside it")


def _no_head(path: Path, line: int, found: str) -> DataFormatError:
    return data_error(path, line, found, "a member with its HEAD outside, whose UPOS the surface token takes; or read @words")
