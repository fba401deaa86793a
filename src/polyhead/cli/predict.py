"""`polyhead predict`: fill in the tags of a text and leave the rest unchanged."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polyhead.cli.console import Console
from polyhead.cli.inputs import opened, set_threads
from polyhead.cli.requests import PredictRequest
from polyhead.core.errors import DataFormatError, SettingError
from polyhead.core.files import write_text_atomic
from polyhead.data.column_format import ColumnFormat, settled, split_row
from polyhead.data.columns import first_row
from polyhead.data.corpora import is_conllu
from polyhead.data.layouts import parse_layout, read_layout
from polyhead.data.references import check_command
from polyhead.data.sentences import Sentence
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task
from polyhead.data.textfile import TextFile, read_lines
from polyhead.data.write_tags import CONLLU, filled, read_bytes, written

UNKNOWN_LANGUAGE = "und"


def predict(request: PredictRequest, console: Console) -> int:
    """Read, tag, write in the same format."""
    task = find_task(request.task)
    set_threads(request.machine.threads)
    if request.out is not None and not request.out.absolute().parent.is_dir():
        raise SettingError(f"--out {request.out}: folder {request.out.absolute().parent} does not exist; create it first")
    if request.out is not None and request.out.is_dir():
        raise SettingError(f"--out {request.out}: is a folder; give the name of a file in it")
    if request.out is not None and request.out.exists() and request.file != "-" and request.out.samefile(request.file):
        raise SettingError(f"--out {request.out}: is the input file and would be overwritten; name another file")
    if request.file != "-":
        return _predict(request, task, Path(request.file), console)
    with tempfile.TemporaryDirectory() as folder:  # readers give line numbers by path, and the text is read twice
        spooled = Path(folder) / "stdin"
        spooled.write_bytes(sys.stdin.buffer.read())
        try:
            return _predict(request, task, spooled, console)
        except DataFormatError as error:
            raise DataFormatError(str(error).replace(str(spooled), "stdin")) from None


def _predict(request: PredictRequest, task: Task, path: Path, console: Console) -> int:
    try:
        layout = _layout(request, task, path)
        file = TextFile(path, UNKNOWN_LANGUAGE)
        sentences = list(read_layout(file, None if layout is CONLLU else layout, words="syntactic", labelled=False))
    except DataFormatError as error:
        is_assumed = task.kind == "tag" and request.format == "auto" and request.columns is None
        or_columns = (
            "; for a file of columns add --format columns" if is_assumed and path.exists() and not is_conllu(path) else ""
        )
        raise DataFormatError(f"{error}{or_columns}; see {check_command(path)}") from None
    device, revision = request.machine.device, request.revision
    tagger = opened(request.model, request.reading, task=task, device=device, revision=revision)
    if layout is CONLLU and tagger.trained_words == "surface" and (ranges := _multiword_ranges(path)):
        console.note(
            f"note: {request.model} was trained on surface tokens; the {ranges} multiword tokens here are tagged word by word"
        )
    labels = [list(written(tags, layout)) for tags in tagger.predict(sentences, progress=console.progress)]
    console.progress.stop()
    if not request.json or request.out is not None:
        _write(filled(read_bytes(path), path, sentences, labels, layout), request.out, console)
    if request.json:
        console.result(_document(request, task, sentences, labels), "")
    return 0


def _layout(request: PredictRequest, task: Task, path: Path) -> ColumnFormat:
    """CoNLL-U for tags, unless columns are declared; in columns the last holds the tag, or a new one beside lone words."""
    if request.format == "conllu" and request.columns is not None:
        raise SettingError("--format conllu has its own columns; leave --columns out")
    if request.format == "conllu" or (request.format == "auto" and request.columns is None and task.kind == "tag"):
        if task.kind != "tag":
            raise SettingError(f"--format conllu: task {task.name} has no column in CoNLL-U; use --format columns")
        return CONLLU
    first = first_row(path)
    if request.columns is not None:
        layout = _columns(request.columns, request.scheme)
    else:
        layout = _columns("auto:", request.scheme)
        if len(split_row(first, settled(layout, first))) == 1:
            layout = replace(layout, tag=None)
    layout = settled(layout, first)
    return layout if task.kind == "tag" or layout.scheme else replace(layout, scheme="iob2")


def _columns(columns: str, scheme: str | None) -> ColumnFormat:
    layout = parse_layout(columns, scheme=scheme)
    if not isinstance(layout, ColumnFormat):
        raise SettingError(f"--columns {columns}: tags can be written only into columns and CoNLL-U; use one of them")
    return layout


def _multiword_ranges(path: Path) -> int:
    return sum(1 for _, line in read_lines(path) if line.split("\t", 1)[0].partition("-")[2].isdecimal())


def _write(text: bytes, out: Path | None, console: Console) -> None:
    if out is None:
        console.out.flush()
        console.out.buffer.write(text)
        console.out.buffer.flush()
        return
    write_text_atomic(out, text.decode("utf-8"))  # what the readers accept is UTF-8


def _document(
    request: PredictRequest, task: Task, sentences: Sequence[Sentence], labels: Sequence[Sequence[str]]
) -> dict[str, object]:
    rows = [{"words": s.words, "labels": tags} for s, tags in zip(sentences, labels, strict=True)]
    return {"schema": 1, "model": request.model, "task": task.name, "sentences": rows}
