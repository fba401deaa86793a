"""A guess at the layout of a labelled file, for reports only: reading always uses a declared layout."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

from polyhead.core.errors import DataFormatError
from polyhead.data.column_format import ColumnFormat, place, settled, split_row
from polyhead.data.columns import DOCSTART
from polyhead.data.guess_records import guess_records
from polyhead.data.guess_tags import BROKEN_TAGS, are_bare, are_spans, are_upos, guess_scheme, is_header, is_span_tag, is_upos
from polyhead.data.guess_texts import guess_texts
from polyhead.data.layouts import LAYOUTS, read_layout
from polyhead.data.record_format import RecordFormat
from polyhead.data.records import CONTAINERS
from polyhead.data.schemes import Scheme
from polyhead.data.textfile import TextFile, data_error, find_file, is_blank, read_lines, shown

_LINES = 20_000
_START = 1000  # characters of a JSON list that say what it holds
_ID = re.compile(r"\d+([-.]\d+)?")
_NO_COMMAS = (
    "TABs or spaces between columns of words, since commas are also words; save the table as text separated by TABs; or, if a "
    "row is a whole text, name its columns with --columns csv:text=NAME,label=NAME"
)
_EXPECTED = "CoNLL-U, or a column of tags such as B-PER or NOUN; declare the layout with --columns and --task"


@dataclass(frozen=True)
class Look:
    """The guess.

    Attributes:
        format: In words.
        task: `pos`; for spans `ner`, or `slots` where the format is one of slots; for sentences `nli` or `classification`.
        columns: Value for `--columns`; None for CoNLL-U.
        scheme: Value for `--scheme`; None where none is needed.
    """

    format: str
    task: str
    columns: str | None = None
    scheme: Scheme | None = None


def look(path: Path, columns: ColumnFormat | RecordFormat | None = None) -> Look:
    """The layout of the file, guessed from its first 20,000 lines.

    Args:
        path: The file.
        columns: Declared columns or records without a scheme; only task and scheme are guessed then.

    Raises:
        DataFormatError: The file cannot be read as text, is empty, or looks like no known format.
    """
    path = find_file(path) or path
    if columns is not None:
        return _tags(path, columns)
    container = next((name for name, row in CONTAINERS.items() if path.exists() and row.recognises(path)), None)
    if container not in (None, "jsonl"):
        if (texts := guess_texts(path)) is not None:
            return Look(*texts)
        return Look(*guess_records(path, str(container)))
    lines = [line for _, line in islice(read_lines(path), _LINES)]
    full = [line for line in lines if not is_blank(line)]
    if not full:
        raise data_error(path, 1, "no text", "labelled sentences")
    first = full[0].strip()
    start = " ".join(full[:9])[:_START].strip() if first.startswith("[") else first
    named = next((row for row in LAYOUTS.values() if row.recognises(start)), None)
    if named is not None:
        return Look(named.summary, named.task, named.name)
    if (texts := guess_texts(path)) is not None:
        return Look(*texts)
    if container is not None:
        return Look(*guess_records(path, container))
    if re.match(r"\[\s*\{", start):
        expected = "JSON Lines, an object on each line; turn the list into lines with jq -c '.[]'"
        raise data_error(path, 1, f"a JSON list of an unknown kind: {shown(start)}", expected)
    rows = [line.split("\t") for line in full if not line.startswith("#")]
    if rows and all(len(row) == 10 and _ID.fullmatch(row[0]) for row in rows[:50]):
        return Look("CoNLL-U", "pos")
    return _columns(path, lines)


def _tags(path: Path, columns: ColumnFormat | RecordFormat) -> Look:
    """Task and scheme that the tags in the declared column show."""
    unread = replace(columns, scheme=None, types=None)
    sentences = list(islice(read_layout(TextFile(path, ""), unread), _LINES))
    tags = [[label or "_" for label in sentence.labels] for sentence in sentences]
    flat = [tag for sentence in tags for tag in sentence]
    if are_spans(flat):
        return Look("as declared", "ner", scheme=guess_scheme(tags))
    if are_upos(flat):
        return Look("as declared", "pos")
    if are_bare(flat):
        return Look("as declared", "ner", scheme="bare")
    pairs = [(one, tag) for one, row in zip(sentences, tags, strict=True) for tag in row]
    misfit = next(((one, tag) for one, tag in pairs if not is_upos(tag) and not is_span_tag(tag)), None)
    if misfit is None:
        raise data_error(path, 0, f"no tag but {', '.join(sorted(set(flat))[:6])} in the column of the tags", _EXPECTED)
    sentence, tag = misfit
    where = sentence.source.rpartition(":")[2]
    is_first = sentence is sentences[0] and tag == sentence.labels[0] and isinstance(columns, ColumnFormat)
    step = f"; if this row is a header, add header={where} to --columns" if is_first else ""
    raise data_error(
        path, where, f"tag {shown(tag)} in the column of the tags, in the sentence that begins here", f"{_EXPECTED}{step}"
    )


def _columns(path: Path, lines: Sequence[str]) -> Look:
    """The layout of columns; with a header where the first row names columns, or alone does not fit."""
    at = next((i for i, line in enumerate(lines) if not is_blank(line) and not line.startswith(("#", DOCSTART))), 0)
    header = split_row(lines[at], settled(ColumnFormat(), lines[at]))
    failure = None
    try:
        found, tag = _rows(path, lines)
    except DataFormatError as error:
        failure = error
    else:
        if len(header) <= tag or not is_header(header, header[tag], bare=found.scheme == "bare"):
            return found
    try:
        found, tag = _rows(path, lines, skipped=at + 1)
    except DataFormatError as error:
        raise failure or error from None
    cell = header[tag] if tag < len(header) else ""
    fits = is_span_tag(cell) or is_upos(cell)
    if failure is not None and (fits or (found.scheme == "bare" and not is_header(header, cell, bare=True))):
        raise failure
    said = f"{found.format}; row {at + 1}, {shown(lines[at])}, looks like a header"
    return replace(found, format=said, columns=f"{found.columns},header={at + 1}")


def _rows(path: Path, lines: Sequence[str], *, skipped: int = 0) -> tuple[Look, int]:
    """The layout and the place of its tags, of all lines but the first `skipped`."""
    lines = [*[""] * skipped, *lines[skipped:]]
    at = next((i for i, line in enumerate(lines) if not is_blank(line) and not line.startswith(("#", DOCSTART))), 0)
    default = settled(ColumnFormat(), lines[at])
    split = [split_row(line, default) for line in lines]
    has_index = _counts_up([row for row, line in zip(split, lines, strict=True) if not line.startswith("#")])
    hashes = [row for row, line in zip(split, lines, strict=True) if line.startswith("#")]
    comments = bool(hashes) and (has_index or (default.separator == "tab" and all(len(row) == 1 for row in hashes)))
    left_out = ("#", DOCSTART) if comments else (DOCSTART,)
    places = [i for i, line in enumerate(lines) if not is_blank(line) and not line.startswith(left_out)]
    counts = sorted(n for n, times in Counter(len(split[i]) for i in places).items() if times > BROKEN_TAGS * len(places) / 2)
    if not counts:
        raise data_error(path, at + 1, f"no labels found in {shown(lines[at])}", _EXPECTED)
    width = counts[0]
    places = [i for i in places if len(split[i]) >= width]
    # neither an index nor the only column of a file can hold words
    candidates = [c for c in range(1 if has_index else 0, width) if width > 1]
    tags = {c: [split[i][c] for i in places] for c in candidates}
    spans = [c for c in candidates if are_spans(tags[c])]
    found = spans or [c for c in candidates if are_upos(tags[c]) and set(tags[c]) != {"_"}]
    bare = [] if found else [c for c in candidates if are_bare(tags[c])]
    found = found or bare
    if not found:
        raise _no_labels(path, lines, places, split, candidates)
    # prefer the default (word first, tag last), else the first column of tags
    last = width - 1 if default.tag == -1 else place(default.tag or 0)
    tag = last if last in found and not has_index else found[0]
    token = next((c for c in candidates if c not in found and not are_upos(tags[c])), tag)
    if token == tag:
        found_row = f"no column of words beside the tags in {shown(lines[at])}"
        raise data_error(path, at + 1, found_row, "a word and a tag in every row")
    items = [f"token={token + 1}", f"tag={tag + 1}"]
    items += ["index=1"] if has_index else []
    items += ["comments=hash"] if comments else []
    items += [f"columns={'/'.join(map(str, counts))}"] if len(counts) > 1 else []
    others = [str(c + 1) for c in found if c != tag]
    kind = f"columns separated by {'TAB' if default.separator == 'tab' else 'spaces'}"
    kind += f"; tags in column {tag + 1}, others in column {', '.join(others)}" if others else ""
    columns = f"{default.separator}:{','.join(items)}"
    if not spans:
        return (Look(kind, "ner", columns, "bare") if bare else Look(kind, "pos", columns)), tag
    # rows without a word end a sentence too, which does no harm here
    sentences = [[row[tag] for row in rows] for is_full, rows in groupby(split, lambda row: len(row) >= width) if is_full]
    return Look(kind, "ner", columns, guess_scheme(sentences)), tag


def _no_labels(
    path: Path, lines: Sequence[str], places: Sequence[int], split: Sequence[Sequence[str]], candidates: Sequence[int]
) -> DataFormatError:
    """The error for rows without a tag column: names the first misfit in the column that fits best."""
    misfits = {c: [i for i in places if not is_span_tag(split[i][c]) and not is_upos(split[i][c])] for c in candidates}
    best = min(candidates, key=lambda c: len(misfits[c]), default=None)
    if best is None or not 0 < 2 * len(misfits[best]) < len(places):
        at = next((i for i in places if not lines[i].startswith("#")), places[0])
        rows = [lines[i] for i in places]
        if not candidates and all(row.count(",") == lines[at].count(",") > 0 or '"' in row for row in rows):
            return data_error(path, at + 1, f"columns separated by commas in {shown(lines[at])}", _NO_COMMAS)
        return data_error(path, at + 1, f"no labels found in {shown(lines[at])}", _EXPECTED)
    at, fit = misfits[best][0], len(places) - len(misfits[best])
    found = f"tag {shown(split[at][best])} in column {best + 1} of {shown(lines[at])}"
    return data_error(
        path, at + 1, found, f"O, or a type after B-, I-, E- or S-, as {fit} of {len(places)} rows have; change the tags"
    )


def _counts_up(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column counts words in every sentence, from 0 or 1."""
    sentences = [list(group) for is_full, group in groupby(rows, lambda row: bool(row and row[0].strip(" "))) if is_full]
    found = [[row[0] if len(row) > 1 else "" for row in sentence] for sentence in sentences]
    return bool(found) and all(first in ([str(n + start) for n in range(len(first))] for start in (0, 1)) for first in found)
