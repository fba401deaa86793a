"""Prediction and evaluation: one label per word, several languages in one length-sorted pass."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, Silent
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoding import Encoded, join
from polyhead.learning.metrics import score, sentence_counts
from polyhead.models.devices import PrecisionChoice, attention_kernel, autocast, check_dtype, placement
from polyhead.models.gates import gated


@dataclass(frozen=True)
class Labelled:
    """Evaluation data of one language.

    Attributes:
        encoded: Its sentences, encoded.
        gold: Their labels, one per word; None marks a word that is predicted but not scored.

    >>> import polyhead as ph
    >>> dev, tokenizer = ph.open_corpus("phrases/en", "dev"), ph.load_tokenizer("polyhead/tiny")
    >>> data = Labelled(ph.encode(dev.sentences, tokenizer, labels=None), [sentence.labels for sentence in dev.sentences])
    >>> data.encoded.n_sentences
    400
    """

    encoded: Encoded
    gold: Sequence[Sequence[str | None]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results on one language.

    Attributes:
        metrics: Metrics in 0..1, from `metrics.score`.
        counts: Counts for metrics over resampled sentences, int `[sentences, k]`, in file order.
        n_words: Words with a gold label.
        predicted: Predicted labels, one per word.
    """

    metrics: Mapping[str, float]
    counts: NDArray[np.int64]
    n_words: int
    predicted: Sequence[Sequence[str]]


def predict(
    model: PreTrainedModel,
    encoded: Encoded,
    *,
    labels: LabelSet,
    device: torch.device | str | None = None,
    precision: PrecisionChoice = "auto",
    mask: HeadMask | None = None,
    budget: int = 1024,
    progress: Progress | None = None,
) -> list[list[str]]:
    """One label for every word of every sentence, in the order of the sentences.

    One forward pass over length-sorted batches, in eval mode; the model is moved to `device` and otherwise unchanged.

    Args:
        model: A token classifier with as many outputs as `labels`.
        encoded: The sentences.
        labels: Labels of the outputs.
        device: Where to compute; default: the model's device.
        precision: Use that of training; `auto` chooses as `fit` does.
        mask: Heads not kept are gated to zero.
        budget: Padded positions per batch.
        progress: Updated after every batch.

    >>> import polyhead as ph
    >>> dev = ph.sample(ph.open_corpus("phrases/en", "dev"), 2, seed=1)
    >>> labels, tokenizer = ph.label_set(ph.task("pos"), [dev]), ph.load_tokenizer("polyhead/tiny")
    >>> model = ph.load_tagger("polyhead/tiny", labels=labels, seed=42)
    >>> tags = predict(model, ph.encode(dev.sentences, tokenizer, labels), labels=labels)
    >>> [len(own) for own in tags] == [len(sentence.words) for sentence in dev.sentences]
    True
    """
    where, chosen = placement(model, device=device, precision=precision)
    check_dtype(model, where, chosen)
    watch = progress or Silent()
    batches = scoring_batches(encoded, budget=budget)
    ids = no_labels(encoded.words_per_sentence)
    was_training = model.training
    model.to(where).eval()
    watch.start(len(batches), "predict")
    try:
        with torch.inference_mode(), gated(model, mask) if mask is not None else nullcontext(), autocast(where, chosen):
            for batch in batches:
                here = batch.to(where)
                with attention_kernel(where, here.input_ids.shape[1], chosen, work="predict"):
                    logits = model(input_ids=here.input_ids, attention_mask=here.attention_mask).logits
                place_labels(ids, batch, logits)
                watch.advance(1)
    finally:
        watch.stop()
        model.train(was_training)
    return [[labels.names[i] for i in sentence] for sentence in ids]


def evaluate(
    model: PreTrainedModel,
    datasets: Mapping[str, Labelled],
    task: Task,
    labels: LabelSet,
    *,
    device: torch.device | str | None = None,
    precision: PrecisionChoice = "auto",
    mask: HeadMask | None = None,
    budget: int = 1024,
    progress: Progress | None = None,
) -> dict[str, Evaluation]:
    """Results by name of the data set; all data sets share one length-sorted pass.

    Args:
        model: A token classifier with as many outputs as `labels`.
        datasets: Sentences and gold labels by name, usually a language.
        task: Defines the metrics.
        labels: Labels of the outputs.
        device: Where to compute; default: the model's device.
        precision: Use that of training; `auto` chooses as `fit` does.
        mask: Heads not kept are gated to zero.
        budget: Padded positions per batch.
        progress: Updated after every batch.

    >>> import polyhead as ph
    >>> dev, pos = ph.sample(ph.open_corpus("phrases/en", "dev"), 8, seed=1), ph.task("pos")
    >>> labels, tokenizer = ph.label_set(pos, [dev]), ph.load_tokenizer("polyhead/tiny")
    >>> data = Labelled(ph.encode(dev.sentences, tokenizer, labels), [sentence.labels for sentence in dev.sentences])
    >>> found = evaluate(ph.load_tagger("polyhead/tiny", labels=labels, seed=42), {"en": data}, pos, labels)
    >>> found["en"].n_words == dev.n_words, sorted(found["en"].metrics)
    (True, ['accuracy', 'chunk_f1', 'macro_f1'])
    """
    together = join([data.encoded for data in datasets.values()])
    predicted = predict(
        model, together, labels=labels, device=device, precision=precision, mask=mask, budget=budget, progress=progress
    )
    results: dict[str, Evaluation] = {}
    start = 0
    for name, data in datasets.items():
        own = predicted[start : start + data.encoded.n_sentences]
        start += data.encoded.n_sentences
        results[name] = Evaluation(
            metrics=score(task, data.gold, own),
            counts=sentence_counts(task, data.gold, own),
            n_words=sum(label is not None for sentence in data.gold for label in sentence),
            predicted=own,
        )
    return results


def no_labels(words_per_sentence: Sequence[int]) -> list[NDArray[np.int64]]:
    """One array `[words]` of −1 per sentence, for `place_labels` to fill."""
    return [np.full(n, -1, dtype=np.int64) for n in words_per_sentence]


def place_labels(ids: list[NDArray[np.int64]], batch: Batch, logits: Tensor) -> None:
    """Write the best label id of every word of the batch into `ids`, in place.

    Args:
        ids: From `no_labels`.
        batch: Preferably on the CPU, where the loop over its words runs.
        logits: `[rows, length, labels]`, on any device.
    """
    where = (batch.anchor_rows.to(logits.device), batch.anchor_columns.to(logits.device))
    best = logits[where].argmax(dim=-1).tolist()
    owners = batch.rows[batch.anchor_rows].tolist()
    for owner, word, label in zip(owners, batch.anchor_words.tolist(), best, strict=True):
        ids[batch.sentences[owner]][word] = label
