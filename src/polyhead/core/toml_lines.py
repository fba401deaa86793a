"""The line of every key, table and list item of a TOML text, which `tomllib` does not tell.

TOML is read from left to right, a statement ends with its line, and a text that ends inside a statement is not TOML. So the lines
that `tomllib` accepts on their own, tried one by one, are the statements; its own grammar finds them.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]


def toml_lines(text: str) -> dict[Path, int]:
    """Lines by path, numbered from 1: keys, and 0-based positions in lists and in arrays of tables.

    A list item that spans several lines is on its last one. Cost grows with the square of the length of one statement.

    Args:
        text: Valid TOML.

    >>> toml_lines('name = "x"\\n[[grid]]\\nseeds = [\\n  1,\\n  2,\\n]\\n')[("grid", 0, "seeds", 1)]
    5
    """
    lines = text.replace("\r\n", "\n").split("\n")
    found: dict[Path, int] = {}
    sizes: dict[Path, int] = {}  # of arrays of tables
    table: Path = ()
    start = 0
    for end in range(len(lines)):
        statement = lines[start : end + 1]
        content = _parsed("\n".join(statement))
        if content is None:
            continue
        head = statement[0].lstrip()
        if head.startswith("["):
            table = _header(content, sizes)
            for depth in range(1, len(table) + 1):
                found.setdefault(table[:depth], start + 1)
        else:
            _add(found, table, content, start + 1)
            found.update(_items(table, statement, start))
        start = end + 1
    return found


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _header(content: Mapping[str, Any], sizes: dict[Path, int]) -> Path:
    """The path of the table that a header opens; `[[x]]` adds one to the size of its array."""
    path: Path = ()
    inner: Any = content
    while inner:
        ((key, inner),) = inner.items()
        path = (*path, key)
        if isinstance(inner, list):
            sizes[path] = sizes.get(path, 0) + 1
            inner = {}
        if path in sizes:
            path = (*path, sizes[path] - 1)
    return path


def _add(found: dict[Path, int], path: Path, value: Any, line: int) -> None:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found.setdefault((*path, key), line)
        _add(found, (*path, key), item, line)


def _items(table: Path, statement: list[str], start: int) -> dict[Path, int]:
    """Lines of the items of a list written over several lines: how many there are if the list ended after each line."""
    found: dict[Path, int] = {}
    whole = _parsed("\n".join(statement))
    for n in range(1, len(statement) + 1):
        content: Any = whole if n == len(statement) else _parsed("\n".join([*statement[:n], "]"]))
        path = table
        while isinstance(content, dict) and len(content) == 1:
            ((key, content),) = content.items()
            path = (*path, key)
        for place in range(len(content) if isinstance(content, list) else 0):
            if (*path, place) not in found:
                found[*path, place] = start + n
                _add(found, (*path, place), content[place], start + n)
    return found
