"""Reads column files (one word per row, blank lines between sentences) as `ColumnFormat` declares them; spans become IOB2."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from polyhead.core.values import counted
from polyhead.data.column_format import ColumnFormat, place, settled, split_row
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

    def take(self, number: int, line: str) -> None:
        form = self.format
        if form.comments and line[0] == "#" and self._is_comment(line):
            return
        if not self.words and line.split(None, 1)[0] == DOCSTART:
            return
        if line in form.skipped_rows:
            self.file.repair(number, f"row {line!r} left out: {form.skipped_rows[line]}", "a row with a word and a tag")
            return
        if form.separator == "auto":
            form = self.format = settled(form, line)
        fields = split_row(line, form)
        if not self.counts:
            if is_json_object(line):
                expected = "columns, a word and its tag on each line; convert the file (or is it --columns massive?)"
                raise self.file.error(number, f"JSON Lines: {shown(line)}", expected)
            self.counts = form.n_columns or (len(fields),)
            self._check_format(number, line)
        if form.trailing_separator and not fields[-1] and len(fields) - 1 in self.counts:
            self.file.repair(number, TRAILING, "a row without it")
            fields.pop()
        if len(fields) not in self.counts:
            wanted = " or ".join(map(str, self.counts))
            found = f"{counted(len(fields), 'column')} in {shown(line)}"
            raise self.file.error(number, found, f"{wanted}, separated by {form.separator}; or declare the columns")
        word = fields[place(form.token)]
        tag = None if form.tag is None else fields[place(form.tag)]
        if form.index is not None:
            self._check_index(number, fields[place(form.index)])
        if not word.strip(" "):
            if form.skip_wordless and tag == "O":
                self.file.repair(number, WORDLESS, "a word")
                return
            raise self.file.error(number, f"an empty word in {shown(line)}", f"a word in column {form.token}")
        self.words.append(word)
        self.lines.append(number)
        if tag is not None and tag in form.rewrites:
            self.file.repair(number, f"tag {tag} read as {form.rewrites[tag]}", "a tag of the scheme")
            tag = form.rewrites[tag]
        self.tags.append(tag or "")

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
                        raise self.file.error(number, f"tag {shown(tag)}", f"one of {' '.join(sorted(form.types))}, or _")
            return tuple(None if tag == "_" else tag for tag in self.tags)

        def on_repair(position: int, description: str) -> None:
            self.file.repair(self.lines[position], description, f"tags in {form.scheme}")

        try:
            labels = to_iob2(self.tags, form.scheme, types=form.types, on_repair=on_repair)
        except LabelError as error:
            raise self.file.error(self.lines[error.position], error.found, error.expected) from error
        dropped = {label: f"{label[:2]}{new}" if new != "O" else "O" for label in labels if (new := form.retyped.get(label[2:]))}
        return tuple(dropped.get(label, label) for label in labels)


def first_row(path: Path) -> str:
    """The first row of a column file that is neither blank nor a `-DOCSTART-`; empty if there is none."""
    return next((line for _, line in read_lines(path) if not is_blank(line) and not line.startswith(DOCSTART)), "")


def is_json_object(line: str) -> bool:
    """Whether a line is a JSON object, as every line of a JSON Lines file is."""
    try:
        return line.startswith('{"') and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
