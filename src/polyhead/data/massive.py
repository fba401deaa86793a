"""Reads JSON lines with slots in brackets inside the utterance (`wake me at [time : five am]`), the format of MASSIVE."""

import json
import re
from collections.abc import Iterator
from typing import Literal

from polyhead.data.schemes import LabelError, Span
from polyhead.data.sentences import Sentence
from polyhead.data.spans import span_sentence
from polyhead.data.textfile import TextFile, shown

OTHER_TEXT = "row whose annotation differs from its utterance, read as annotated"
_SLOT = re.compile(r"\[\s*([^\s\[\]]+)\s+:([^\[\]]*)\]")
Unit = Literal["spaces", "characters"]
# of characters, each that is not ASCII is a word; Latin words in between stay whole
_WORDS: dict[Unit, re.Pattern[str]] = {"spaces": re.compile(r"\S+"), "characters": re.compile(r"[\x21-\x7e]+|\S")}


def looks_bracketed(line: str, *, words: Unit = "spaces") -> bool:
    """Whether a line is a row with words of this kind: those between spaces, unless it is not ASCII and has no space."""
    try:
        utterance, _ = _texts(line)
    except LabelError:
        return False
    return (" " in utterance.strip() or utterance.isascii()) == (words == "spaces")


def read_bracketed(file: TextFile, *, words: Unit = "spaces") -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2, words and slots from each row's `annot_utt`. Streams: one row in memory at a time.

    A slot that begins or ends inside a word is widened to the word. A row whose `utt` differs from its annotation without
    brackets is read as annotated. Both are counted as repairs.

    Args:
        file: A file of JSON objects, one a line.
        words: What a word is: what stands between `spaces`, or, in scripts without them, each of the `characters`.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    for number, line in file.lines():
        try:
            utterance, annotated = _texts(line)
            text, spans = _unbracketed(annotated)
        except LabelError as error:
            raise file.error(number, error.found, error.expected) from None
        if text.split() != utterance.split():
            file.repair(number, OTHER_TEXT, "one text for both")
        yield span_sentence(file, text, [match.span() for match in _WORDS[words].finditer(text)], spans, number)


def _texts(line: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
        utterance, annotated = row["utt"], row["annot_utt"]
        if not isinstance(utterance, str) or not isinstance(annotated, str):
            raise ValueError
        (utterance + annotated).encode()  # half of a surrogate pair is no text
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LabelError(f"row {shown(line)}", 'one JSON object a line, with strings "utt" and "annot_utt"') from None
    return utterance, annotated


def _unbracketed(annotated: str) -> tuple[str, list[Span]]:
    """The utterance without its brackets, and the offsets of each slot in it."""
    parts: list[str] = []
    spans: list[Span] = []
    length = position = 0
    for match in (*_SLOT.finditer(annotated), None):
        plain = annotated[position : match.start() if match else None]
        if "[" in plain or "]" in plain:
            raise LabelError(f"a bracket that belongs to no slot in {shown(annotated)}", "slots written as [type : words]")
        parts.append(plain)
        length += len(plain)
        if match is not None:
            inner = match[2].strip()
            spans.append((length, length + len(inner), match[1]))
            parts.append(inner)
            length += len(inner)
            position = match.end()
    return "".join(parts), spans
