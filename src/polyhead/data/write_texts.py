"""Writes predicted labels back into a file of sentences."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from polyhead.core.errors import SettingError
from polyhead.data.json_lines import rewrite_json_lines
from polyhead.data.text_format import LABELS, TextFormat, text_columns
from polyhead.data.textfile import BOM, TextFile, is_blank, read_bytes
from polyhead.data.texts import csv_rows, opened_table


def rewrite_texts(file: TextFile, layout: TextFormat, labels: Sequence[str], out: Path) -> None:
    """Write the file with its column of labels filled in, or with a column `label` added as the last.

    A declared column that the file lacks is added under its name. Where the layout names numbers, numbers are written. All other
    bytes of TSV and JSON Lines stay as they are. In CSV only fields that need quotes have them, and lines end as the first one
    does.

    Args:
        file: A file that `read_texts` has read.
        layout: Its layout, with its container.
        labels: One per sentence.
        out: The file to write.

    Raises:
        SettingError: The container is Parquet or a saved dataset; or a label has no number among those that the layout names.
    """
    if (names := layout.names) is not None and (without := next((label for label in labels if label not in names), None)):
        step = "name all labels, in the order of their numbers, or write text into another column: leave names= out, label=NAME"
        raise SettingError(f"--columns {layout.spec}: the predicted label {without!r} has no number; {step}")
    numbers = None if names is None else [names.index(label) for label in labels]
    if layout.container == "jsonl":
        keys = dict.fromkeys(key for _, record in opened_table(file, layout).rows for key in record)
        rewrite_json_lines(file.path, text_columns(layout, tuple(keys))[1] or LABELS[0], numbers or labels, out)
        return
    if layout.container not in ("tsv", "csv"):
        raise SettingError(
            f"{file.path}: labels of sentences are written into tsv, csv or jsonl; convert the file to one of them"
        )
    header = opened_table(file, layout).columns or ()
    label = text_columns(layout, header)[1]
    place = header.index(label) if label in header else len(header)
    cells = iter((label or LABELS[0], *(labels if numbers is None else map(str, numbers))))
    text = read_bytes(file.path)
    written = _tab(text, cells, place) if layout.container == "tsv" else _commas(file, text, cells, place)
    out.write_bytes((BOM if text.startswith(BOM) else b"") + written)


def _tab(text: bytes, cells: Iterator[str], place: int) -> bytes:
    lines = text.removeprefix(BOM).split(b"\n")
    for number, line in enumerate(lines):
        body = line.removesuffix(b"\r")
        if not is_blank(body.decode()) or b"\t" in body:
            row = body.split(b"\t")
            row[place : place + 1] = [next(cells).encode()]
            lines[number] = b"\t".join(row) + line[len(body) :]
    return b"\n".join(lines)


def _commas(file: TextFile, text: bytes, cells: Iterator[str], place: int) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n" if text.partition(b"\n")[0].endswith(b"\r") else "\n")
    for _, row in csv_rows(file):
        row[place : place + 1] = [next(cells)]
        writer.writerow(row)
    return out.getvalue().encode()
