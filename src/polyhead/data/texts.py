"""Reads files of sentences, or pairs of sentences, with one label each, as `TextFormat` declares them."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from polyhead.core.values import counted, signed_number
from polyhead.data.json_lines import json_objects, looks_like_json_lines
from polyhead.data.records import CONTAINERS, Records
from polyhead.data.sentences import Sentence
from polyhead.data.text_format import LABELS, NO_COLUMN, PAIRS, TEXTS, TableName, TextFormat, text_columns
from polyhead.data.textfile import BLANK, TextFile, is_blank, read_lines, shown

_DECIMAL = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")
_STEP = "name them with text=, pair= and label= in --columns, such as tsv:text=premise,pair=hypothesis,label=gold_label"
_CLASSES = "a class; scores (regression, as in STS-B) cannot be learnt here, so write classes, such as 0 and 1"


def read_texts(file: TextFile, layout: TextFormat, *, labelled: bool = True) -> Iterator[Sentence]:
    """Sentences in file order, one a row or record; lines end at LF only, and no character of a text is changed.

    `_`, `-` and null mark a sentence without a label, and so does a negative number where numbers have names.

    Args:
        file: The file.
        layout: How it is laid out.
        labelled: If False, labels are not read, and there need be none.

    Raises:
        SettingError: The file needs a library that is not installed.
        DataFormatError: The file is not as declared: no column of texts, a pair with one text, an empty text, no label, a label
            that is not allowed or is a score; the message names file, line, what was found and what was expected.
    """
    layout = with_container(file.path, layout)
    opened = opened_table(file, layout)
    there, start = opened.columns, 1 if layout.container in ("tsv", "csv") else 0
    texts, label = ((), None) if there is None else _columns(file, layout, there, start, labelled=labelled)
    for where, record in opened.rows:
        if not texts:
            texts, label = _columns(file, layout, tuple(record), where, labelled=labelled)
        found = tuple(_text(file, where, record, name) for name in texts)
        names = layout.names or opened.names.get(label or "")
        yield file.example(found, None if label is None else _label(file, where, record, label, layout, names), where)


def with_container(path: Path, layout: TextFormat) -> TextFormat:
    """The format with its container: as declared, else as the beginning of the file shows."""
    return layout if layout.container is not None else replace(layout, container=container_of(path))


def container_of(path: Path) -> TableName:
    """The container that the beginning of a file shows; TAB wins over commas."""
    for name, row in CONTAINERS.items():
        if path.exists() and name != "jsonl" and row.recognises(path):
            return cast(TableName, name)
    if path.exists() and looks_like_json_lines(path):
        return "jsonl"
    first = next((line for _, line in read_lines(path) if not is_blank(line)), "")
    return "csv" if "\t" not in first and "," in first else "tsv"


def opened_table(file: TextFile, layout: TextFormat) -> Records:
    """The rows of a file as records by column, under its header's names.

    Raises:
        DataFormatError: There is no header, it names a column twice, or a row has another number of columns.
    """
    if layout.container == "jsonl":
        return Records(json_objects(file))
    if layout.container == "lines":
        return Records(((number, {TEXTS[0]: line}) for number, line in file.lines() if not is_blank(line)), {}, TEXTS[:1])
    if layout.container in CONTAINERS:
        return CONTAINERS[str(layout.container)].open(file, None)
    rows = csv_rows(file) if layout.container == "csv" else _tab_rows(file)
    at, header = next(rows, (0, []))
    if not header:
        raise file.error(0, "no text", "a header row, such as premise, hypothesis, label, and a sentence on each line")
    if re.match(r"\s*\[\s*(\{|$)", header[0]):
        raise file.error(at, "a JSON list", "JSON Lines, an object on each line; turn the list into lines with jq -c '.[]'")
    if twice := [name for name in dict.fromkeys(header) if header.count(name) > 1]:
        raise file.error(at, f"two columns named {twice[0]!r} in the header", "every name once")
    return Records(_records(file, header, rows), {}, tuple(header))


def _records(file: TextFile, header: list[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, row in rows:
        if len(row) != len(header):
            found = f"{counted(len(row), 'column')} in {shown(' | '.join(row))}"
            raise file.error(number, found, f"{len(header)}, as in the header: {', '.join(header)}")
        yield number, dict(zip(header, row, strict=True))


def _tab_rows(file: TextFile) -> Iterator[tuple[int, list[str]]]:
    for number, line in file.lines():
        if not is_blank(line) or "\t" in line:
            yield number, line.split("\t")
        elif line:
            file.repair(number, BLANK, "an empty line")


def csv_rows(file: TextFile) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the number of their first line; a field in double quotes may hold line ends."""
    reader = csv.reader((f"{line}\n" for _, line in file.lines()), strict=True)
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise file.error(start, f"not CSV ({error})", "fields separated by commas, those with commas in double quotes") from None


def _columns(
    file: TextFile, layout: TextFormat, there: Sequence[str], where: int | str, *, labelled: bool
) -> tuple[tuple[str, ...], str | None]:
    """The columns of the texts and of the labels, None if they are not read, checked against those that are there."""
    texts, label = text_columns(layout, there)
    known = ", ".join(map(shown, there[:8])) + (" ..." if len(there) > 8 else "")
    if not texts:
        usual = f"usual names (a pair such as {', '.join(PAIRS[0])}, or {', '.join(TEXTS[:2])}; {LABELS[0]}) in a header"
        raise file.error(where, f"no column of text among {known}", f"{usual}; or {_STEP}")
    for name in (*texts, *([label] if label and labelled else [])):
        if name not in there:
            raise file.error(where, f"no column {name!r}", f"one of {known}; {_STEP}")
    if layout.n_texts is not None and len(texts) != layout.n_texts:
        column = f"{counted(len(texts), 'text column')}, {' and '.join(texts)}, among {known}"
        raise file.error(where, column, f"{layout.n_texts}, such as {' and '.join(PAIRS[0][: layout.n_texts])}; {_STEP}")
    if label is None and labelled and layout.needs_label:
        if layout.label == NO_COLUMN:
            raise file.error(where, "label=none in --columns", f"label=NAME, with one of {known}, since labels are needed here")
        raise file.error(where, f"no column of labels among {known}", f"one named {LABELS[0]}; or {_STEP}")
    return texts, label if labelled else None


def _text(file: TextFile, where: int | str, record: Mapping[str, Any], name: str) -> str:
    if name not in record:
        raise file.error(where, f"no column {name!r}", f"the columns of the first record; {_STEP}")
    text = record[name]
    if not isinstance(text, str):
        raise file.error(where, f"{name} is {shown(repr(text))}", f"text; {_STEP}")
    if not text.strip():
        raise file.error(where, f"an empty text in {name}", "a sentence; leave the row out")
    return text


def _label(
    file: TextFile, where: int | str, record: Mapping[str, Any], name: str, layout: TextFormat, names: Sequence[str] | None
) -> str | None:
    if name not in record:
        raise file.error(where, f"no column {name!r}", f"the columns of the first record; {_STEP}")
    value = record[name]
    if value is None or value in ("_", "-"):  # "-": SNLI and MNLI where the annotators did not agree
        return None
    if isinstance(value, float) or (isinstance(value, str) and _DECIMAL.fullmatch(value)):
        raise file.error(where, f"label {value} in {name} is a number with decimals", _CLASSES)
    if not isinstance(value, int | str):
        raise file.error(where, f"{name} is {shown(repr(value))}", "one label, as text or as a whole number")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not text.strip():
        raise file.error(where, f"no label in {name}", "a label in every row, or _ for a sentence without one")
    number = signed_number(text)
    if names is not None and number is not None:
        if number < 0:
            return None
        if number >= len(names):
            raise file.error(where, f"the number {number} in {name}", f"0 to {len(names) - 1} for {' '.join(names)}")
        text = names[number]
    if layout.types is not None and text not in layout.types:
        step = "; name numbers in their order, with names=A B C in --columns" if number is not None else ""
        raise file.error(where, f"label {shown(text)}", f"one of {', '.join(layout.types)}, or _{step}")
    return text
