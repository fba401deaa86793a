"""A guess at whether a file holds sentences with one label each, and under which names."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.guess_tags import are_spans
from polyhead.data.tasks import NLI
from polyhead.data.text_format import NO_COLUMN, TextFormat, text_columns
from polyhead.data.textfile import TextFile
from polyhead.data.texts import opened_table, with_container

_ROWS = 2000
_SUMMARIES = {
    "tsv": "columns separated by TAB, named by a header",
    "csv": "columns separated by commas, named by a header",
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "datasets": "a folder saved by datasets",
}


def guess_texts(path: Path) -> tuple[str, str, str] | None:
    """Format in words, task, and value for `--columns`; None for all other files.

    A lone text must have several words in most rows, for a column of words may also be called `text`.

    Raises:
        DataFormatError: A header names a pair and labels, and a row below it breaks the format.
    """
    layout = with_container(path, TextFormat())
    try:
        opened = opened_table(TextFile(path, ""), layout)
    except (DataFormatError, SettingError):
        return None
    texts, label = text_columns(layout, opened.columns or ())
    names_a_pair = len(texts) == 2 and label is not None
    try:
        rows = [record for _, record in islice(opened.rows, _ROWS)]
    except (DataFormatError, SettingError):
        if names_a_pair:
            raise
        return None
    texts, label = text_columns(layout, opened.columns or tuple(rows[0] if rows else ()))
    if (
        not (rows or names_a_pair)
        or not texts
        or label is None
        or not all(isinstance(row.get(name), str) for row in rows for name in texts)
    ):
        return None
    labels = {row.get(label) for row in rows if not isinstance(row.get(label), list | dict)}
    if len(texts) == 1 and (2 * sum(" " in row[texts[0]] for row in rows) < len(rows) or are_spans([*map(str, labels)])):
        return None
    if any(isinstance(row.get(label), list | dict) for row in rows):
        return None
    named = replace(layout, text=texts[0], pair=texts[1] if len(texts) == 2 else "", label=label)
    task = "nli" if len(texts) == 2 and labels <= {*NLI, "_", "-"} else "classification"
    return described(layout, texts, label), task, named.spec


def described(layout: TextFormat, texts: Sequence[str], label: str | None) -> str:
    """A layout in words.

    >>> described(TextFormat("jsonl"), ("premise", "hypothesis"), "label")
    'JSON Lines; pairs in premise and hypothesis, labels in label'
    """
    kind = "pairs" if len(texts) == 2 else "texts"
    return f"{_SUMMARIES[layout.container or 'tsv']}; {kind} in {' and '.join(texts)}, labels in {label or NO_COLUMN}"
