"""Reads files of records as `RecordFormat` declares them, and writes tags back into them. A container is one row of `CONTAINERS`.

>>> list(CONTAINERS)
['parquet', 'datasets', 'jsonl']
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from polyhead.core.errors import SettingError
from polyhead.core.files import cannot_write
from polyhead.data import arrow_tables as arrow
from polyhead.data.json_lines import json_objects, looks_like_json_lines, rewrite_json_lines
from polyhead.data.record_format import RecordFormat
from polyhead.data.schemes import LabelError, to_iob2
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile, shown

WORDLESS_RECORD = "record without words left out"
WORDLESS = "empty word with the tag O left out"
NO_LABEL = (None, "_", -1, -100)
_BRIEF = 60
PREDICTED = "predicted_tags"
_ANOTHER = "write another column, with tag=NAME in --columns"


@dataclass(frozen=True)
class Records:
    """An open file of records.

    Attributes:
        rows: Each record's place and values, in file order.
        names: Names of the tags by column, where the file itself names their numbers.
        columns: All columns; None where each record has its own.
    """

    rows: Iterator[tuple[int | str, Mapping[str, Any]]]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Container:
    """One row: a kind of file that holds records.

    Attributes:
        summary: What such a file is, in a few words.
        open: Opens it; with names of columns, only these need be read.
        rewrite: Writes it with one column replaced or added, under another name.
        recognises: Whether a path looks like one.
        kind: A file of text, one that a terminal cannot show, or a folder.
    """

    summary: str
    open: Callable[[TextFile, Sequence[str] | None], Records]
    rewrite: Callable[[Path, str, Sequence[Sequence[str | int]], Path], None]
    recognises: Callable[[Path], bool]
    kind: Literal["text", "binary", "folder"] = "text"


def _open_lines(file: TextFile, columns: Sequence[str] | None) -> Records:
    return Records(json_objects(file))


def _open_table(read: Callable[..., tuple[Any, Iterator[Any]]], file: TextFile, columns: Sequence[str] | None) -> Records:
    features, rows = read(file, columns)
    return Records(rows, arrow.label_names(features), tuple(features))


# Those that are no text come first: to recognise JSON Lines, the first line is read.
CONTAINERS: dict[str, Container] = {
    "parquet": Container(
        "Parquet", partial(_open_table, arrow.parquet_records), arrow.rewrite_parquet, arrow.looks_like_parquet, "binary"
    ),
    "datasets": Container(
        "a folder saved by datasets", partial(_open_table, arrow.saved_records), arrow.rewrite_saved, arrow.looks_saved, "folder"
    ),
    "jsonl": Container("JSON Lines", _open_lines, rewrite_json_lines, looks_like_json_lines),
}


def read_records(file: TextFile, layout: RecordFormat) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2, one a record. JSON Lines stream; of tables a thousand rows are in memory.

    A record without words is left out and counted. `_`, null, −1 and −100 mark a word without a label in tag tasks.

    Raises:
        SettingError: The file needs a library that is not installed.
        DataFormatError: The file is not as declared; the message names file, record, what was found and what was expected.
    """
    opened = CONTAINERS[layout.container].open(file, _wanted(layout))
    for name in filter(None, (layout.token, layout.tag)):
        if opened.columns is not None and name not in opened.columns:
            raise file.error(0, f"no column {name!r}", _declared(opened.columns))
    names = layout.names or opened.names.get(layout.tag or "")
    for where, record in opened.rows:
        words = record_words(file, where, record, layout)
        if not words:
            file.repair(where, WORDLESS_RECORD, "at least one word")
            continue
        tags = [None] * len(words) if layout.tag is None else _tags(file, where, record, layout, names)
        if len(tags) != len(words):
            found = f"{len(words)} words in {layout.token}, but {len(tags)} tags in {layout.tag}"
            raise file.error(where, found, "one tag for each word")
        kept = [i for i, word in enumerate(words) if _is_kept(file, where, word, tags[i], layout)]
        if kept:
            labels = _labels(file, where, [tags[i] for i in kept], layout)
            yield file.sentence((words[i] for i in kept), labels, where)
        else:
            file.repair(where, WORDLESS_RECORD, "at least one word")


def record_words(file: TextFile, where: int | str, record: Mapping[str, Any], layout: RecordFormat) -> list[str]:
    """The words of a record, as they stand there.

    Raises:
        DataFormatError: There is no such list, or it holds something else than text.
    """
    words = _value(file, where, record, layout.token)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        found = f"{layout.token} is {_brief(words)}"
        step = "; text with character offsets must be divided into words first" if isinstance(words, str) else ""
        raise file.error(where, found, f"a list of words{step}")
    return words


def rewrite_records(file: TextFile, layout: RecordFormat, labels: Sequence[Sequence[str]], out: Path) -> None:
    """Write the records with new tags: as names, or as numbers where the file numbers them; all other columns stay.

    Args:
        file: A file that `read_records` has read.
        layout: Its layout; a tag column that is not there is added as the last, named `PREDICTED` where none is declared.
        labels: One per word of each sentence, as the file writes them.
        out: The file, or the new folder, to write.

    Raises:
        SettingError: The file numbers its tags, and has no number for a label.
        DataFormatError: The column of tags holds something else than tags, or numbers that nothing names.
        StoreError: It cannot be written.
    """
    column, values = _filled(file, layout, labels)
    try:
        CONTAINERS[layout.container].rewrite(file.path, column, values, out)
    except OSError as error:
        raise cannot_write(out, error) from None


def _filled(file: TextFile, layout: RecordFormat, labels: Sequence[Sequence[str]]) -> tuple[str, list[list[str] | list[int]]]:
    """Name and values of the column of tags that the labels fill in."""
    column = layout.tag or PREDICTED
    opened = CONTAINERS[layout.container].open(file, _wanted(layout))
    names = layout.names or opened.names.get(column)
    numbers = {name: i for i, name in enumerate(names or ())}
    rest = iter(labels)
    values: list[list[str] | list[int]] = []
    for where, record in opened.rows:
        words = record_words(file, where, record, layout)
        found = iter(next(rest) if any(word.strip(" ") for word in words) else ())
        tags = [next(found) if word.strip(" ") else "O" for word in words]
        there = _replaced(file, where, record, column, names)
        if not numbers or any(isinstance(tag, str) for tag in there):
            values.append(tags)
        elif unknown := [tag for tag in tags if tag not in numbers]:
            said = f"label {unknown[0]!r} has no number among {' '.join(numbers)}"
            raise SettingError(f"{file.path}: {said}, which {column} takes; {_ANOTHER}")
        else:
            values.append([numbers[tag] for tag in tags])
    return column, values


def _replaced(file: TextFile, where: int | str, record: Mapping[str, Any], column: str, names: Sequence[str] | None) -> list[Any]:
    """What stands in a record's column of tags, none if it has none."""
    there = record.get(column)
    if there is None:
        return []
    if not isinstance(there, list):
        raise file.error(where, f"{column} is {_brief(there)}", f"a list of tags; {_ANOTHER}")
    if names is None and any(type(tag) is int for tag in there):
        raise file.error(
            where, f"{column} holds numbers, and nothing names them", f"names=O B-PER I-PER in --columns; or {_ANOTHER}"
        )
    return there


def _wanted(layout: RecordFormat) -> list[str]:
    return [layout.token, layout.tag or PREDICTED]


def _declared(columns: Sequence[str]) -> str:
    return f"one of {', '.join(columns)}; name the words and the tags with token= and tag= in --columns"


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}..."


def _value(file: TextFile, where: int | str, record: Mapping[str, Any], name: str) -> Any:
    if name not in record:
        raise file.error(where, f"no column {name!r}", _declared(list(record)))
    return record[name]


def _is_kept(file: TextFile, where: int | str, word: str, tag: str | None, layout: RecordFormat) -> bool:
    if word.strip(" "):
        return True
    if not layout.skip_wordless or tag not in ("O", None):
        step = "; empty=skip in --columns leaves out empty words with the tag O"
        raise file.error(where, f"an empty word in {layout.token}", f"a word{step}")
    file.repair(where, WORDLESS, "a word")
    return False


def _tags(
    file: TextFile, where: int | str, record: Mapping[str, Any], layout: RecordFormat, names: Sequence[str] | None
) -> list[str | None]:
    tags = _value(file, where, record, str(layout.tag))
    if not isinstance(tags, list):
        raise file.error(where, f"{layout.tag} is {_brief(tags)}", "a list of tags, one for each word")
    read: list[str | None] = []
    for tag in tags:
        if tag in NO_LABEL:
            read.append(None)
        elif isinstance(tag, str):
            read.append(tag)
        elif type(tag) is not int:
            raise file.error(where, f"{_brief(tag)} in {layout.tag}", "tags as text or as whole numbers")
        elif names is None:
            step = "add names=O B-PER I-PER, in the order of the numbers, to --columns"
            raise file.error(where, f"{layout.tag} holds numbers, such as {tag}, and nothing names them", f"names; {step}")
        elif not 0 <= tag < len(names):
            raise file.error(where, f"the number {tag} in {layout.tag}", f"0 to {len(names) - 1} for {' '.join(names)}")
        else:
            read.append(names[tag])
    return read


def _labels(file: TextFile, where: int | str, tags: Sequence[str | None], layout: RecordFormat) -> tuple[str | None, ...]:
    if layout.scheme is None:
        wrong = [tag for tag in tags if tag is not None and layout.types is not None and tag not in layout.types]
        if wrong:
            raise file.error(where, f"tag {shown(wrong[0])}", f"one of {' '.join(sorted(layout.types or ()))}, or _")
        return tuple(tags)
    if all(tag is None for tag in tags):
        return tuple(tags)

    def on_repair(position: int, description: str) -> None:
        file.repair(where, description, f"tags in {layout.scheme}")

    try:
        return to_iob2([tag or "" for tag in tags], layout.scheme, types=layout.types, on_repair=on_repair)
    except LabelError as error:
        raise file.error(where, error.found, error.expected) from None
