"""Reads files that mark spans by character offsets; spans become IOB2.

The layouts are the TSV of the multilingual task-oriented dialogues (Schuster et al. 2019) and the JSON list of Stockmark's
Japanese Wikipedia entities.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from polyhead.core.errors import DataFormatError
from polyhead.core.values import counted, whole_number
from polyhead.data.json_lines import json_list
from polyhead.data.schemes import LabelError, Span, span_labels
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile, shown

DECOMPOSED = "row whose word offsets count decomposed characters (NFD), mapped to those of the utterance"
BEFORE = "span that begins before the utterance, clipped to it"
_N_COLUMNS = 5


def looks_like_facebook(line: str) -> bool:
    """Whether a line is a row of the dialogues."""
    fields = line.split("\t")
    return len(fields) == _N_COLUMNS and fields[4].startswith("{") and "tokenizations" in fields[4]


def looks_like_stockmark(line: str) -> bool:
    """Whether a line begins a JSON list of texts with entities."""
    return re.match(r"\[\s*\{", line) is not None and '"text"' in line and '"entities"' in line


def span_sentence(
    file: TextFile, text: str, words: Sequence[tuple[int, int]], spans: Sequence[Span], where: int | str
) -> Sentence:
    """A sentence of parts of `text`, labelled by `span_labels`.

    Args:
        file: Counts the repairs.
        text: The utterance.
        words: First character and the one after the last of each word, in order.
        spans: Likewise, with their types.
        where: Line or record, for its source and for errors.

    Raises:
        DataFormatError: Spans overlap or contain no word, or there is no word.
    """
    if not words:
        raise file.error(where, f"text {shown(text)}", "at least one word")
    on_repair = partial(file.repair, where, expected="spans over whole words")
    try:
        labels = span_labels(words, spans, on_repair)
    except LabelError as error:
        raise file.error(where, error.found, error.expected) from None
    return file.sentence((text[a:b] for a, b in words), labels, where)


def read_facebook(file: TextFile) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2. Streams: one row in memory at a time.

    A row is intent, slots (`start:end:type`, joined by commas), utterance, locale and tokenisation (JSON), without a header.
    A word is what the row's `tokenSpans` slice out of the utterance (its `tokens` are lower-cased and normalised, and serve only
    to tell in which unit the offsets count: see `DECOMPOSED`). A slot that begins or ends inside such a word (`Tuesday` in
    `Tuesday's`) is widened to it, and one that begins before the utterance is cut to it; both are counted.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    for where, line in file.lines():
        columns = line.split("\t")
        if len(columns) != _N_COLUMNS:
            expected = f"{_N_COLUMNS}, separated by TAB: intent, slots, utterance, locale, tokenisation"
            raise file.error(where, f"{counted(len(columns), 'column')} in {shown(line)}", expected)
        text = columns[2]
        spans = [_slot(file, where, slot, text) for slot in columns[1].split(",") if slot]
        yield span_sentence(file, text, _words(file, where, columns[4], text), spans, where)


def _slot(file: TextFile, where: int, slot: str, text: str) -> Span:
    first, _, rest = slot.partition(":")
    last, _, span_type = rest.partition(":")
    start, end = whole_number(first), whole_number(last)
    if start is None and first.startswith("-") and whole_number(first[1:]) is not None:
        file.repair(where, BEFORE, "a span inside the utterance")
        start = 0
    if start is None or end is None or not span_type or not start < end <= len(text):
        expected = f"start:end:type inside the utterance of {len(text)} characters, end exclusive"
        raise file.error(where, f"slot {shown(slot)} in column 2", expected)
    return start, end, span_type


def _words(file: TextFile, where: int, tokenisation: str, text: str) -> list[tuple[int, int]]:
    """First character and the one after the last of each word, in characters of `text`."""
    expected = 'JSON as {"tokenizations": [{"tokens": ["a"], "tokenSpans": [{"start": 0, "length": 1}]}]} over the utterance'
    try:
        found = json.loads(tokenisation)["tokenizations"][0]
        tokens = [str(token) for token in found["tokens"]]
        offsets = [(span["start"], span["start"] + span["length"]) for span in found["tokenSpans"]]
        if len(tokens) != len(offsets) or not tokens or not all(type(n) is int for pair in offsets for n in pair):
            raise ValueError
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise file.error(where, f"tokenisation {shown(tokenisation)} in column 5", expected) from None
    if not _spells(offsets, text, tokens):
        decomposed = unicodedata.normalize("NFD", text)
        mapped = _composed(offsets, text)
        if mapped is not None and _spells(offsets, decomposed, tokens):
            file.repair(where, DECOMPOSED, "offsets in characters of the utterance")
            offsets = mapped
    end_before = 0
    for start, end in offsets:
        if not end_before <= start < end <= len(text) or not text[start:end].strip():
            raise file.error(where, f"word at {start}:{end} of {shown(text)}", "words in order, inside it and not blank")
        end_before = end
    return offsets


def _spells(offsets: Sequence[tuple[int, int]], text: str, tokens: Sequence[str]) -> bool:
    pairs = ((text[a:b], token) for (a, b), token in zip(offsets, tokens, strict=True))
    return all(len({unicodedata.normalize("NFC", one).lower() for one in pair}) == 1 for pair in pairs)


def _composed(offsets: Sequence[tuple[int, int]], text: str) -> list[tuple[int, int]] | None:
    """Offsets into the decomposed `text` as offsets into `text`; None where one falls inside a character."""
    place, position = {0: 0}, 0
    for i, character in enumerate(text, start=1):
        position += len(unicodedata.normalize("NFD", character))
        place[position] = i
    if not all(a in place and b in place for a, b in offsets):
        return None
    return [(place[a], place[b]) for a, b in offsets]


def read_stockmark(file: TextFile, *, types: Mapping[str, str] | None = None) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2, out of one JSON list of `{"text", "entities": [{"name", "span", "type"}]}`.

    It is read whole, a JSON list having no lines. A word is one character: the corpus has no tokens. White space is no word, and
    a span continues across it.

    Args:
        file: The JSON file.
        types: Allowed span types and what each is called here; None allows all, under their own names.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line or record, what was found and expected.
    """
    for number, record in enumerate(json_list(file), start=1):
        where = f"record {number}"
        text, spans = _record(record, partial(file.error, where))
        words = [(i, i + 1) for i, character in enumerate(text) if not character.isspace()]
        unknown = next((kind for _, _, kind in spans if types is not None and kind not in types), None)
        if types is not None and unknown is not None:
            raise file.error(where, f"span type {shown(unknown)}", f"one of {', '.join(types)}")
        yield span_sentence(file, text, words, [(a, b, kind if types is None else types[kind]) for a, b, kind in spans], where)


def _record(record: Any, error: Callable[[str, str], DataFormatError]) -> tuple[str, list[Span]]:
    """Text and spans of one record, each span checked against its name."""
    try:
        text = record["text"]
        rows = [(*entity["span"], entity["type"], entity["name"]) for entity in record["entities"]]
    except (KeyError, TypeError):
        raise error(shown(json.dumps(record, ensure_ascii=False)), '{"text", "entities": [{"name", "span", "type"}]}') from None
    if not isinstance(text, str):
        raise error(f"text {shown(repr(text))}", "a string")
    for row in rows:
        if [type(value) for value in row] != [int, int, str, str] or not 0 <= row[0] < row[1] <= len(text):
            raise error(f"entity {shown(repr(row))}", f"span [start, end] inside the {len(text)} characters, end exclusive")
        if text[row[0] : row[1]] != row[3]:
            there = shown(text[row[0] : row[1]])
            raise error(f"entity {shown(row[3])} at {row[0]}:{row[1]}, where the text is {there}", "the same")
    return text, [(row[0], row[1], row[2]) for row in rows]
