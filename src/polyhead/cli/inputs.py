"""What scoring starts from: the labelled text that a command names, and the model opened as a tagger for it."""

import logging
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
from polyhead.data.corpus_table import Split
from polyhead.data.labels import LabelSet, label_set, unshared_labels
from polyhead.data.references import DataReader, DataReference
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.data.suspicions import suspicious_text
from polyhead.data.tasks import Task
from polyhead.models.devices import free_threads
from polyhead.models.loading import classifier_labels, load_config
from polyhead.studies.tagger import Tagger

_LOG = logging.getLogger(__name__)


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
    reader = request.files.reader(task, request.data, kept=predicted_types(request.model, request.revision))
    data = one_dataset(reader, reference, request.split, labelled=needs_labels, limit=request.limit, seed=request.seed)
    note_reading(console, data)
    tagger, is_new = _tagger(request, task, data)
    check_shared(tagger, data)
    if is_new and needs_labels:
        console.note(
            f"note: {request.model} has no classifier for {task.name}; a new one (seed {request.seed}) is used, and scores of an "
            "encoder without fine-tuning say little; see polyhead fit"
        )
    if note := other_words(tagger, reference.words):
        console.note(note)
    return LabelledSample(data, reference.words, tagger, is_new)


def _tagger(request: RankRequest | DoctorRequest, task: Task, data: Dataset) -> tuple[Tagger, bool]:
    """The checkpoint's own classifier, or a new one where it has none; a classifier for something else is an error."""
    is_new = classifier_labels(load_config(request.model, revision=request.revision)) is None
    labels, seed = (label_set(task, [data]), request.seed) if is_new else (None, None)
    device, revision = request.machine.device, request.revision
    tagger = opened(request.model, request.reading, task=task, labels=labels, seed=seed, device=device, revision=revision)
    return tagger, is_new


def note_reading(console: Console, *datasets: Dataset) -> None:
    """Say what reading changed, and what looks wrong in the text."""
    for data in datasets:
        name = data.name if len(datasets) == 1 else f"{data.name} {data.split}"
        console.repairs(name, data.notes)
        for what in suspicious_text(data):
            console.note(f"note: {name}: {what}")


def zero_everywhere(task: Task, scores: Sequence[float]) -> str:
    """A note where no span was found as it is labelled; else empty."""
    if task.kind == "tag" or not scores or any(scores):
        return ""
    return "note: F1 is 0.00 everywhere: check the labels with polyhead data check, or train longer"


def check_shared(tagger: Tagger, data: Dataset) -> None:
    """Refuse text whose labels the model cannot predict, O apart: no span would count.

    Raises:
        SettingError: Text and model share no label.
    """
    if said := unshared_labels(tagger.labels, data):
        raise SettingError(
            f"{tagger.name}: {said}, so no span would count; use a model trained on these labels, or see polyhead data check "
            f"{data.name}"
        )


def predicted_types(name: str, revision: str | None) -> frozenset[str]:
    """Span types that a checkpoint's classifier predicts; none where it has no classifier."""
    labels = classifier_labels(load_config(name, revision=revision)) or ()
    return frozenset(label[2:] for label in labels if label[:2] in ("B-", "I-"))


def opened(
    name: str,
    reading: Reading,
    *,
    task: Task,
    device: str,
    revision: str | None,
    labels: LabelSet | None = None,
    seed: int | None = None,
) -> Tagger:
    """The tagger that a command names, reading as the command says.

    Raises:
        CheckpointError: See `Tagger.load`.
    """
    return Tagger.load(
        name,
        task=task,
        labels=labels,
        seed=seed,
        device=device,
        revision=revision,
        anchor=reading.anchor,
        max_length=reading.max_length,
        precision=reading.precision or "auto",
    )


def other_words(tagger: Tagger, words: Words) -> str:
    """A note if the model was trained on words of another kind than these; empty if not, or if unknown."""
    if tagger.trained_words is None or tagger.trained_words == words:
        return ""
    kinds = {"surface": "surface tokens", "syntactic": "syntactic words"}
    return f"note: {tagger.name} was trained on {kinds[tagger.trained_words]}, these are {kinds[words]}; scores may suffer"


def one_reference(data: Path | None, *, corpus: str | None, language: str) -> DataReference:
    """What `--data` and `--corpus` name; nothing is opened.

    Raises:
        SettingError: Neither is given, or a folder without `--corpus`, or a corpus's name that cannot be read.
    """
    if corpus is not None:
        return DataReference.parse(corpus)
    if data is None:
        raise SettingError(
            "no text: give a labelled file with --data FILE, or a corpus with --corpus NAME (phrases/en needs no --data)"
        )
    if data.is_dir():
        raise SettingError(f"--data {data}: is a folder; name a labelled file, or add --corpus NAME to read one of its corpora")
    # a plain file serves as dev, the only role that it needs
    return DataReference(str(data), language, files={"dev": data})


def check_new_folder(out: Path) -> None:
    """Refuse, before anything is computed, an `--out` that cannot become a new folder.

    Raises:
        SettingError: It holds something, or it or a folder above it is a file.
    """
    if out.is_dir() and any(out.iterdir()):
        raise SettingError(f"--out {out}: is not empty; name a new folder, or delete this one")
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise SettingError(f"--out {out}: {there} is a file; name a new folder")


FEW = 100
"""Below this number of sentences a command warns that its figures rest on few."""


def few_sentences(data: Dataset) -> str:
    """A note where scores or curves would rest on few sentences; else empty."""
    n = len(data.sentences)
    if n >= FEW:
        return ""
    return (
        f"note: {n} sentence{'' if n == 1 else 's'} only: with so few, scores and rankings depend on which sentences were chosen"
    )


def one_dataset(
    reader: DataReader, reference: DataReference, split: Split, *, labelled: bool, limit: int | None, seed: int
) -> Dataset:
    """The file, or that split of the corpus; a seeded sample of `limit` sentences where one is given."""
    data = reader.open(reference, split if reference.files is None else "dev", labelled=labelled)
    return data if limit is None else sample(data, limit, seed=seed)


def set_threads(n: int | None) -> None:
    """Use `n` processor threads; None takes those whose cores are free.

    Raises:
        SettingError: More than there are processors, which would make everything far slower.
    """
    if n is None:
        n = free_threads()
        if n < (usual := torch.get_num_threads()):
            _LOG.warning("other processes keep the CPU busy: computing with %d of %d threads; see --threads", n, usual)
    elif n > (there := os.cpu_count() or n):
        raise SettingError(f"--threads {n}: this machine has {there} processors; give at most {there}")
    torch.set_num_threads(n)


def note_held_out(sources: Sequence[str], console: Console) -> None:
    """Note the sources that bring no dev split of their own."""
    for text in sources:
        if not DataReference.parse(text, "source").has("dev"):
            console.note(
                f"note: {text}: no dev split, so a tenth of its training sentences is held out to rank heads and choose k"
            )


def note_unread_tests(sources: Sequence[str], console: Console) -> None:
    """Note the test files of sources: they are not read, since only targets are scored on test."""
    for text in sources:
        files = DataReference.parse(text, "source").files or {}
        if "test" in files:
            console.note(f"note: {files['test']} is not read; to score it, name it as a target")
