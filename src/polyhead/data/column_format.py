"""Declaration of what a column file does not say itself: columns, comments, tag scheme, known faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

from polyhead.core.errors import SettingError
from polyhead.core.values import whole_number
from polyhead.data.schemes import Scheme, scheme

Separator = Literal["tab", "space", "auto"]


@dataclass(frozen=True)
class ColumnFormat:
    """Layout of a column file. Column numbers are 1-based, −1 is the last column.

    Attributes:
        separator: `tab`: exactly one TAB; `space`: one or more spaces (U+0020 only); `auto`: as the first word row shows
            (`settled`).
        token: Column of the word.
        tag: Column of the tag; None for a file without tags (every label is None).
        index: Column of an index that counts up by one from 0 or 1 in every sentence, which is checked; None if there is none.
        comments: Rows beginning with `#` are comments: all of them if the first column is the index, else those without a TAB
            (`tab`) or with a number of columns not in `n_columns` (`space`). If False, `#` is an ordinary word.
        scheme: Scheme of the span tags; None for tags of single words (part of speech).
        types: Allowed span types, or allowed tags where `scheme` is None; None allows all. `_` as a tag means no label.
        n_columns: Allowed numbers of columns; None: every row has as many as the first.
        rewrites: Known wrong tags and their replacements, counted as repairs.
        skipped_rows: Known whole rows without a word, and why they are skipped, counted as repairs.
        skip_wordless: Skip rows with an empty word and the tag O, counted as repairs.
        trailing_separator: Drop the needless separator at the end of a row, counted as a repair.
        header: The first lines of the file that are skipped, such as names of columns.
        retyped: Span types that are renamed, or dropped (`O`): a choice, not a fault, so never counted.
    """

    separator: Separator = "auto"
    token: int = 1
    tag: int | None = -1
    index: int | None = None
    comments: bool = False
    scheme: Scheme | None = None
    types: frozenset[str] | None = None
    n_columns: tuple[int, ...] | None = None
    rewrites: Mapping[str, str] = field(default_factory=dict, hash=False)
    skipped_rows: Mapping[str, str] = field(default_factory=dict, hash=False)
    skip_wordless: bool = False
    trailing_separator: bool = False
    header: int = 0
    retyped: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, column in (("token", self.token), ("tag", self.tag), ("index", self.index)):
            if column is not None and column < 1 and column != -1:
                raise SettingError(f"column format: {name}={column}; expected a number from 1, or last")
        used = {name: at for name, at in (("token", self.token), ("tag", self.tag), ("index", self.index)) if at is not None}
        if twice := [name for name, at in used.items() if list(used.values()).count(at) > 1]:
            at = "the last column" if used[twice[0]] == -1 else f"column {used[twice[0]]}"
            raise SettingError(f"--columns: {' and '.join(twice)} are both {at}; give each its own, such as tab:token=1,tag=2")
        distinct = self.index == 1 or self.separator == "tab" or (self.separator == "space" and self.n_columns is not None)
        if self.comments and not distinct:
            raise SettingError("column format: comments=hash, but '#' may be a word here; declare tab, index=1 or columns=N")


def place(column: int) -> int:
    """0-based place of a 1-based column; −1 stays."""
    return column - (column > 0)


def split_row(line: str, columns: ColumnFormat) -> list[str]:
    """The columns of a row, whose separator is `tab` or `space`."""
    return line.split("\t") if columns.separator == "tab" else [part for part in line.split(" ") if part]


def settled(columns: ColumnFormat, row: str) -> ColumnFormat:
    """A format with the separator `auto`, settled by the first word row: TAB if it has one, else spaces.

    If that row has a tag in its last column but one and then only a TAB, the TAB is needless (`trailing_separator`).

    >>> settled(ColumnFormat(), "Ann\\tB-PER\\t").tag, settled(ColumnFormat(), "Ann\\t").tag, settled(ColumnFormat(), "Ann O").tag
    (2, -1, -1)
    """
    if columns.separator != "auto":
        return columns
    if "\t" not in row:
        return replace(columns, separator="space")
    last = row.count("\t")
    undeclared = columns.tag == -1 and columns.n_columns is None
    if undeclared and row.endswith("\t") and last > max(columns.token, columns.index or 0):
        return replace(columns, separator="tab", tag=last, n_columns=(last,), trailing_separator=True)
    return replace(columns, separator="tab")


def parse_columns(text: str) -> ColumnFormat:
    """The format declared by a compact text such as `tab:token=2,tag=3`.

    The separator (`tab`, `space` or `auto`) comes before the colon; after it any of `token=N`, `tag=N|last|none`, `index=N`,
    `comments=hash|none`, `scheme=NAME`, `columns=N`, `columns=N/M`, `header=N` or `empty=skip|error`. Columns count from 1; by
    default token is 1 and tag the last.

    Raises:
        SettingError: The text does not have this form.

    >>> parse_columns("tab:token=2,tag=3,index=1,comments=hash").tag
    3
    """
    separator, _, rest = text.strip().partition(":")
    if separator not in get_args(Separator):
        raise SettingError(f"columns {text!r}: {separator!r} before the colon; expected one of {', '.join(get_args(Separator))}")
    declared: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, _, value = item.partition("=")
        number = -1 if value == "last" else whole_number(value)
        if key in ("token", "tag", "index") and (number or (value == "none" and key != "token")):
            declared[key] = number
        elif key == "comments" and value in ("hash", "none"):
            declared[key] = value == "hash"
        elif key == "header" and number is not None and number >= 0:
            declared[key] = number
        elif key == "empty" and value in ("skip", "error"):
            declared["skip_wordless"] = value == "skip"
        elif key == "scheme":
            declared[key] = scheme(value)
        elif key == "columns" and all(counts := tuple(whole_number(part) for part in value.split("/"))):
            declared["n_columns"] = counts
        else:
            allowed = "token=N, tag=N|last|none, index=N, comments=hash|none, scheme=NAME, columns=N, header=N, empty=skip"
            raise SettingError(f"columns {text[:60]!r}: {item[:60]!r}; expected {allowed}, columns counted from 1")
    return ColumnFormat(cast(Separator, separator), **declared)
