"""Checks that every file of scores or masks goes through, each fault as `path:line: what was found, what was expected`."""

import json
import math
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import DataFormatError

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
    """The object or list that the text holds; anything else is a DataFormatError."""
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
