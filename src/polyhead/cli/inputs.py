"""What commands start from: the labelled text that they name, and the model opened as a tagger."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from polyhead.cli.console import Console, met
from polyhead.cli.requests import ExportRequest, OneTextRequest, TaggerRequest, TextRequest
from polyhead.cli.shrink_requests import ShrinkRequest
from polyhead.core.errors import SettingError
from polyhead.data.arrow_tables import looks_saved
from polyhead.data.conllu import Words
from polyhead.data.labels import LabelSet, label_set, unshared_labels
from polyhead.data.references import DataReader, DataReference
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.data.suspicions import suspicious_text
from polyhead.data.tasks import Task
from polyhead.learning.encoded import Encoded
from polyhead.learning.inference import Labelled
from polyhead.models.classifiers import classifier_labels
from polyhead.models.devices import free_threads
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_config
from polyhead.models.named_masks import head_masks
from polyhead.models.recorded_task import task_of
from polyhead.studies.tagger import Tagger

_LOG = logging.getLogger(__name__)
FEW = 100
"""Sentences; with fewer, a command warns that its figures rest on few."""


@dataclass(frozen=True, eq=False)
class LabelledSample:
    """Text and model.

    Attributes:
        data: The file or split, or a seeded sample of it.
        words: What counts as a word in it.
        tagger: The model, on the device of choice.
        encoded: The text as the model reads it.
        is_new: Whether its classifier is a new one, drawn by the seed.
        n_available: Sentences that the sample was drawn from.
    """

    data: Dataset
    words: Words
    tagger: Tagger
    encoded: Encoded
    is_new: bool
    n_available: int

    @property
    def labelled(self) -> Labelled:
        """The text with its gold labels."""
        return Labelled(self.encoded, self.tagger.reader.gold(self.data, self.encoded))

    @property
    def facts(self) -> dict[str, Any]:
        """What a document says of the text."""
        return {
            "name": self.data.name,
            "split": self.data.split,
            "sentences": len(self.data.sentences),
            "words": self.data.n_words,
            "unknown_labels": self.encoded.counts.unknown_labels,
            "truncated_words": self.encoded.counts.truncated_words,
        }


def labelled_sample(
    request: OneTextRequest, console: Console, *, needs_labels: bool, may_be_new: bool, unknown: str = "left out of the scores"
) -> LabelledSample:
    """The text read and the model opened; what a reader of the result should know of either is noted.

    Args:
        request: Names both.
        console: Takes the notes.
        needs_labels: Whether the command uses the labels.
        may_be_new: Whether a model without a classifier gets a new one.
        unknown: How words are treated whose label the model cannot predict.

    Raises:
        PolyheadError: The text or the model cannot be read, or the model is a classifier for something else.
    """
    reference = _one_reference(request)
    split = request.split if reference.files is None else "dev"
    task = task_for(request, console)
    every = reader(request, task).open(reference, split, labelled=needs_labels)
    data = sample(every, request.limit, seed=request.seed)
    note_reading(console, data)
    stored = classifier_labels(load_config(request.model, revision=request.revision), task.kind)
    is_new = may_be_new and stored is None and task.kind != "masked"
    labels, seed = (label_set(task, [data]), request.seed) if is_new else (None, None)
    tagger = opened(request, task, labels=labels, seed=seed)
    if said := unshared_labels(tagger.labels, data):
        step = f"use a model trained on these labels, or see polyhead data check {data.name}"
        what = "span" if task.unit == "word" else task.unit
        raise SettingError(f"{tagger.name}: {said}, so no {what} would count; {step}")
    if is_new and needs_labels:
        new = f"a new one (seed {request.seed}) is used, and scores of an encoder without fine-tuning say little"
        console.note(f"note: {request.model} has no classifier for {task.name}; {new}; see polyhead fit")
    console.note(other_words(tagger, reference.words))
    if masks := head_masks(tagger.model):
        console.note(f"note: read with all heads, of a model with masks for {', '.join(masks)}")
    found = LabelledSample(data, reference.words, tagger, tagger.encode(data), is_new, len(every.sentences))
    if needs_labels:
        console.repairs(data.name, met(found.facts, unit=task.unit, unknown=unknown))
    return found


def task_for(request: TaggerRequest | ExportRequest | ShrinkRequest, console: Console) -> Task:
    """The task that the command says, else the one that its model records, with a note.

    Raises:
        PolyheadError: See `task_of`.
    """
    choice = None if request.task else EncodingChoice.read(request.model, revision=request.revision)
    found = task_of(request.model, request.task, choice, revision=request.revision, option="--task")
    if request.task is None:
        console.note(f"note: task {found.name}, as recorded in {request.model}")
    return found


def reader(request: TextRequest | ExportRequest | ShrinkRequest, task: Task) -> DataReader:
    """What opens the command's data; span types that the model predicts are not merged.

    Args:
        request: Says where the data are and how files are written.
        task: What a label means.
    """
    labels = classifier_labels(load_config(request.model, revision=request.revision), task.kind) or ()
    return DataReader(
        task=task,
        root=request.data,
        scheme=request.files.scheme,
        columns=request.files.columns,
        strict=request.files.strict,
        kept=frozenset(label[2:] for label in labels if label[:2] in ("B-", "I-")),
    )


def opened(
    request: TaggerRequest | ShrinkRequest, task: Task, *, labels: LabelSet | None = None, seed: int | None = None
) -> Tagger:
    """The tagger that a command names, reading as the command says, with as many threads as it says.

    Raises:
        SettingError: See `set_threads`.
        CheckpointError: See `Tagger.load`.
    """
    set_threads(request.machine.threads)
    return Tagger.load(
        request.model,
        task=task,
        labels=labels,
        seed=seed,
        device=request.machine.device,
        revision=request.revision,
        anchor=request.reading.anchor,
        max_length=request.reading.max_length,
        precision=request.reading.precision or "auto",
    )


def note_reading(console: Console, *datasets: Dataset) -> None:
    """Say what reading changed, and what looks wrong in the text."""
    for data in datasets:
        name = data.name if len(datasets) == 1 else f"{data.name} {data.split}"
        console.repairs(name, data.notes)
        for what in suspicious_text(data):
            console.note(f"note: {name}: {what}")


def zero_everywhere(task: Task, scores: Sequence[float]) -> str:
    """A note where no span was found as it is labelled; else empty."""
    if task.kind != "span" or not scores or any(scores):
        return ""
    return "note: F1 is 0.00 everywhere: check the labels with polyhead data check, or train longer"


def other_words(tagger: Tagger, words: Words) -> str:
    """A note if the model was trained on words of another kind than these; empty if not, or if unknown."""
    if tagger.trained_words is None or tagger.trained_words == words:
        return ""
    kinds = {"surface": "surface tokens", "syntactic": "syntactic words"}
    return f"note: {tagger.name} was trained on {kinds[tagger.trained_words]}, these are {kinds[words]}; scores may suffer"


def _one_reference(request: OneTextRequest) -> DataReference:
    """What `--data` and `--corpus` name; nothing is opened."""
    data, corpus = request.data, request.corpus
    if corpus is not None:
        if "=" in corpus:
            raise SettingError(f"--corpus {corpus}: expected a corpus such as ud/en_ewt; name a file with --data FILE")
        return DataReference.parse(corpus)
    if data is None:
        raise SettingError("no text: give a labelled file with --data FILE, or a corpus with --corpus NAME (phrases/en)")
    language, equals, path = str(data).partition("=")
    if equals and language.isalpha() and not data.exists():
        raise SettingError(f"--data {data}: names the file alone here; give --data {path} --language {language}")
    if data.is_dir() and not looks_saved(data):
        raise SettingError(f"--data {data}: is a folder; name a labelled file, or add --corpus NAME to read one of its corpora")
    # a plain file serves as dev, the only role that it needs
    return DataReference(str(data), request.language, files={"dev": data}, serves_all=True)


def few_sentences(data: Dataset) -> str:
    """A note where scores or curves would rest on few sentences; else empty."""
    if (n := len(data.sentences)) >= FEW:
        return ""
    few = "1 sentence" if n == 1 else f"{n} sentences"
    return f"note: {few} only: with so few, scores and rankings depend on which sentences were chosen"


def set_threads(n: int | None, *, shared_by: int = 1) -> None:
    """Use `n` processor threads, or this process's part of them if several share; None takes those whose cores are free.

    Raises:
        SettingError: More than there are processors, which would make everything far slower.
    """
    if n is None:
        n = free_threads()
        if n < (usual := torch.get_num_threads()):
            _LOG.warning("other processes keep the CPU busy: computing with %d of %d threads; see --threads", n, usual)
    elif n > (there := os.cpu_count() or n):
        raise SettingError(f"--threads {n}: this machine has {there} processors; give at most {there}")
    torch.set_num_threads(max(1, n // shared_by))


def note_sources(sources: Sequence[DataReference], console: Console, *, holds_out: bool, tests_too: bool = False) -> None:
    """Note the sources without a dev split (a run holds out part of their training data) and test files that are not read."""
    for source in sources:
        test = None if tests_too else (source.files or {}).get("test")
        if holds_out and not source.has("dev"):
            console.note(f"note: {source.text}: no dev split, so a tenth of its training sentences is held out to choose k")
        if test is not None:
            console.note(f"note: {test} is not read; to score it, name it as a target")
