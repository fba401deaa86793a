"""Checks of files of scores and masks; errors read `path:line: what was found: what was expected`."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import DataFormatError
from polyhead.core.values import decimal_number, whole_number

SCHEMA: Final = 1


def read_text(path: Path) -> str:
    """The file's text without a byte-order mark; an unreadable or empty file is a DataFormatError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path}:1: not UTF-8 text ({error.reason} at byte {error.start}): expected TSV or JSON") from None
    except OSError as error:
        raise DataFormatError(f"{path}: cannot be read ({error.strerror or error}): check the path") from None
    if not text.strip():
        raise DataFormatError(f"{path}:1: the file is empty: expected TSV or JSON")
    return text


def parse_json(path: Path, text: str) -> Any:
    """The JSON object or list in the text; anything else is a DataFormatError."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataFormatError(f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from None
    except (RecursionError, ValueError) as error:
        raise DataFormatError(f"{path}:1: not JSON that can be read ({error})") from None
    if not isinstance(content, dict | list):
        raise DataFormatError(f"{path}:1: found {str(content)[:60]}: expected an object or a list of lists")
    return content


def check_schema(path: Path, line: int, schema: object) -> None:
    """Refuse a schema number that this version does not read."""
    if schema != SCHEMA:
        raise DataFormatError(f"{path}:{line}: schema {schema!r}: this version reads schema {SCHEMA}")


def checked_matrix(path: Path, name: str, rows: object, *, booleans: bool = False) -> NDArray[np.float64]:
    """A rectangular matrix from lists of lists; None becomes NaN among numbers."""
    what = "true or false" if booleans else "a number or null"
    if not (isinstance(rows, list) and rows and all(isinstance(row, list) and row for row in rows)):
        raise DataFormatError(f"{path}:1: `{name}` is {str(rows)[:60]}: expected a list of layers, each a list of heads")
    for layer, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise DataFormatError(f"{path}:1: `{name}` has {len(row)} heads in layer {layer} but {len(rows[0])} in layer 0")
        for head, value in enumerate(row):
            whole = type(value) is bool or (type(value) is int and value in (0, 1))
            number = value is None or (type(value) in (int, float) and abs(value) <= sys.float_info.max)
            if not (whole if booleans else number):
                raise DataFormatError(f"{path}:1: `{name}` has {value!r} for head {layer}.{head}: expected {what}")
    return np.array([[math.nan if value is None else float(value) for value in row] for row in rows], dtype=np.float64)


BANNER: Final = "# polyhead scores schema"

# Far above any encoder's; a stray large number must not allocate a matrix that fills memory.
LARGEST: Final = 4096
MATRICES: Final = ("score", "signed", "total", "low", "high")
_UNNAMED: Final = ("layer", "head", "score", "signed", "total")
_Cells = dict[tuple[int, int], tuple[int, list[float]]]  # by layer and head: line number and values


@dataclass(frozen=True)
class Rows:
    """Content of a TSV file: a matrix `[layers, heads]` for `score` and each optional column, and the comments' facts."""

    matrices: Mapping[str, NDArray[np.float64]]
    method: str
    facts: Mapping[str, Any]
    facts_line: int


def read_rows(path: Path, text: str) -> Rows:
    """Scores from rows; without a header line the columns are layer, head, score, then signed and total.

    Raises:
        DataFormatError: A column or head is missing, a head is duplicate, a cell is not a number, or an unknown schema.
    """
    method, facts, facts_line = "unknown", dict[str, Any](), 1
    columns: list[str] | None = None
    cells: _Cells = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith(BANNER):
            schema, _, name = line.removeprefix(BANNER).strip().partition(" method=")
            known = whole_number(schema)
            check_schema(path, number, schema[:40] if known is None else known)
            method = name or method
            facts_line = number + 1
        elif line.startswith("# {") and number == facts_line > 1:
            facts = _facts(path, number, line)
        elif line.strip() and not line.startswith("#"):
            parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
            if columns is None and not parts[0].lstrip("+-").isdecimal():
                columns = _named(path, number, parts)
                continue
            columns = columns or list(_UNNAMED[: max(3, len(parts))])
            place, values = _row(path, number, columns, parts)
            if place in cells:
                raise DataFormatError(
                    f"{path}:{number}: head {place[0]}.{place[1]} is also in line {cells[place][0]}: delete one of the two"
                )
            cells[place] = (number, values)
    if not cells or columns is None:
        raise DataFormatError(f"{path}:1: no row of scores: expected layer, head and score")
    return Rows(_filled(path, cells, facts, [name for name in columns if name in MATRICES]), method, facts, facts_line)


def _facts(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        facts = json.loads(line.removeprefix("#"))
    except (ValueError, RecursionError) as error:
        raise DataFormatError(f"{path}:{number}: the comment is not JSON ({error}): correct it or delete the line") from None
    return dict(facts)


def _named(path: Path, number: int, parts: Sequence[str]) -> list[str]:
    names = [part.lower() for part in parts]
    wanted = ["layer", "head", "score"]
    if any(names.count(name) != 1 for name in wanted) or any(names.count(name) > 1 for name in MATRICES):
        raise DataFormatError(f"{path}:{number}: columns {', '.join(parts)[:80]}: expected {', '.join(wanted)}, each once")
    return names


def _row(path: Path, number: int, columns: Sequence[str], parts: Sequence[str]) -> tuple[tuple[int, int], list[float]]:
    if len(parts) != len(columns):
        raise DataFormatError(f"{path}:{number}: {len(parts)} columns, expected {len(columns)}: {', '.join(columns)}")
    row = dict(zip(columns, parts, strict=True))
    for name in ("layer", "head"):
        if (address := whole_number(row[name])) is None or address >= LARGEST:
            raise DataFormatError(f"{path}:{number}: {name} {row[name][:30]!r}: expected a whole number from 0 to {LARGEST - 1}")
    values = [_number(path, number, name, row[name]) for name in columns if name in MATRICES]
    return (int(row["layer"]), int(row["head"])), values


def _number(path: Path, number: int, name: str, text: str) -> float:
    value = math.nan if text == "null" else decimal_number(text)
    if value is None:
        raise DataFormatError(f"{path}:{number}: {name} {text[:30]!r}: expected a finite number, or null for a pruned head")
    return value


def _filled(path: Path, cells: _Cells, facts: Mapping[str, Any], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    n_layers, n_heads = (1 + max(place[axis] for place in cells) for axis in (0, 1))
    layers, heads = facts.get("n_layers"), facts.get("n_heads")
    if isinstance(layers, int) and isinstance(heads, int):
        for place, (number, _) in cells.items():
            if place[0] >= layers or place[1] >= heads:
                outside = f"head {place[0]}.{place[1]} is outside the {layers} layers x {heads} heads of the header"
                raise DataFormatError(f"{path}:{number}: {outside}: correct or delete the row")
    if missing := n_layers * n_heads - len(cells):
        first = next(place for place in np.ndindex(n_layers, n_heads) if place not in cells)
        raise DataFormatError(
            f"{path}:1: {missing} of {n_layers * n_heads} heads have no score, the first is {first[0]}.{first[1]}: "
            "expected a row for each, with null for pruned heads"
        )
    columns = np.array([cells[place][1] for place in np.ndindex(n_layers, n_heads)]).T
    return {name: column.reshape(n_layers, n_heads) for name, column in zip(names, columns, strict=True)}
