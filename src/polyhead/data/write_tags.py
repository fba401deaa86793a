"""Writes predicted labels back into their text; all other bytes stay unchanged."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyhead.data.column_format import ColumnFormat
from polyhead.data.schemes import from_iob2, to_iob2
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import data_error, find_file

_BOM = b"\xef\xbb\xbf"
_WORD_ID = re.compile(rb"[0-9]+$")
_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.decompress, ".gz": gzip.decompress, ".bz2": bz2.decompress}
CONLLU = ColumnFormat("tab", token=2, tag=4, index=1, comments=True)


def read_bytes(path: Path) -> bytes:
    """The decompressed bytes of a text file that a reader has accepted."""
    found = find_file(path) or path
    decompress = _DECOMPRESS.get(found.suffix)
    data = found.read_bytes()
    return data if decompress is None else decompress(data)


def written(labels: Sequence[str], layout: ColumnFormat) -> Sequence[str]:
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
        layout: Columns of word and tag; `CONLLU` for CoNLL-U.

    Raises:
        DataFormatError: Text and sentences do not match.
    """
    lines = text.removeprefix(_BOM).split(b"\n")
    for sentence, tags in zip(sentences, labels, strict=True):
        rows = _rows(lines, sentence, layout)
        for word, tag in zip(sentence.words, tags, strict=True):
            for number in rows:
                row = _Row.of(lines[number], layout)
                if row is not None and row.token == word.encode():
                    lines[number] = row.with_tag(tag.encode())
                    break
            else:
                raise data_error(path, _first_line(sentence) + 1, f"no row for the word {word!r}", "the text that was read")
    return (_BOM if text.startswith(_BOM) else b"") + b"\n".join(lines)


def _first_line(sentence: Sentence) -> int:
    return int(sentence.source.rpartition(":")[2]) - 1


def _rows(lines: Sequence[bytes], sentence: Sentence, layout: ColumnFormat) -> Iterator[int]:
    """Indices of the lines from the sentence's first row to the blank line after it."""
    for number in range(_first_line(sentence), len(lines)):
        if not lines[number].strip(b" \t\r\xef\xbb\xbf"):
            return
        if layout is not CONLLU or _WORD_ID.match(lines[number].partition(b"\t")[0]):
            yield number


@dataclass(frozen=True)
class _Row:
    """One row split around its tag."""

    token: bytes
    before: bytes
    after: bytes

    @classmethod
    def of(cls, line: bytes, layout: ColumnFormat) -> "_Row | None":
        """The row's word and the text around its tag; None if a column is missing (a comment)."""
        end = b"\r" if line.endswith(b"\r") else b""
        body = line.removesuffix(b"\r")
        is_tab = layout.separator == "tab" or (layout.separator == "auto" and b"\t" in body)
        spans = _tab_spans(body) if is_tab else [match.span() for match in re.finditer(rb"[^ ]+", body)]
        try:
            token = body[slice(*spans[layout.token - (layout.token > 0)])]
            if layout.tag is None:
                return cls(token, body + (b"\t" if is_tab or b" " not in body else b" "), end)
            start, stop = spans[layout.tag - (layout.tag > 0)]
        except IndexError:
            return None
        return cls(token, body[:start], body[stop:] + end)

    def with_tag(self, tag: bytes) -> bytes:
        return self.before + tag + self.after


def _tab_spans(body: bytes) -> list[tuple[int, int]]:
    spans, start = [], 0
    for field in body.split(b"\t"):
        spans.append((start, start + len(field)))
        start += len(field) + 1
    return spans
