"""`polyhead data check`: a report on labelled text before anything is trained on it."""

from dataclasses import asdict, replace
from pathlib import Path

from polyhead.cli.console import Console, wrapped
from polyhead.cli.data_check_text import Opened, report
from polyhead.cli.data_commands import FAMILIES, is_there
from polyhead.cli.data_requests import DataCheckRequest
from polyhead.cli.exit_codes import CHECK_FAILED, DONE
from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.arrow_tables import saved_splits
from polyhead.data.conllu import conllu_faults
from polyhead.data.corpora import corpus, is_conllu, open_corpus, open_file
from polyhead.data.corpus_table import SPLITS
from polyhead.data.download_urls import how_to_get
from polyhead.data.guess_layout import Look, look
from polyhead.data.guess_texts import guess_texts
from polyhead.data.layouts import NamedLayout, declared_layout, parse_layout
from polyhead.data.references import DataReference
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import task as find_task
from polyhead.data.text_format import TextFormat, declares_texts, parse_texts
from polyhead.data.textfile import data_error, find_file
from polyhead.data.texts import with_container
from polyhead.doctor.data_check import overlaps, split_facts
from polyhead.learning.encoding import model_limit
from polyhead.models.loading import load_config, load_tokenizer


def data_check(request: DataCheckRequest, console: Console) -> int:
    """Read every split there is, count, compare, print; 1 under --strict if something was repaired or splits share a sentence."""
    tokenizer = None if request.tokenizer is None else load_tokenizer(request.tokenizer)
    opened = _corpus(request) if _is_corpus(request.reference) else _files(request)
    kind = find_task(opened.look.task).kind
    limit = None if request.tokenizer is None else model_limit(load_config(request.tokenizer, kind=kind))
    longest = min(request.max_length, limit or request.max_length)
    facts = [split_facts(data, max_length=longest, tokenizer=tokenizer) for data in opened.splits]
    shared = list(overlaps(opened.splits))
    n_repairs = sum(sum(found.repairs.values()) for found in facts)
    needs_work = bool(n_repairs or any(overlap.shared for overlap in shared))
    document = {
        "schema": 1,
        "data": request.reference,
        "format": asdict(opened.look) | {"declared": opened.is_declared},
        "max_length": request.max_length,
        "tokenizer": request.tokenizer,
        "splits": [asdict(found) for found in facts],
        "absent": opened.absent,
        "overlaps": [asdict(overlap) for overlap in shared],
        "needs_work": needs_work,
    }
    console.result(document, wrapped(report(request, opened, facts, shared)))
    return CHECK_FAILED if request.strict and needs_work else DONE


def _is_corpus(reference: str) -> bool:
    family, slash, _ = reference.partition("/")
    return bool(slash) and "=" not in reference and find_file(Path(reference)) is None and family in FAMILIES


def _corpus(request: DataCheckRequest) -> Opened:
    """The splits in the data folder, or all splits of a corpus made in memory."""
    if request.columns or request.scheme:
        raise SettingError(f"{request.reference}: a corpus declares its own layout; leave --columns and --scheme out")
    reference = DataReference.parse(request.reference)
    row = corpus(reference.name)
    if request.task is not None and request.task.name != row.task:
        raise SettingError(f"--task {request.task.name}: corpus {reference.name} is labelled for {row.task}; leave it out")
    splits: list[Dataset] = []
    absent: list[str] = []
    for split in (split for split in SPLITS if split in row.splits):
        if row.made or request.data is None or is_there(reference.name, split, request.data, words=reference.words):
            splits.append(open_corpus(reference.name, split, root=request.data, words=reference.words, merge=False))
        else:
            absent.append(split)
    if not splits and request.data is not None:
        get = how_to_get(reference.name, root=str(request.data))
        raise data_error(request.data, 0, f"no file of {reference.name}", f"at least one split; {get}")
    kind = "CoNLL-U" if row.layout is None else "as the table of corpora declares it"
    return Opened(Look("made in memory" if row.made else kind, row.task), True, splits, absent)


def _files(request: DataCheckRequest) -> Opened:
    """The user's own files, under the declared layout or under the one they look to have."""
    text = request.reference
    is_file = "=" not in text or find_file(Path(text)) is not None
    if is_file and not saved_splits(Path(text)):
        named = DataReference(text, "und", files={"train": Path(text)}, serves_all=True)
    else:
        named = DataReference.parse(f"und={text}" if is_file else text, "source")
    files = named.files or {}
    first = next(iter(files.values()))
    found, is_declared = _look(request, first)
    task = request.task or find_task(found.task)
    if task.kind != (kind := find_task(found.task).kind):
        held, step = ("span tags", "another") if kind == "span" else ("no span tags", "their")
        held = held if kind != "sentence" else "one label for each text"
        step = f"give --task {found.task}, or declare {step} column"
        raise SettingError(f"--task {task.name}: {first} has {held} ({found.format}); {step}")
    layout = None if found.columns is None else declared_layout(found.columns, scheme=found.scheme, kind=task.kind)
    splits = []
    for split, path in files.items():
        if layout is None and task.kind != "masked" and not is_conllu(path) and find_file(path) is not None:
            expected = "a name that ends in .conllu; every other file is read as columns"
            raise data_error(path, 0, "CoNLL-U under another name", expected)
        try:
            splits.append(open_file(path, task, split, language=named.name, columns=layout, words=named.words))
        except DataFormatError as error:
            faults = conllu_faults(path) if layout is None else {}
            counted = ", ".join(f"{n} x {what}" for what, n in faults.items())
            raise DataFormatError(f"{error}; in the whole file: {counted}") if counted else error from None
    return Opened(replace(found, task=task.name), is_declared, splits, [])


def _look_at_texts(request: DataCheckRequest, path: Path) -> Look:
    """The layout of a file of sentences: what the options declare, completed by the usual names."""
    layout = TextFormat() if request.columns is None else parse_texts(request.columns)
    if request.scheme is not None:
        raise SettingError(f"--scheme {request.scheme}: sentences have no spans; leave --scheme out")
    guessed = None if find_file(path) is None else guess_texts(find_file(path) or path)
    task = request.task.name if request.task is not None else "classification" if guessed is None else guessed[1]
    if request.columns is not None or guessed is None:
        container = (
            replace(layout, container=layout.container or "tsv") if find_file(path) is None else with_container(path, layout)
        )
        return Look("as declared" if request.columns else "named columns", task, container.spec)
    return Look(guessed[0], task, guessed[2])


def _look(request: DataCheckRequest, path: Path) -> tuple[Look, bool]:
    """What the options declare, completed by what the file shows; whether nothing had to be guessed."""
    is_text = request.columns is not None and declares_texts(request.columns)
    if is_text or (request.task is not None and request.task.kind == "sentence"):
        return _look_at_texts(request, path), request.columns is not None
    if request.task is not None and request.task.kind == "masked" and request.columns is None:
        kind = "CoNLL-U" if is_conllu(path) else "raw text, a sentence on each line"
        if request.scheme is not None:
            raise SettingError(f"--scheme {request.scheme}: raw text has no spans; leave --scheme out")
        return Look(kind, request.task.name), True
    if request.columns is not None:
        layout = parse_layout(request.columns, scheme=request.scheme)
        if isinstance(layout, NamedLayout):
            return Look("as declared", layout.task, layout.name), True
        if layout.scheme is not None:
            return Look("as declared", "ner", request.columns, layout.scheme), True
        found = replace(look(path, layout), columns=request.columns)
        return found, found.scheme is None
    treebank = Look("CoNLL-U", "pos")
    try:
        found = look(path)
    except DataFormatError:
        if request.scheme is not None or not is_conllu(path):
            raise
        found = treebank
    if found.task == "pos" and is_conllu(path):  # by its name every command reads it so, however many columns it has
        found = treebank
    if request.scheme is None:
        return found, False
    if found.scheme is None:
        raise SettingError(f"--scheme {request.scheme}: {path} has no column of span tags ({found.format}); leave the scheme out")
    return replace(found, scheme=request.scheme), False
