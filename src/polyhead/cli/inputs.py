"""What scoring starts from: the labelled text that a command names, and the model opened as a tagger for it."""

from dataclasses import dataclass

from polyhead.cli.console import Console
from polyhead.cli.doctor_request import DoctorRequest
from polyhead.cli.one_dataset import one_dataset, one_reference
from polyhead.cli.requests import RankRequest
from polyhead.cli.taggers import Tagger, new_tagger, open_tagger, set_threads
from polyhead.data.conllu import Words
from polyhead.data.labels import label_set
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task
from polyhead.models.saving import classifier_labels, load_config


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
        return open_tagger(request.model, task=task, device=device, reading=request.reading, revision=revision), False
    labels = label_set(task, [data])
    tagger = new_tagger(
        request.model, labels=labels, seed=request.seed, device=device, reading=request.reading, revision=revision
    )
    return tagger, True
