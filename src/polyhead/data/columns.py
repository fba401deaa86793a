"""Reads column files (one word per row, blank lines between sentences) as `ColumnFormat` declares them; spans become IOB2."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from polyhead.core.errors import DataFormatError
from polyhead.core.values import counted
from polyhead.data.column_format import ColumnFormat, Separator, place, settled, split_row
from polyhead.data.json_lines import is_json_object
from polyhead.data.schemes import LabelError, to_iob2
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile, is_blank, read_lines, shown

WORDLESS = "row with tag O and an empty word left out"
TRAILING = "separator at the end of a row left out"


def read_columns(file: TextFile, columns: ColumnFormat) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2. Streams: one sentence in memory at a time.

    A line of only spaces and TABs is read as blank and counted as a repair; a row with a tag but no word is an error. Rows
    `-DOCSTART-`, which CoNLL-2003 has before each document, are skipped.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    reader = _Reader(file, columns)
    for rows in file.blocks():
        reader.words, reader.tags, reader.lines, reader.index = [], [], [], ""
        for number, line in rows:
            reader.take(number, line)
        if reader.words:
            yield file.sentence(reader.words, reader.labels(), reader.lines[0])


DOCSTART = "-DOCSTART-"


@dataclass(slots=True)
class _Reader:
    """The sentence being read, and what the rows so far have settled."""

    file: TextFile
    format: ColumnFormat
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    index: str = ""
    counts: tuple[int, ...] = ()
    first: tuple[int, str] = (0, "")

    def take(self, number: int, line: str) -> None:
        form = self.format
        if number <= form.header or (form.comments and line[0] == "#" and self._is_comment(line)):
            return
        if not self.words and line.split(None, 1)[:1] == [DOCSTART]:
            return
        if line in form.skipped_rows:
            self.file.repair(number, f"row {line!r} left out: {form.skipped_rows[line]}", "a row with a word and a tag")
            return
        if form.separator == "auto":
            form = self.format = settled(form, line)
        fields = split_row(line, form)
        if not self.counts:
            if is_json_object(line):
                expected = (
                    "columns, a word and its tag on each line; give --columns jsonl:token=tokens,tag=ner_tags to read JSON Lines"
                )
                raise self.file.error(number, f"JSON Lines: {shown(line)}", expected)
            self.counts, self.first = form.n_columns or (len(fields),), (number, line)
            self._check_format(number, line)
        if form.trailing_separator and not fields[-1] and len(fields) - 1 in self.counts:
            self.file.repair(number, TRAILING, "a row without it")
            fields.pop()
        if len(fields) not in self.counts:
            raise self._uneven(number, line, len(fields))
        word = fields[place(form.token)]
        tag = None if form.tag is None else fields[place(form.tag)]
        if form.index is not None:
            self._check_index(number, fields[place(form.index)])
        if not word.strip(" "):
            if form.skip_wordless and tag == "O":
                self.file.repair(number, WORDLESS, "a word")
                return
            step = f"; {form.separator}:empty=skip in --columns leaves such rows out" if tag == "O" else ""
            raise self.file.error(number, f"an empty word in {shown(line)}", f"a word in column {form.token}{step}")
        self.words.append(word)
        self.lines.append(number)
        if tag is not None and tag in form.rewrites:
            self.file.repair(number, f"tag {tag} read as {form.rewrites[tag]}", "a tag of the scheme")
            tag = form.rewrites[tag]
        self.tags.append(tag or "")

    def _uneven(self, number: int, line: str, n: int) -> DataFormatError:
        """The error for a row with another number of columns, which may be separated otherwise than the first."""
        form, (at, first) = self.format, self.first
        wanted, other = " or ".join(map(str, self.counts)), "space" if form.separator == "tab" else "tab"
        found = f"{counted(n, 'column')} in {shown(line)}"
        if len(split_row(line, replace(form, separator=cast(Separator, other)))) in self.counts:
            step = f"if that is a header, skip it with {other}:header={at} in --columns"
            return self.file.error(
                number, f"{found}, which {other}s separate", f"{form.separator}s as in line {at}, {shown(first)}; {step}"
            )
        return self.file.error(number, found, f"{wanted}, separated by {form.separator}; or declare the columns")

    def _header_step(self, number: int) -> str:
        """What to do if the first row of words is a header; empty for all others."""
        is_first = number == self.first[0]
        return f"; if this row is a header, skip it with {self.format.separator}:header={number} in --columns" if is_first else ""

    def _is_comment(self, line: str) -> bool:
        if self.format.index == 1:
            return True
        if self.format.separator == "tab":
            return "\t" not in line
        return len(split_row(line, self.format)) not in (self.format.n_columns or ())

    def _check_format(self, number: int, line: str) -> None:
        form = self.format
        declared = [column for column in (form.token, form.tag, form.index) if column is not None]
        for count in self.counts:
            met = [column if column > 0 else count for column in declared]
            if max(met) > count or len(set(met)) < len(met):
                needed = max(*declared, max(declared) + (-1 in declared))
                found = f"{counted(count, 'column')} in {shown(line)}"
                expected = f"at least {needed}, separated by {form.separator}; declare the columns, or comments=hash"
                raise self.file.error(number, found, expected)

    def _check_index(self, number: int, text: str) -> None:
        allowed = (str(int(self.index) + 1),) if self.index else ("0", "1")
        if text not in allowed:
            wanted = " or ".join(allowed)
            raise self.file.error(number, f"index {shown(text)} in column {self.format.index}", f"{wanted}, counting up by one")
        self.index = text

    def labels(self) -> tuple[str | None, ...]:
        form = self.format
        if form.tag is None:
            return (None,) * len(self.words)
        if form.scheme is None:
            if form.types is not None:
                for number, tag in zip(self.lines, self.tags, strict=True):
                    if tag not in form.types and tag != "_":
                        allowed = f"one of {' '.join(sorted(form.types))}, or _{self._header_step(number)}"
                        raise self.file.error(number, f"tag {shown(tag)}", allowed)
            return tuple(None if tag == "_" else tag for tag in self.tags)

        def on_repair(position: int, description: str) -> None:
            self.file.repair(self.lines[position], description, f"tags in {form.scheme}")

        try:
            labels = to_iob2(self.tags, form.scheme, types=form.types, on_repair=on_repair)
        except LabelError as error:
            number = self.lines[error.position]
            raise self.file.error(number, error.found, f"{error.expected}{self._header_step(number)}") from error
        dropped = {label: f"{label[:2]}{new}" if new != "O" else "O" for label in labels if (new := form.retyped.get(label[2:]))}
        return tuple(dropped.get(label, label) for label in labels)


def first_row(path: Path, header: int = 0) -> str:
    """The first row of a column file, after its header, that is neither blank nor a `-DOCSTART-`; empty if there is none."""
    rows = (line for number, line in read_lines(path) if number > header)
    return next((line for line in rows if not is_blank(line) and not line.startswith(DOCSTART)), "")
