"""`polyhead predict`: fill in the tags of a text, or the labels of its sentences, and leave the rest unchanged."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import opened, task_for
from polyhead.cli.outputs import check_file, check_folder
from polyhead.cli.requests import PredictRequest
from polyhead.core.errors import DataFormatError, SettingError
from polyhead.core.files import write_bytes_atomic
from polyhead.core.heads import HeadMask
from polyhead.data.column_format import ColumnFormat, settled, split_row
from polyhead.data.columns import first_row
from polyhead.data.corpora import is_conllu
from polyhead.data.layouts import NamedLayout, parse_layout, read_layout
from polyhead.data.record_format import RecordFormat
from polyhead.data.records import CONTAINERS, rewrite_records
from polyhead.data.references import check_command, see_check
from polyhead.data.sentence_languages import column_languages, commented_languages
from polyhead.data.sentences import Sentence
from polyhead.data.tasks import Task
from polyhead.data.text_format import TextFormat, parse_texts
from polyhead.data.textfile import TextFile, read_bytes, read_lines
from polyhead.data.texts import with_container
from polyhead.data.write_tags import CONLLU, check_tags, filled, written
from polyhead.data.write_texts import rewrite_texts
from polyhead.models.named_masks import MaskNames, head_masks, with_all_heads


def predict(request: PredictRequest, console: Console) -> int:
    """Read, tag, write in the same format."""
    if request.out is not None and not (request.file != "-" and Path(request.file).is_dir()):
        check_file("--out", request.out, others=[] if request.file == "-" else [Path(request.file)])
    if request.file != "-":
        return _predict(request, Path(request.file), console)
    with tempfile.TemporaryDirectory() as folder:  # readers give line numbers by path, and the text is read twice
        spooled = Path(folder) / "stdin"
        spooled.write_bytes(sys.stdin.buffer.read())
        try:
            return _predict(request, spooled, console)
        except DataFormatError as error:
            said = str(error).removesuffix(f" see {check_command(spooled)}").removesuffix(";")  # which the user has no file for
            raise DataFormatError(said.replace(str(spooled), "stdin")) from None


def _predict(request: PredictRequest, path: Path, console: Console) -> int:
    task = task_for(request, console)
    if task.kind == "masked":
        raise SettingError(f"task {task.name}: scores heads on raw text (rank, curve), and has no labels to predict")
    if task.kind == "sentence":
        return _predict_texts(request, task, path, console)
    try:
        layout = _layout(request, task, path)
        file = TextFile(path, "und")
        sentences = list(read_layout(file, None if layout is CONLLU else layout, words="syntactic", labelled=False))
        if request.columns is None and isinstance(layout, ColumnFormat) and layout is not CONLLU:
            check_tags(file, layout)
    except DataFormatError as error:
        is_assumed = task.kind == "tag" and request.format == "auto" and request.columns is None
        is_assumed = is_assumed and path.exists() and not is_conllu(path)
        advice = "for a file of columns add --format columns; " if is_assumed else ""
        raise see_check(error, path, f"polyhead needs words: CoNLL-U, columns or records (--columns); {advice}") from None
    is_binary = isinstance(layout, RecordFormat) and CONTAINERS[layout.container].kind == "binary"
    if is_binary and request.out is None and not request.json and console.out.isatty():
        raise SettingError(f"{path}: a terminal cannot show this format; give --out FILE, --json, or pipe it to another program")
    tagger = opened(request, task)
    is_split = layout is CONLLU and tagger.trained_words == "surface"
    ids = (line.split("\t", 1)[0] for _, line in read_lines(path)) if is_split else ()
    if ranges := sum(name.partition("-")[2].isdecimal() for name in ids):
        console.note(f"note: {request.model} was trained on surface tokens; {ranges} multiword tokens are tagged word by word")
    names = mask_names(request, path, sentences, layout, head_masks(tagger.model), console)
    found = tagger.predict(sentences, mask_names=names, progress=console.progress)
    labels = [list(written(tags, layout)) for tags in found]
    console.progress.stop()
    if isinstance(layout, RecordFormat) and CONTAINERS[layout.container].kind == "folder":
        if request.out is not None:
            rewrite_records(file, layout, labels, request.out)
    elif not request.json or request.out is not None:
        if isinstance(layout, RecordFormat):
            with tempfile.TemporaryDirectory() as folder:
                rewrite_records(file, layout, labels, Path(folder) / "out")
                text = (Path(folder) / "out").read_bytes()
        else:
            text = filled(read_bytes(path), path, sentences, labels, layout)
        _leave(request, console, text)
    rows = [{"words": sentence.words, "labels": tags} for sentence, tags in zip(sentences, labels, strict=True)]
    return _told(request, task, console, rows, names)


def _predict_texts(request: PredictRequest, task: Task, path: Path, console: Console) -> int:
    """Label whole texts or pairs, and write the file with its column of labels filled in."""
    if request.format != "auto":
        raise SettingError(f"--format {request.format}: task {task.name} reads tsv, csv or jsonl; leave --format out")
    if request.scheme is not None:
        raise SettingError(f"--scheme {request.scheme}: sentences have no spans; leave --scheme out")
    file = TextFile(path, "und")
    layout = TextFormat() if request.columns is None else parse_texts(request.columns)
    layout = with_container(file.path, replace(layout, n_texts=task.n_texts))
    sentences = list(read_layout(file, layout, labelled=False))
    tagger = opened(request, task)
    names = mask_names(request, path, sentences, layout, head_masks(tagger.model), console)
    labels = [label for (label,) in tagger.predict(sentences, mask_names=names, progress=console.progress)]
    console.progress.stop()
    if not request.json or request.out is not None:
        with tempfile.TemporaryDirectory() as folder:
            rewrite_texts(file, layout, labels, Path(folder) / "out")
            text = (Path(folder) / "out").read_bytes()
        _leave(request, console, text)
    rows = [{"texts": sentence.texts, "label": label} for sentence, label in zip(sentences, labels, strict=True)]
    return _told(request, task, console, rows, names)


def _told(request: PredictRequest, task: Task, console: Console, rows: list[dict[str, Any]], names: MaskNames | None) -> int:
    """Print the sentences under `--json`, each with the mask that it was read under if the model has several."""
    if request.json:
        rows = rows if names is None else [{**row, "mask": name} for row, name in zip(rows, names, strict=True)]
        console.result({"schema": 1, "model": request.model, "task": task.name, "sentences": rows}, "")
    return DONE


def _leave(request: PredictRequest, console: Console, text: bytes) -> None:
    """Write the result to `--out` or stdout."""
    if request.out is not None:
        write_bytes_atomic(request.out, text)
    else:
        console.out.flush()
        console.out.buffer.write(text)
        console.out.buffer.flush()


def _layout(request: PredictRequest, task: Task, path: Path) -> ColumnFormat | RecordFormat:
    """As declared; else CoNLL-U for tags, and columns for spans: the last holds the tag, or a new one beside lone words."""
    if task.kind == "tag" and request.scheme is not None:
        raise SettingError(f"--scheme {request.scheme}: task {task.name} has no spans; leave the scheme out")
    if request.format == "conllu" and request.columns is not None:
        raise SettingError("--format conllu has its own columns; leave --columns out")
    if request.format == "conllu" or (request.format == "auto" and request.columns is None and task.kind == "tag"):
        if task.kind != "tag":
            raise SettingError(f"--format conllu: task {task.name} has no column in CoNLL-U; use --format columns")
        return CONLLU
    layout = parse_layout(request.columns or "auto:", scheme=request.scheme)
    if isinstance(layout, NamedLayout):
        known = f"columns, CoNLL-U and records ({', '.join(CONTAINERS)})"
        raise SettingError(f"--columns {request.columns}: tags can be written only into {known}; use one of them")
    if task.kind == "span" and layout.scheme is None:
        layout = replace(layout, scheme="iob2")
    if isinstance(layout, RecordFormat):
        if CONTAINERS[layout.container].kind == "folder":
            _check_folder(request, path)
        return layout
    first = first_row(path, layout.header)
    layout = settled(layout, first)
    n = len(split_row(first, layout))
    # the last column holds tags unless it holds words or languages
    if request.columns is None and (n == 1 or request.language_column in (-1, n)):
        layout = replace(layout, tag=None)
    return layout


def mask_names(
    request: PredictRequest,
    path: Path,
    sentences: Sequence[Sentence],
    layout: ColumnFormat | RecordFormat | TextFormat,
    masks: Mapping[str, HeadMask],
    console: Console,
) -> list[str | None] | None:
    """The mask of each sentence: by the text, else by `--language`; None for all heads, if nothing says it. Without masks, None.

    Raises:
        SettingError: The model has no mask to choose, or not the one of `--language`.
        DataFormatError: A sentence has no language, or one without a mask.
    """
    column = request.language_column
    if not masks:
        if column is None and request.language is None:
            return None
        option = f"--language {request.language}" if column is None else f"--language-column {column}"
        raise SettingError(f"{option}: {request.model} has no masks to choose from; leave it out, or see polyhead prune --mask")
    there = f"{request.model} has masks for {', '.join(masks)}"
    if request.language is not None and request.language not in masks:
        raise SettingError(f"--language {request.language}: no such mask; {there}")
    languages: list[str | None] = [None] * len(sentences)
    if layout is CONLLU:
        if column is not None:
            raise SettingError(f"--language-column {column}: CoNLL-U names a language in a comment (# lang = de); leave it out")
        languages = commented_languages(path, sentences)
    elif column is not None:
        if isinstance(layout, TextFormat):
            raise SettingError(
                f"--language-column {column}: is for files of words; predict each language's sentences with --language"
            )
        if not isinstance(layout, ColumnFormat) or column == 0:
            raise SettingError(f"--language-column {column}: expected a file of columns, and a column from 1, or -1 for the last")
        languages = column_languages(path, sentences, layout, column)
    if not any(languages) and request.language is None:
        console.note(f"note: {with_all_heads(masks)}; give --language CODE")
        return [None] * len(sentences)
    chosen: list[str | None] = []
    for sentence, language in zip(sentences, languages, strict=True):
        name = language or request.language
        if name is None:
            raise DataFormatError(
                f"{sentence.source}: a sentence without a language; {there}; give --language CODE for such sentences"
            )
        if name not in masks:
            raise DataFormatError(f"{sentence.source}: language {name!r} has no mask; {there}")
        chosen.append(name)
    return chosen


def _check_folder(request: PredictRequest, path: Path) -> None:
    """A folder is written only into a new one."""
    if request.out is None and not request.json:
        raise SettingError(f"{path}: a folder is tagged into another folder; give --out FOLDER")
    if request.out is not None:
        check_folder("--out", request.out, new=True)
