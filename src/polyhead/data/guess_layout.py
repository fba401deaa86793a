"""A guess at the layout of a labelled file, for reports only: reading always uses a declared layout."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from polyhead.core.errors import DataFormatError
from polyhead.data.column_format import ColumnFormat, place, settled, split_row
from polyhead.data.columns import DOCSTART, is_json_object
from polyhead.data.layouts import LAYOUTS, read_layout
from polyhead.data.schemes import Scheme
from polyhead.data.tasks import UPOS
from polyhead.data.textfile import TextFile, data_error, find_file, is_blank, read_lines, shown

_LINES = 20_000
_is_span_tag = re.compile(r"O|[BIES]-.+").fullmatch
_is_upos = frozenset({*UPOS, "_"}).__contains__
_ID = re.compile(r"\d+([-.]\d+)?")
# Share of broken tags up to which a column still counts as the tag column.
_BROKEN_TAGS = 0.02
_EXPECTED = "CoNLL-U, or a column of tags such as B-PER or NOUN; declare the layout with --columns and --task"


@dataclass(frozen=True)
class Look:
    """The guess.

    Attributes:
        format: In words.
        task: `pos`; for spans `ner`, or `slots` where the format is one of slots.
        columns: Value for `--columns`; None for CoNLL-U.
        scheme: Value for `--scheme`; None where none is needed.
    """

    format: str
    task: str
    columns: str | None = None
    scheme: Scheme | None = None


def look(path: Path, columns: ColumnFormat | None = None) -> Look:
    """The layout of the file, guessed from its first 20,000 lines.

    Args:
        path: The file.
        columns: Declared columns without a scheme; only task and scheme are guessed then.

    Raises:
        DataFormatError: The file cannot be read as text, is empty, or looks like no known format.
    """
    path = find_file(path) or path
    if columns is not None:
        return _tags(path, columns)
    lines = [line for _, line in islice(read_lines(path), _LINES)]
    full = [line for line in lines if not is_blank(line)]
    if not full:
        raise data_error(path, 1, "no text", "labelled sentences")
    first = full[0].strip()
    named = next((row for row in LAYOUTS.values() if row.recognises(first)), None)
    if named is not None:
        return Look(named.summary, named.task, named.name)
    if is_json_object(full[0]):
        expected = "columns, a word and its tag on each line, or one of the layouts by name (docs: Corpora); convert the file"
        raise data_error(path, 1, f"JSON Lines of an unknown kind: {shown(full[0])}", expected)
    rows = [line.split("\t") for line in full if not line.startswith("#")]
    if rows and all(len(row) == 10 and _ID.fullmatch(row[0]) for row in rows[:50]):
        return Look("CoNLL-U", "pos")
    return _columns(path, lines)


def _tags(path: Path, columns: ColumnFormat) -> Look:
    """Task and scheme that the tags in the declared column show."""
    sentences = list(islice(read_layout(TextFile(path, ""), columns, labelled=False), _LINES))
    tags = [[label or "_" for label in sentence.labels] for sentence in sentences]
    flat = [tag for sentence in tags for tag in sentence]
    if _are_spans(flat):
        return Look("as declared", "ner", scheme=_scheme(tags))
    if _mostly(flat, _is_upos):
        return Look("as declared", "pos")
    misfit = next((tag for tag in flat if not _is_upos(tag) and not _is_span_tag(tag)), flat[0])
    raise data_error(path, 0, f"tag {shown(misfit)} in the column of the tags", _EXPECTED)


def _columns(path: Path, lines: Sequence[str]) -> Look:
    at = next((i for i, line in enumerate(lines) if not is_blank(line) and not line.startswith(("#", DOCSTART))), 0)
    default = settled(ColumnFormat(), lines[at])
    cut = [split_row(line, default) for line in lines]
    has_index = _counts_up([row for row, line in zip(cut, lines, strict=True) if not line.startswith("#")])
    hashes = [row for row, line in zip(cut, lines, strict=True) if line.startswith("#")]
    comments = bool(hashes) and (has_index or (default.separator == "tab" and all(len(row) == 1 for row in hashes)))
    left_out = ("#", DOCSTART) if comments else (DOCSTART,)
    places = [i for i, line in enumerate(lines) if not is_blank(line) and not line.startswith(left_out)]
    counts = sorted(n for n, times in Counter(len(cut[i]) for i in places).items() if times > _BROKEN_TAGS * len(places) / 2)
    width = counts[0]
    places = [i for i in places if len(cut[i]) >= width]
    # neither an index nor the only column of a file can hold words
    candidates = [c for c in range(1 if has_index else 0, width) if width > 1]
    tags = {c: [cut[i][c] for i in places] for c in candidates}
    spans = [c for c in candidates if _are_spans(tags[c])]
    found = spans or [c for c in candidates if _mostly(tags[c], _is_upos) and set(tags[c]) != {"_"}]
    if not found:
        raise _no_labels(path, lines, places, cut, candidates)
    # prefer the default (word first, tag last), else the first column of tags
    last = width - 1 if default.tag == -1 else place(default.tag or 0)
    tag = last if last in found and not has_index else found[0]
    token = next((c for c in candidates if not _are_spans(tags[c]) and not _mostly(tags[c], _is_upos)), tag)
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
        return Look(kind, "pos", columns)
    # rows without a word end a sentence too, which does no harm here
    sentences = [[row[tag] for row in rows] for is_full, rows in groupby(cut, lambda row: len(row) >= width) if is_full]
    return Look(kind, "ner", columns, _scheme(sentences))


def _no_labels(
    path: Path, lines: Sequence[str], places: Sequence[int], cut: Sequence[Sequence[str]], candidates: Sequence[int]
) -> DataFormatError:
    """The error for rows without a tag column: names the first misfit in the column that fits best."""
    misfits = {c: [i for i in places if not _is_span_tag(cut[i][c]) and cut[i][c] not in UPOS] for c in candidates}
    best = min(candidates, key=lambda c: len(misfits[c]), default=None)
    if best is None or not 0 < 2 * len(misfits[best]) < len(places):
        at = next((i for i in places if not lines[i].startswith("#")), places[0])
        return data_error(path, at + 1, f"no labels found in {shown(lines[at])}", _EXPECTED)
    at, fit = misfits[best][0], len(places) - len(misfits[best])
    found = f"tag {shown(cut[at][best])} in column {best + 1} of {shown(lines[at])}"
    step = "delete the row if it is a header" if misfits[best] == places[:1] else "change the tags"
    return data_error(path, at + 1, found, f"O, or a type after B-, I-, E- or S-, as {fit} of {len(places)} rows have; {step}")


def _mostly(tags: Sequence[str], is_tag: Callable[[str], object]) -> bool:
    known = {tag: is_tag(tag) for tag in set(tags)}
    return sum(not known[tag] for tag in tags) <= _BROKEN_TAGS * len(tags)


def _are_spans(tags: Sequence[str]) -> bool:
    return _mostly(tags, _is_span_tag) and set(tags) != {"O"}


def _counts_up(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column counts words in every sentence, from 0 or 1."""
    sentences = [list(group) for is_full, group in groupby(rows, lambda row: bool(row and row[0].strip(" "))) if is_full]
    found = [[row[0] if len(row) > 1 else "" for row in sentence] for sentence in sentences]
    return bool(found) and all(first in ([str(n + start) for n in range(len(first))] for start in (0, 1)) for first in found)


def _scheme(sentences: Sequence[Sequence[str]]) -> Scheme:
    """The scheme of these tags, as far as they show it."""
    prefixes = {tag[0] for sentence in sentences for tag in sentence if tag[1:2] == "-"}
    if prefixes & {"E", "S"}:
        return "bioes"
    if "B" not in prefixes:
        return "io"
    # in IOB1 a B- occurs only right after a span of its own type
    for sentence in sentences:
        for before, tag in zip(["O", *sentence], sentence, strict=False):
            if tag[0] == "B" and before[2:] != tag[2:]:
                return "iob2"
    return "iob1"
