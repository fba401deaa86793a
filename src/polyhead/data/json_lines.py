"""Reads and rewrites JSON Lines, one object a line; reads JSON lists."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from polyhead.data.textfile import BOM, TextFile, data_error, is_blank, read_bytes, read_lines, shown

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = "half of a surrogate pair"
_SPACE, _COLON, _COMMA = re.compile(r"[ \t]*"), re.compile(r"[ \t]*:[ \t]*"), re.compile(r"[ \t]*,?")


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
    if _has_half_a_pair(text, records):
        raise file.error(0, _HALF, "text in Unicode")
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


def rewrite_json_lines(path: Path, column: str, values: Sequence[Sequence[str | int] | int], out: Path) -> None:
    """Write the objects with one value replaced, or added as the last; all other bytes stay as they are.

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
            _object(path, number, body.decode())
            line = _with_value(body.decode(), column, next(rest)).encode() + line[len(body) :]
        lines.append(line)
    out.write_bytes((BOM if text.startswith(BOM) else b"") + b"\n".join(lines))


def _with_value(line: str, column: str, value: Sequence[str | int] | int) -> str:
    """An object's text with one value replaced, the last where the name is there twice, or added at its end."""
    written, decoder = json.dumps(value, ensure_ascii=False), json.JSONDecoder()
    place, at = None, _after(_SPACE, line, 0) + 1
    while line[at := _after(_SPACE, line, at)] != "}":
        name, at = decoder.raw_decode(line, at)
        start = _after(_COLON, line, at)
        _, end = decoder.raw_decode(line, start)
        if name == column:
            place = start, end
        at = _after(_COMMA, line, end)
    if place is not None:
        return line[: place[0]] + written + line[place[1] :]
    before = line[:at].rstrip()
    comma = "" if before.endswith("{") else ", "
    return f"{before}{comma}{json.dumps(column, ensure_ascii=False)}: {written}{line[len(before) :]}"


def _after(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a match that begins at `start`, possibly empty, ends."""
    found = pattern.match(text, start)
    return start if found is None else found.end()


def _has_half_a_pair(text: str, found: object) -> bool:
    """Whether JSON holds a character that no file or terminal takes: half of a surrogate pair, written as an escape."""
    if _SURROGATE.search(text) is None:
        return False
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    expected = (
        'a JSON object on each line, as {"tokens": ["Anna", "sings"], "ner_tags": ["B-PER", "O"]} or {"text": "Anna sings", '
        '"label": "music"}'
    )
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise data_error(path, number, f"not JSON ({reason}) in {shown(line)}", expected) from None
    if _has_half_a_pair(line, found):
        raise data_error(path, number, f"{_HALF} in {shown(line)}", "text in Unicode")
    if not isinstance(found, dict):
        step = "; turn a list into lines with jq -c '.[]'" if line.lstrip().startswith("[") else ""
        raise data_error(path, number, f"a JSON {type(found).__name__}, {shown(line)}", f"{expected}{step}")
    return found
