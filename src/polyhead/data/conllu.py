"""Reads CoNLL-U with UPOS as the label; words are surface tokens or syntactic words.

Lines that begin with `#` are comments. A line of only white space is read as blank and counted as a repair. Empty nodes (`8.1`)
are not words. Ids must count up from 1, so that a missing row is an error.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from polyhead.core.values import counted, whole_number
from polyhead.data.sentences import Sentence
from polyhead.data.tasks import UPOS
from polyhead.data.textfile import TextFile, is_blank, read_lines, shown

Words = Literal["surface", "syntactic"]
_ID = re.compile(r"[1-9][0-9]*(-[1-9][0-9]*)?|[0-9]+\.[1-9][0-9]*")
_LABELS: dict[str, str | None] = {**{tag: tag for tag in UPOS}, "_": None}


@dataclass(frozen=True, slots=True)
class Token:
    """A surface token.

    Attributes:
        members: 0-based places of its syntactic words.
        form: Its text.
        line: Of its range (`1-2`); 0 if it is a single syntactic word.
    """

    members: range
    form: str
    line: int = 0


@dataclass(slots=True)
class Block:
    """The rows of one sentence: one form, label (UPOS), head and relation per syntactic word, as written.

    Attributes:
        line: Of the first row of a word or range; 0 if there is none.
        ranges: Tokens of several words, in order.
    """

    line: int = 0
    forms: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    ranges: list[Token] = field(default_factory=list)

    def tokens(self, words: Words) -> list[Token]:
        """The words in order: surface tokens, or one token per syntactic word."""
        ranges = {token.members.start: token for token in self.ranges} if words == "surface" else {}
        found: list[Token] = []
        position = 0
        while position < len(self.forms):
            found.append(ranges.get(position) or Token(range(position, position + 1), self.forms[position]))
            position = found[-1].members.stop
        return found

    def outer_member(self, token: Token) -> int | None:
        """The first syntactic word of a token whose HEAD is outside the token; None if a HEAD before that is not a number."""
        for member in token.members:
            head = whole_number(self.heads[member])
            if head is None or head - 1 not in token.members:
                return None if head is None else member
        return None


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
    for rows in file.blocks():
        block = parse_block(file, rows, upos=upos)
        if words == "surface" and block.ranges:
            tokens = block.tokens(words)
            yield file.sentence((token.form for token in tokens), (_label(file, block, token) for token in tokens), block.line)
        elif block.line:
            yield file.sentence(block.forms, block.labels, block.line)


def parse_block(file: TextFile, rows: Sequence[tuple[int, str]], *, upos: Literal["read", "ignore"]) -> Block:
    """The words of one sentence's numbered lines, without comments and empty nodes.

    Raises:
        DataFormatError: A line breaks the format.
    """
    block = Block()
    number = 0
    for number, line in rows:
        if line[0] == "#":
            continue
        columns = line.split("\t")
        if len(columns) != 10:
            expected = "10 columns separated by TAB, as CoNLL-U has; declare the columns of any other file (--columns)"
            raise file.error(number, f"{counted(len(columns), 'column')} in {shown(line)}", expected)
        if columns[0] != str(len(block.forms) + 1):
            _other_row(file, number, columns, block)
            continue
        try:
            block.labels.append(_LABELS[columns[3]] if upos == "read" else None)
        except KeyError:
            allowed = f"one of {' '.join(UPOS)}, or _ where there is none"
            raise file.error(number, f"UPOS {shown(columns[3])} in column 4", allowed) from None
        if not columns[1].strip(" "):
            raise file.error(number, f"word {columns[0]} has an empty FORM", "a word in column 2")
        block.forms.append(columns[1])
        block.heads.append(columns[6])
        block.relations.append(columns[7])
        block.line = block.line or number
    if block.ranges and block.ranges[-1].members.stop > len(block.forms):
        last = block.ranges[-1]
        found = f"range {_name(last)} (line {last.line}), but the sentence ends with word {len(block.forms)}"
        raise file.error(number, found, f"words up to {last.members.stop}")
    return block


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


def _other_row(file: TextFile, number: int, columns: list[str], block: Block) -> None:
    """Read a multiword range or skip an empty node; anything else is an id out of order."""
    identifier = columns[0]
    n_words = len(block.forms)
    first, dash, last = identifier.partition("-")
    if dash:
        a, b = whole_number(first) or 0, whole_number(last) or 0
        if not 1 <= a <= b:
            raise file.error(number, f"id {shown(identifier)}", "a range such as 1-2")
        if a != n_words + 1 or (block.ranges and block.ranges[-1].members.stop >= a):
            raise file.error(number, f"range {identifier} after word {n_words}", f"a range that begins with {n_words + 1}")
        if not columns[1].strip(" "):
            raise file.error(number, f"range {identifier} has an empty FORM", "a word in column 2")
        block.ranges.append(Token(range(a - 1, b), columns[1], number))
        block.line = block.line or number
        return
    word, _, sub = identifier.partition(".")
    if whole_number(word) != n_words or not whole_number(sub):
        expected = f"{n_words + 1}, {n_words + 1}-N or {n_words}.N, ids counting up from 1 in every sentence"
        raise file.error(number, f"id {shown(identifier)} in column 1", expected)


def _label(file: TextFile, block: Block, token: Token) -> str | None:
    labels = [block.labels[member] for member in token.members]
    if len(labels) == 1 or not any(labels):
        return labels[0]
    if (member := block.outer_member(token)) is None:
        heads = ", ".join(block.heads[member] for member in token.members)
        expected = "a member with its HEAD outside, whose UPOS the surface token takes; or read @words"
        raise file.error(token.line, f"range {_name(token)} with the HEADs {shown(heads)}", expected)
    return block.labels[member]


def _name(token: Token) -> str:
    return f"{token.members.start + 1}-{token.members.stop}"
