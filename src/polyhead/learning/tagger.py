"""A tagger, opened: model, tokenizer, labels by name, device, precision, and the encoding that fits it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polyhead.core.errors import CheckpointError
from polyhead.core.progress import Progress
from polyhead.core.specs import Anchor
from polyhead.data.conllu import Words
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import Task
from polyhead.learning.encoding import Encoded, encode, model_limit
from polyhead.learning.inference import Evaluation, Labelled, evaluate
from polyhead.models.devices import Precision, pick_device, pick_precision
from polyhead.models.encoding_choice import read_choice
from polyhead.models.loading import load_tagger, load_tokenizer


@dataclass(frozen=True, eq=False)
class Tagger:
    """What it takes to label sentences."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: LabelSet
    device: torch.device
    precision: Precision
    anchor: Anchor
    max_length: int
    trained_words: Words | None

    def encode(self, sentences: Sequence[Sentence]) -> Encoded:
        """The sentences as this model reads them; gold labels that it does not know are left out of losses, not of scores."""
        return encode(
            sentences,
            self.tokenizer,
            self.labels,
            max_length=self.max_length,
            model_limit=model_limit(self.model.config),
            anchor=self.anchor,
            unknown="ignore",
        )

    def evaluate(
        self, datasets: Sequence[Dataset], encoded: Sequence[Encoded], task: Task, progress: Progress
    ) -> list[Evaluation]:
        """How well each data set is labelled, all of them in one pass."""
        labelled = {
            str(i): Labelled(own, [sentence.labels for sentence in data.sentences])
            for i, (data, own) in enumerate(zip(datasets, encoded, strict=True))
        }
        found = evaluate(
            self.model,
            labelled,
            task,
            self.labels,
            device=self.device,
            precision=self.precision,
            progress=progress,
        )
        return [found[str(i)] for i in range(len(datasets))]

    def other_words(self, words: Words) -> str:
        """A note if the model was trained on words of another kind than these; empty if not, or if nobody knows."""
        if self.trained_words is None or self.trained_words == words:
            return ""
        kinds = {"surface": "surface tokens", "syntactic": "syntactic words"}
        return f"note: {self.name} was trained on {kinds[self.trained_words]}, these are {kinds[words]}; scores may suffer"


def open_tagger(
    name: str,
    *,
    task: Task,
    device: str = "auto",
    anchor: Anchor | None = None,
    max_length: int | None = None,
    precision: Literal["auto", "bf16", "fp32"] | None = None,
    revision: str | None = None,
) -> Tagger:
    """A fine-tuned tagger with the labels it was saved with, reading as it did in training unless told otherwise.

    Raises:
        CheckpointError: Nothing is there, it has no classifier, or its labels are not those of the task.
    """
    model = load_tagger(name, labels=None, revision=revision)
    labels = stored_labels(model)
    if not serves(labels, task):
        expected = f"some of {' '.join(task.labels)}" if task.labels else "O and B-TYPE, I-TYPE"
        shown = " ".join(labels.names[:8]) + (" ..." if labels.size > 8 else "")
        raise CheckpointError(f"{name}: predicts {shown}; task {task.name} needs {expected}; fine-tune it with polyhead fit")
    return _tagger(name, model, labels, device, anchor, max_length, precision, revision)


def new_tagger(
    name: str,
    *,
    labels: LabelSet,
    seed: int,
    device: str = "auto",
    anchor: Anchor | None = None,
    max_length: int | None = None,
    precision: Literal["auto", "bf16", "fp32"] | None = None,
    revision: str | None = None,
) -> Tagger:
    """An encoder with a classifier for `labels`: its own where it has these labels, else a new one drawn from the seed.

    Raises:
        CheckpointError: Nothing is there, or the encoder's weights are missing.
    """
    model = load_tagger(name, labels=labels, seed=seed, revision=revision)
    return _tagger(name, model, labels, device, anchor, max_length, precision, revision)


def _tagger(
    name: str,
    model: PreTrainedModel,
    labels: LabelSet,
    device: str,
    anchor: Anchor | None,
    max_length: int | None,
    precision: Literal["auto", "bf16", "fp32"] | None,
    revision: str | None,
) -> Tagger:
    where = pick_device(device)
    choice = read_choice(name, revision=revision)
    # a training in bf16 is followed where this machine has units for it
    recorded: Literal["auto", "fp32"] = "fp32" if choice is not None and choice.precision == "fp32" else "auto"
    return Tagger(
        name=name,
        model=model,
        tokenizer=load_tokenizer(name, revision=revision),
        labels=labels,
        device=where,
        precision=pick_precision(precision or recorded, where),
        anchor=anchor or (choice.anchor if choice else "text"),
        max_length=max_length or (choice.max_length if choice else 256),
        trained_words=choice.words if choice else None,
    )


def stored_labels(model: PreTrainedModel) -> LabelSet:
    """Labels of a model's classifier in the order of its outputs."""
    return LabelSet(tuple(str(model.config.id2label[i]) for i in range(model.config.num_labels)))


def serves(labels: LabelSet, task: Task) -> bool:
    """Whether a classifier with these labels does this task: tags among the task's own, or spans in IOB2."""
    if task.labels:
        return set(labels.names) <= set(task.labels)
    return all(name == "O" or (name[:2] in ("B-", "I-") and len(name) > 2) for name in labels.names) and "O" in labels
