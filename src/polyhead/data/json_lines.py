"""Reads and rewrites JSON Lines, one object a line; reads JSON lists."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyhead.data.textfile import BOM, TextFile, data_error, is_blank, read_bytes, read_lines, shown


def json_objects(file: TextFile, lines: Iterable[tuple[int, str]] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's object with the number of the line; blank lines are skipped.

    Args:
        file: For errors, and for its lines if none are given.
        lines: Its numbered lines.

    Raises:
        DataFormatError: A line is not a JSON object.
    """
    for number, line in file.lines() if lines is None else lines:
        if not is_blank(line):
            yield number, _object(file.path, number, line)


def json_list(file: TextFile, lines: Iterable[tuple[int, str]] | None = None) -> list[Any]:
    """The members of the one JSON list that the file holds, which is read whole.

    Raises:
        DataFormatError: It holds something else.
    """
    text = "\n".join(line for _, line in (file.lines() if lines is None else lines))
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise file.error(error.lineno, f"not JSON ({error.msg})", "one JSON list of records") from None
    except (ValueError, RecursionError) as error:  # a number with too many digits, or nested too deeply
        raise file.error(1, f"not JSON that can be read ({error})", "one JSON list of records") from None
    if not isinstance(records, list):
        raise file.error(1, f"a JSON {type(records).__name__}", "one JSON list of records")
    return records


def is_json_object(line: str) -> bool:
    """Whether a line is a JSON object, as every line of a JSON Lines file is."""
    try:
        return line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def looks_like_json_lines(path: Path) -> bool:
    """Whether the first line of text is a JSON object."""
    return not path.is_dir() and is_json_object(next((line for _, line in read_lines(path) if not is_blank(line)), ""))


def rewrite_json_lines(path: Path, column: str, values: Sequence[Sequence[str | int]], out: Path) -> None:
    """Write the objects with one value replaced, or added as the last; line ends and blank lines stay.

    Args:
        path: A file that `json_objects` has read.
        column: Name of the value.
        values: One per object.
        out: File to write.
    """
    text = read_bytes(path)
    rest = iter(values)
    lines = []
    for number, line in enumerate(text.removeprefix(BOM).split(b"\n"), start=1):
        body = line.removesuffix(b"\r")
        if not is_blank(body.decode()):
            changed: Mapping[str, Any] = _object(path, number, body.decode()) | {column: next(rest)}
            line = json.dumps(changed, ensure_ascii=False).encode() + line[len(body) :]
        lines.append(line)
    out.write_bytes((BOM if text.startswith(BOM) else b"") + b"\n".join(lines))


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    expected = 'a JSON object on each line, as {"tokens": ["Anna", "sings"], "ner_tags": ["B-PER", "O"]}'
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise data_error(path, number, f"not JSON ({reason}) in {shown(line)}", expected) from None
    if not isinstance(found, dict):
        step = "; turn a list into lines with jq -c '.[]'" if line.lstrip().startswith("[") else ""
        raise data_error(path, number, f"a JSON {type(found).__name__}, {shown(line)}", f"{expected}{step}")
    return found
