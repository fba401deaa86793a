"""Tables as values, and written as Markdown, LaTeX, CSV and JSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Literal

from polyhead.core.errors import SettingError
from polyhead.report.tables import markdown, paragraphs

Form = Literal["text", "points", "gain", "interval", "p", "rho", "share", "whole", "seconds"]
Format = Literal["md", "latex", "csv", "json"]
Value = str | float | int | tuple[float, float] | None

_NUMBERS: Final = {"points": ".2f", "gain": "+z.2f", "rho": "z.2f", "share": ".0%", "whole": ",d", "seconds": ",.0f"}
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "#$%&_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "ρ": r"$\rho$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "≥": r"$\ge$",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


@dataclass(frozen=True)
class Column:
    """A column: key in CSV and JSON, header, how its values are shown, and the header that it shares with its neighbours."""

    key: str
    title: str
    form: Form = "text"
    group: str = ""


@dataclass(frozen=True)
class PrintedTable:
    """A table; a row's value is a number, an interval, text that stands in its place, or None.

    Attributes:
        name: Short, for files and options.
        title: Above it.
        columns: Its columns.
        rows: Values by column key; a missing one is None.
        notes: Below it.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Value], ...]
    notes: tuple[str, ...] = field(default=())


def shown(value: Value, form: Form) -> str:
    """A value as tables show it; text as it is, – for None.

    >>> shown(0.5, "gain"), shown((-0.25, 1.0), "interval"), shown("2 seeds: no claim", "interval"), shown(0.00001, "p")
    ('+0.50', '-0.25 to +1.00', '2 seeds: no claim', '<0.0001')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return " to ".join(format(bound, "+z.2f") for bound in value)
    if form == "p":
        return f"{value:.4f}" if value >= 0.0001 else "<0.0001"
    return format(value, _NUMBERS[form]) if form in _NUMBERS else str(value)


def as_markdown(tables: Sequence[PrintedTable]) -> str:
    """One section per table."""
    return paragraphs(*(paragraphs(f"## {own.title}", markdown_table(own), *own.notes) for own in tables)) + "\n"


def markdown_table(table: PrintedTable) -> str:
    """The table alone."""
    headers = [" ".join(filter(None, (column.group, column.title))) for column in table.columns]
    rows = [[shown(row.get(column.key), column.form) for column in table.columns] for row in table.rows]
    return markdown(headers, rows)


def as_latex(tables: Sequence[PrintedTable]) -> str:
    """Tables for the package booktabs, each a `table*` with a caption and a label; signs that LaTeX reads are escaped."""
    return "% needs \\usepackage{booktabs}\n" + "\n".join(map(_latex_table, tables))


def latex_text(text: str) -> str:
    r"""Text with every sign escaped that LaTeX would read.

    >>> print(latex_text("ud/en_ewt & 50 %"))
    ud/en\_ewt \& 50 \%
    """
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _latex_table(table: PrintedTable) -> str:
    columns = table.columns
    spec = "".join("l" if column.form == "text" else "r" for column in columns)
    body = [[latex_text(shown(row.get(column.key), column.form)) for column in columns] for row in table.rows]
    lines = [r"\begin{table*}", r"\centering", r"\small", rf"\begin{{tabular}}{{{spec}}}", r"\toprule"]
    if any(column.group for column in columns):
        spans = [(name, len([*own])) for name, own in groupby(columns, key=lambda column: column.group)]
        lines.append(" & ".join(rf"\multicolumn{{{n}}}{{c}}{{{latex_text(name)}}}" for name, n in spans) + r" \\")
        start = 1
        for name, n in spans:
            if name:
                lines.append(rf"\cmidrule(lr){{{start}-{start + n - 1}}}")
            start += n
    lines += [" & ".join(latex_text(column.title) for column in columns) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in body]
    caption = " ".join([f"{table.title}.", *table.notes])
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{latex_text(caption)}}}", rf"\label{{tab:{table.name}}}"]
    return "\n".join([*lines, r"\end{table*}", ""])


def as_csv(tables: Sequence[PrintedTable]) -> str:
    """One table with the values as numbers; an interval has two columns.

    Raises:
        SettingError: Several tables, which one CSV file cannot hold.
    """
    if len(tables) != 1:
        names = ", ".join(own.name for own in tables)
        raise SettingError(f"CSV holds one table, but there are {len(tables)}: {names}; choose one with --table NAME")
    table, text = tables[0], io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([key for column in table.columns for key in _csv_keys(column)])
    writer.writerows([value for column in table.columns for value in _csv_values(column, row)] for row in table.rows)
    return text.getvalue()


def _csv_keys(column: Column) -> list[str]:
    return [f"{column.key}_low", f"{column.key}_high"] if column.form == "interval" else [column.key]


def _csv_values(column: Column, row: Mapping[str, Value]) -> list[Any]:
    value = row.get(column.key)
    if column.form != "interval":
        return [value if column.form == "text" or not isinstance(value, str) else None]
    return list(value) if isinstance(value, tuple) else [None, None]


def as_json(tables: Sequence[PrintedTable]) -> str:
    """All values, of every table."""
    return json.dumps(json_tables(tables), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def json_tables(tables: Sequence[PrintedTable]) -> dict[str, Any]:
    """The content of `as_json`."""
    return {
        "schema": 1,
        "tables": [
            {
                "name": own.name,
                "title": own.title,
                "columns": [{"key": c.key, "title": " ".join(filter(None, (c.group, c.title)))} for c in own.columns],
                "rows": [{c.key: row.get(c.key) for c in own.columns} for row in own.rows],
                "notes": list(own.notes),
            }
            for own in tables
        ],
    }


FORMATS: Final = {"md": as_markdown, "latex": as_latex, "csv": as_csv, "json": as_json}
