"""Writes predicted labels back into their text; all other bytes stay unchanged."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from polyhead.data.column_format import ColumnFormat, place, split_row
from polyhead.data.guess_tags import is_header
from polyhead.data.record_format import RecordFormat
from polyhead.data.schemes import from_iob2, to_iob2
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import BOM, TextFile, data_error, is_blank, shown

_ROWS = 20_000  # looked at before tags are overwritten
_WORD_ID = re.compile(rb"[0-9]+$")
CONLLU = ColumnFormat("tab", token=2, tag=4, index=1, comments=True)


def written(labels: Sequence[str], layout: ColumnFormat | RecordFormat) -> Sequence[str]:
    """One sentence's labels as its file writes them: spans made valid and converted to the layout's scheme, tags unchanged."""
    return labels if layout.scheme is None else from_iob2(to_iob2(labels, "iob2"), layout.scheme)


def filled(
    text: bytes, path: Path, sentences: Sequence[Sentence], labels: Sequence[Sequence[str]], layout: ColumnFormat
) -> bytes:
    """`text` with the tag of every word's row replaced, or added as the last column if the layout has no tag column.

    Args:
        text: Decompressed bytes of the file.
        path: The file, for errors.
        sentences: As read from this text, in order.
        labels: One per word, as the file writes them.
        layout: Columns of word and tag, `settled`; `CONLLU` for CoNLL-U.

    Raises:
        DataFormatError: Text and sentences do not match.
    """
    lines = text.removeprefix(BOM).split(b"\n")
    for sentence, tags in zip(sentences, labels, strict=True):
        rows = _rows(lines, sentence, layout)
        for word, tag in zip(sentence.words, tags, strict=True):
            for number in rows:
                if (line := _tagged(lines[number], word.encode(), tag.encode(), layout)) is not None:
                    lines[number] = line
                    break
            else:
                raise data_error(path, _first_line(sentence) + 1, f"no row for the word {word!r}", "the text that was read")
    return (BOM if text.startswith(BOM) else b"") + b"\n".join(lines)


def check_tags(file: TextFile, layout: ColumnFormat) -> None:
    """Refuse to overwrite a last column that nobody declared and that does not look like tags.

    Raises:
        DataFormatError: The first row looks like a header, or more than half of the rows like running text.
    """
    if layout.tag is None:
        return
    rows = [(number, line) for number, line in islice(file.lines(), _ROWS) if not is_blank(line)]
    number, line = rows[0]
    found = f"{shown(_cell(line, layout))}, the last of {shown(line)}"
    if 2 * sum(_like_text(_cell(line, layout)) for _, line in rows) > len(rows):
        raise file.error(number, found, "a tag, or one word on each line; if this is a tag, declare its column with --columns")
    if is_header(split_row(line, layout), _cell(line, layout), bare=False):
        step = f"if this row is a header, skip it with {layout.separator}:header={number} in --columns"
        raise file.error(number, found, f"a tag; {step}")


def _cell(line: str, layout: ColumnFormat) -> str:
    cells = split_row(line, layout)
    at = place(layout.tag or 0)
    return cells[at] if -len(cells) <= at < len(cells) else ""


def _like_text(text: str) -> bool:
    """Whether a cell looks like a word or the end of a sentence rather than a tag of some tagset."""
    return not text.isascii() or re.search(r"^[a-z]|[a-z]{2}[.,;:!?]?$|^[.!?]$", text.partition("-")[0]) is not None


def _first_line(sentence: Sentence) -> int:
    return int(sentence.source.rpartition(":")[2]) - 1


def _rows(lines: Sequence[bytes], sentence: Sentence, layout: ColumnFormat) -> Iterator[int]:
    """Indices of the lines from the sentence's first row to the blank line after it."""
    for number in range(_first_line(sentence), len(lines)):
        if not lines[number].strip(b" \t\r\xef\xbb\xbf"):
            return
        if layout is not CONLLU or _WORD_ID.match(lines[number].partition(b"\t")[0]):
            yield number


def _tagged(line: bytes, word: bytes, tag: bytes, layout: ColumnFormat) -> bytes | None:
    """The row with its tag replaced or added; None if it is not the row of that word, or lacks a column (a comment)."""
    body = line.removesuffix(b"\r")
    is_tab = layout.separator == "tab"
    # between TABs a column may be empty, also at the end of a row
    spans = [match.span() for match in re.finditer(rb"(?<![^\t])[^\t]*" if is_tab else rb"[^ ]+", body)]
    try:
        if body[slice(*spans[place(layout.token)])] != word:
            return None
        if layout.tag is None:
            return body + (b"\t" if is_tab or b" " not in body else b" ") + tag + line[len(body) :]
        start, stop = spans[place(layout.tag)]
    except IndexError:
        return None
    return line[:start] + tag + line[stop:]
