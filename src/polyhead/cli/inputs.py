"""What scoring starts from: the labelled text that a command names, and the model opened as a tagger for it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from polyhead.cli.console import Console
from polyhead.cli.options import Reading
from polyhead.cli.requests import DoctorRequest, RankRequest
from polyhead.core.errors import SettingError
from polyhead.data.conllu import Words
from polyhead.data.labels import label_set
from polyhead.data.references import DataReader, DataReference, Split
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task
from polyhead.learning.tagger import Tagger, new_tagger, open_tagger
from polyhead.models.loading import classifier_labels, load_config


@dataclass(frozen=True, eq=False)
class LabelledSample:
    """Text and model.

    Attributes:
        data: The file or split, or a seeded sample of it.
        words: What counts as a word in it.
        tagger: The model, on the device of choice.
        is_new: Whether its classifier is a new one, drawn by the seed.
    """

    data: Dataset
    words: Words
    tagger: Tagger
    is_new: bool


def labelled_sample(request: RankRequest | DoctorRequest, task: Task, console: Console, *, needs_labels: bool) -> LabelledSample:
    """The text read and the model opened; what a reader of the result should know of either is noted.

    Raises:
        PolyheadError: The text or the model cannot be read, or the model is a classifier for something else.
    """
    set_threads(request.machine.threads)
    reference = one_reference(request.data, corpus=request.corpus, language=request.language)
    reader = request.files.reader(task, request.data)
    data = one_dataset(reader, reference, request.split, labelled=needs_labels, limit=request.limit, seed=request.seed)
    console.repairs(data.name, data.repairs)
    tagger, is_new = _tagger(request, task, data)
    if is_new and needs_labels:
        console.note(
            f"note: {request.model} has no classifier for {task.name}; a new one (seed {request.seed}) is used, and scores of an "
            "encoder that was not fine-tuned say little; see polyhead fit"
        )
    if note := tagger.other_words(reference.words):
        console.note(note)
    tagger.model.to(tagger.device)
    return LabelledSample(data, reference.words, tagger, is_new)


def _tagger(request: RankRequest | DoctorRequest, task: Task, data: Dataset) -> tuple[Tagger, bool]:
    """The checkpoint's own classifier, or a new one where it has none; a classifier for something else is an error."""
    is_new = classifier_labels(load_config(request.model, revision=request.revision)) is None
    device, revision = request.machine.device, request.revision
    if not is_new:
        return opened(request.model, request.reading, task=task, device=device, revision=revision), False
    labels = label_set(task, [data])
    tagger = new_tagger(
        request.model,
        labels=labels,
        seed=request.seed,
        device=device,
        revision=revision,
        anchor=request.reading.anchor,
        max_length=request.reading.max_length,
        precision=request.reading.precision,
    )
    return tagger, True


def opened(name: str, reading: Reading, *, task: Task, device: str, revision: str | None) -> Tagger:
    """The tagger that a command names, reading as the command says.

    Raises:
        CheckpointError: See `open_tagger`.
    """
    return open_tagger(
        name,
        task=task,
        device=device,
        revision=revision,
        anchor=reading.anchor,
        max_length=reading.max_length,
        precision=reading.precision,
    )


def one_reference(data: Path | None, *, corpus: str | None, language: str) -> DataReference:
    """What `--data` and `--corpus` name; nothing is opened.

    Raises:
        SettingError: Neither is given, or a folder without `--corpus`, or a corpus's name that cannot be read.
    """
    if corpus is not None:
        return DataReference.parse(corpus)
    if data is None:
        raise SettingError(
            "no text: give a labelled file by --data FILE, or a corpus by --corpus NAME (phrases/en needs no --data)"
        )
    if data.is_dir():
        raise SettingError(f"--data {data}: a folder; name a labelled file, or add --corpus NAME to read one of its corpora")
    # a plain file serves as dev, the only role that it needs
    return DataReference(str(data), language, files={"dev": data})


def check_new_folder(out: Path) -> None:
    """Refuse, before anything is computed, an `--out` that cannot become a new folder.

    Raises:
        SettingError: It holds something, or it or a folder above it is a file.
    """
    if out.is_dir() and any(out.iterdir()):
        raise SettingError(f"--out {out}: holds something already; name a new folder, or delete this one")
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise SettingError(f"--out {out}: {there} is a file; name a new folder")


FEW = 100
"""Below so many sentences a command says that its figures rest on few."""


def few_sentences(data: Dataset) -> str:
    """A note where scores or curves would rest on few sentences; else empty."""
    n = len(data.sentences)
    if n >= FEW:
        return ""
    return f"note: {n} sentence{'' if n == 1 else 's'} only: with so few, figures and orders depend on which sentences they are"


def one_dataset(
    reader: DataReader, reference: DataReference, split: Split, *, labelled: bool, limit: int | None, seed: int
) -> Dataset:
    """The file, or that split of the corpus; a seeded sample of `limit` sentences where one is given."""
    data = reader.open(reference, split if reference.files is None else "dev", labelled=labelled)
    return data if limit is None else sample(data, limit, seed=seed)


def set_threads(n: int | None) -> None:
    """Use `n` processor threads; None leaves torch's own choice.

    Raises:
        SettingError: More than there are processors, which would make everything far slower.
    """
    if n is None:
        return
    if n > (there := os.cpu_count() or n):
        raise SettingError(f"--threads {n}: this machine has {there} processors; give at most {there}")
    torch.set_num_threads(n)


def note_unread_tests(sources: Sequence[str], console: Console) -> None:
    """Say which files of the sources nobody reads: the test files, which only a target is scored on."""
    for text in sources:
        files = DataReference.parse(text, "source").files or {}
        if "test" in files:
            console.note(f"note: {files['test']} is not read; to score it, name it as a target")
