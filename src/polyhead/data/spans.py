"""Reads files that mark spans by character offsets; spans become IOB2.

The layouts are the TSV of the multilingual task-oriented dialogues (Schuster et al. 2019) and the JSON list of Stockmark's
Japanese Wikipedia entities.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from polyhead.core.errors import DataFormatError
from polyhead.core.values import whole_number
from polyhead.data.schemes import Span, SpanError, span_labels
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile, shown

DECOMPOSED = "row whose word offsets count decomposed characters (NFD), mapped to those of the utterance"
BEFORE = "span that begins before the utterance, clipped to it"
_N_COLUMNS = 5


@dataclass(frozen=True)
class SpanFormat:
    """Declaration for a file of spans.

    Attributes:
        layout: `facebook`: TSV without a header, with intent, slots (`start:end:type`, joined by commas), utterance, locale and
            tokenisation (JSON); `stockmark`: one JSON list of `{"text", "entities": [{"name", "span", "type"}]}`.
        types: Allowed span types and the names they are read as; None allows all, unchanged.
    """

    layout: Literal["facebook", "stockmark"]
    types: Mapping[str, str] | None = field(default=None, hash=False)


def read_spans(file: TextFile, layout: SpanFormat) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2.

    `facebook` streams, one row in memory at a time. Words are the slices of the utterance given by `tokenSpans`. (The `tokens`
    are lower-cased and normalised; they only show which unit the offsets count, see `DECOMPOSED`.) A slot that begins or ends
    inside a word (`Tuesday` in `Tuesday's`) is widened to it; one that begins before the utterance is clipped to it. Both are
    counted as repairs.

    `stockmark` is one JSON list, read at once. The corpus has no tokens, so each character is a word, except white space, which
    spans may cross.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line (or record), what was found and expected.
    """
    n_sentences = 0
    for sentence in (_facebook if layout.layout == "facebook" else _stockmark)(file, layout):
        n_sentences += 1
        yield sentence
    if not n_sentences:
        raise file.error(1, "end of file and not one sentence", f"at least one in the layout {layout.layout!r}")


def _sentence(
    file: TextFile, layout: SpanFormat, text: str, words: Sequence[tuple[int, int]], spans: Sequence[Span], where: str
) -> Sentence:
    """The words at their offsets in `text`, labelled; `where` is a line or record, for its source and for errors."""
    on_repair = partial(file.repair, where, expected="spans over whole words")
    try:
        labels = span_labels(words, [_known(layout, span) for span in spans], on_repair)
    except SpanError as error:
        raise file.error(where, error.found, error.expected) from None
    return file.sentence((text[a:b] for a, b in words), labels, where)


def _known(layout: SpanFormat, span: Span) -> Span:
    if layout.types is None:
        return span
    if span[2] not in layout.types:
        raise SpanError(f"span type {shown(span[2])}", f"one of {', '.join(layout.types)}")
    return span[0], span[1], layout.types[span[2]]


def _facebook(file: TextFile, layout: SpanFormat) -> Iterator[Sentence]:
    for number, line in file.lines():
        where = str(number)
        columns = line.split("\t")
        if len(columns) != _N_COLUMNS:
            expected = f"{_N_COLUMNS}, separated by TAB: intent, slots, utterance, locale, tokenisation"
            raise file.error(where, f"{len(columns)} column(s) in {shown(line)}", expected)
        text = columns[2]
        spans = [_slot(file, where, slot, text) for slot in columns[1].split(",") if slot]
        yield _sentence(file, layout, text, _words(file, where, columns[4], text), spans, where)


def _slot(file: TextFile, where: str, slot: str, text: str) -> Span:
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


def _words(file: TextFile, where: str, tokenisation: str, text: str) -> list[tuple[int, int]]:
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
    return all(_plain(text[a:b]) == _plain(token) for (a, b), token in zip(offsets, tokens, strict=True))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


def _composed(offsets: Sequence[tuple[int, int]], text: str) -> list[tuple[int, int]] | None:
    """Offsets into the decomposed `text` as offsets into `text`; None where one falls inside a character."""
    place, position = {0: 0}, 0
    for i, character in enumerate(text, start=1):
        position += len(unicodedata.normalize("NFD", character))
        place[position] = i
    if not all(a in place and b in place for a, b in offsets):
        return None
    return [(place[a], place[b]) for a, b in offsets]


def _stockmark(file: TextFile, layout: SpanFormat) -> Iterator[Sentence]:
    text = "\n".join(line for _, line in file.lines())
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise file.error(error.lineno, f"not JSON ({error.msg})", "one JSON list of records") from None
    except (ValueError, RecursionError) as error:  # a number with too many digits, or nested too deeply
        raise file.error(1, f"not JSON that can be read ({error})", "one JSON list of records") from None
    if not isinstance(records, list):
        raise file.error(1, f"a JSON {type(records).__name__}", "one JSON list of records")
    for number, record in enumerate(records, start=1):
        where = f"record {number}"
        text, spans = _record(record, lambda found, expected, where=where: file.error(where, found, expected))  # type: ignore[misc]
        words = [(i, i + 1) for i, character in enumerate(text) if not character.isspace()]
        if not words:
            raise file.error(where, f"text {shown(text)}", "at least one character that is not white space")
        yield _sentence(file, layout, text, words, spans, where)


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
            raise error(
                f"entity {shown(row[3])} at {row[0]}:{row[1]}, where the text is {shown(text[row[0] : row[1]])}", "the same"
            )
    return text, [(row[0], row[1], row[2]) for row in rows]
