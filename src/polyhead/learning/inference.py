"""Prediction and evaluation: one label per word, several languages in one length-sorted pass."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.arguments import require
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, tracking
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoded import Encoded, join
from polyhead.learning.metrics import score, sentence_counts
from polyhead.learning.scoring_mode import restored
from polyhead.models.devices import PrecisionChoice, attention_kernel, autocast, check_dtype, placement
from polyhead.models.gates import gated
from polyhead.models.named_masks import MaskNames, check_names, gated_by_name


@dataclass(frozen=True)
class Labelled:
    """Evaluation data of one language.

    Attributes:
        encoded: Its sentences, encoded.
        gold: Their labels, one per word, in a sentence task one per sentence; None marks what is predicted but not scored.

    >>> import polyhead as ph
    >>> dev, tokenizer = ph.open_corpus("phrases/en", "dev"), ph.load_tokenizer("polyhead/tiny")
    >>> data = Labelled(ph.encode(dev.sentences, tokenizer, labels=None), [sentence.labels for sentence in dev.sentences])
    >>> data.encoded.n_sentences
    400
    """

    encoded: Encoded
    gold: Sequence[Sequence[str | None]]

    def part(self, sentences: Sequence[int]) -> "Labelled":
        """These sentences alone, in rising order; the encoding's counts stay those of all."""
        place = {sentence: i for i, sentence in enumerate(sentences)}
        encoded = replace(
            self.encoded,
            windows=tuple(replace(w, sentence=place[w.sentence]) for w in self.encoded.windows if w.sentence in place),
            words_per_sentence=tuple(self.encoded.words_per_sentence[sentence] for sentence in sentences),
        )
        return Labelled(encoded, [self.gold[sentence] for sentence in sentences])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results on one language.

    Attributes:
        metrics: Metrics in 0..1, from `metrics.score`.
        counts: Counts for metrics over resampled sentences, int `[sentences, k]`, in file order.
        n_words: Words with a gold label; in a sentence task, sentences.
        predicted: Predicted labels, one per word; in a sentence task one per sentence.
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
    mask_names: MaskNames | None = None,
    budget: int = 1024,
    progress: Progress | None = None,
) -> list[list[str]]:
    """One label for every word of every sentence, in a sentence task for the sentence, in the order of the sentences.

    One forward pass over length-sorted batches, in eval mode; the model is moved to `device` and otherwise unchanged.

    Args:
        model: A classifier of tokens or sentences with as many outputs as `labels`.
        encoded: The sentences.
        labels: Labels of the outputs.
        device: Where to compute; default: the model's device.
        precision: Use that of training; `auto` chooses as `fit` does.
        mask: Heads not kept are gated to zero.
        mask_names: For each sentence the model's mask that it is read under (see `prune`), or None for all heads.
        budget: Padded positions per batch.
        progress: Updated after every batch.

    Raises:
        SettingError: The model has no mask of such a name, or there is not one name for each sentence.

    >>> import polyhead as ph
    >>> dev = ph.sample(ph.open_corpus("phrases/en", "dev"), 2, seed=1)
    >>> labels, tokenizer = ph.label_set(ph.task("pos"), [dev]), ph.load_tokenizer("polyhead/tiny")
    >>> model = ph.load_tagger("polyhead/tiny", labels=labels, seed=42)
    >>> tags = predict(model, ph.encode(dev.sentences, tokenizer, labels), labels=labels)
    >>> [len(own) for own in tags] == [len(sentence.words) for sentence in dev.sentences]
    True
    """
    require(model=(model, nn.Module), encoded=(encoded, Encoded), labels=(labels, LabelSet), mask=(mask, HeadMask | None))
    where, chosen = placement(model, device=device, precision=precision)
    check_dtype(model, where, chosen)
    if mask_names is not None:
        check_names(model, mask_names)
        if len(mask_names) != encoded.n_sentences:
            raise SettingError(f"mask_names: {len(mask_names)} names for {encoded.n_sentences} sentences; give one for each")
    batches, words = scoring_batches(encoded, budget=budget), encoded.words_per_sentence
    ids = np.zeros(sum(words), dtype=np.int64)
    with restored(model), tracking(progress, len(batches), "predict") as advance:
        model.to(where).eval()
        with torch.inference_mode(), gated(model, mask) if mask is not None else nullcontext(), autocast(where, chosen):
            for batch in batches:
                here = batch.to(where)
                own = None if mask_names is None else [mask_names[sentence] for sentence in batch.sentences]
                by_name = nullcontext() if own is None else gated_by_name(model, own, rows=batch.rows)
                with by_name, attention_kernel(where, here.input_ids.shape[1], chosen, work="predict"):
                    logits = model(**here.inputs).logits
                best = here.at_anchors(logits).argmax(dim=-1)
                ids[word_places(batch, words)] = best.cpu().numpy()
                advance(1)
    return named(ids, labels, words)


def evaluate(
    model: PreTrainedModel,
    datasets: Mapping[str, Labelled],
    task: Task,
    labels: LabelSet,
    *,
    device: torch.device | str | None = None,
    precision: PrecisionChoice = "auto",
    mask: HeadMask | None = None,
    mask_names: Mapping[str, str | None] | None = None,
    budget: int = 1024,
    progress: Progress | None = None,
) -> dict[str, Evaluation]:
    """Results by name of the data set, metrics in fractions (0 to 1); all data sets share one length-sorted pass.

    Args:
        model: A classifier of tokens or sentences with as many outputs as `labels`.
        datasets: Sentences and gold labels by name, usually a language.
        task: Defines the metrics.
        labels: Labels of the outputs.
        device: Where to compute; default: the model's device.
        precision: Use that of training; `auto` chooses as `fit` does.
        mask: Heads not kept are gated to zero.
        mask_names: By data set, the model's mask that it is read under; others are read with all heads.
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
    require(model=(model, nn.Module), datasets=(datasets, Mapping), task=(task, Task), labels=(labels, LabelSet))
    for name, data in datasets.items():
        require(**{f"datasets[{name!r}]": (data, Labelled)})
    require(mask=(mask, HeadMask | None))
    together = join([data.encoded for data in datasets.values()])
    names = None
    if mask_names is not None:
        names = [mask_names.get(name) for name, data in datasets.items() for _ in range(data.encoded.n_sentences)]
    predicted = predict(
        model,
        together,
        labels=labels,
        device=device,
        precision=precision,
        mask=mask,
        mask_names=names,
        budget=budget,
        progress=progress,
    )
    return {
        name: Evaluation(
            metrics=score(task, datasets[name].gold, own, labels=labels),
            counts=sentence_counts(task, datasets[name].gold, own, labels=labels),
            n_words=sum(label is not None for sentence in datasets[name].gold for label in sentence),
            predicted=own,
        )
        for name, own in by_dataset(predicted, datasets).items()
    }


def word_places(batch: Batch, words_per_sentence: Sequence[int]) -> NDArray[np.int64]:
    """Where each owned word of the batch, which is on the CPU, stands among all words in sentence order."""
    starts = np.cumsum(words_per_sentence, dtype=np.int64) - words_per_sentence
    sentences = np.array(batch.sentences, dtype=np.int64)[batch.rows[batch.anchor_rows].numpy()]
    return np.asarray(starts[sentences] + batch.anchor_words.numpy())


def named(ids: NDArray[np.int64], labels: LabelSet, words_per_sentence: Sequence[int]) -> list[list[str]]:
    """Label names by sentence, from the label ids of all words in sentence order."""
    names = iter([labels.names[i] for i in ids.tolist()])
    return [list(islice(names, n)) for n in words_per_sentence]


def by_dataset(predicted: Sequence[Sequence[str]], datasets: Mapping[str, Labelled]) -> dict[str, list[Sequence[str]]]:
    """The sentences of each data set, from those of all data sets together."""
    rest = iter(predicted)
    return {name: list(islice(rest, data.encoded.n_sentences)) for name, data in datasets.items()}
