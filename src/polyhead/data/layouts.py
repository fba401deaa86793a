"""All layouts of data files, and one function that reads any of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import get_args

from polyhead.core.errors import SettingError
from polyhead.data.column_format import ColumnFormat, Separator, parse_columns
from polyhead.data.columns import read_columns
from polyhead.data.conllu import Words, read_conllu
from polyhead.data.massive import BracketFormat, read_bracketed
from polyhead.data.multiatis import RowFormat, read_token_rows
from polyhead.data.schemes import scheme as find_scheme
from polyhead.data.sentences import Sentence
from polyhead.data.spans import SpanFormat, read_spans
from polyhead.data.textfile import TextFile

Layout = ColumnFormat | SpanFormat | RowFormat | BracketFormat

# Layouts that have a name instead of columns.
NAMED: Mapping[str, Layout] = {
    "facebook": SpanFormat("facebook"),
    "stockmark": SpanFormat("stockmark"),
    "massive": BracketFormat(),
    "massive:words=characters": BracketFormat("characters"),
    "multiatis": RowFormat(),
    "multiatis:uneven=skip": RowFormat(uneven="skip"),
}


def parse_layout(text: str, *, scheme: str | None) -> Layout:
    """The layout declared by `--columns`: a name in `NAMED`, or columns as `parse_columns` reads them.

    Args:
        text: What the user wrote.
        scheme: Value of `--scheme`; a named layout has its own.

    Raises:
        SettingError: The text is not a layout, or both name a scheme and differ.

    >>> parse_layout("facebook", scheme=None).layout
    'facebook'
    """
    if text in NAMED:
        if scheme is not None:
            raise SettingError(f"--scheme {scheme}: the layout {text!r} has its own scheme; leave --scheme out")
        return NAMED[text]
    if text.partition(":")[0].strip() not in get_args(Separator):
        raise SettingError(f"columns {text[:60]!r}: expected columns such as tab:token=2,tag=3, or one of {', '.join(NAMED)}")
    layout = parse_columns(text)
    if scheme is None:
        return layout
    chosen = find_scheme(scheme)
    if layout.scheme is not None and layout.scheme != chosen:
        raise SettingError(f"columns {text!r} declare scheme {layout.scheme}, but --scheme is {chosen}; give one of them")
    return replace(layout, scheme=chosen)


def read_layout(file: TextFile, layout: Layout | None, *, words: Words = "surface") -> Iterator[Sentence]:
    """Sentences in file order, read as laid out; None means CoNLL-U, the only layout that uses `words`.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    match layout:
        case None:
            return read_conllu(file, words=words)
        case ColumnFormat():
            return read_columns(file, layout)
        case BracketFormat():
            return read_bracketed(file, layout)
        case SpanFormat():
            return read_spans(file, layout)
    return read_token_rows(file, layout)
