"""Metrics over words, spans and sentences, and per-sentence counts from which any corpus metric can be computed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyhead.core.errors import SettingError
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task

MetricName = Literal["accuracy", "chunk_f1", "macro_f1", "span_f1"]
Tags = Sequence[Sequence[str | None]]

# The columns of each metric: right and all for accuracy; right, gold and predicted for an F1, and of every label for their mean.
_COLUMNS: Final[dict[tuple[str, str], slice]] = {
    ("tag", "accuracy"): slice(0, 2),
    ("tag", "chunk_f1"): slice(2, 5),
    ("span", "span_f1"): slice(0, 3),
    ("sentence", "accuracy"): slice(0, 2),
    ("sentence", "macro_f1"): slice(2, None),
    ("masked", "accuracy"): slice(0, 2),
}

# seqeval 0.0.12 reads a bare tag's first letter as its prefix: S closes a span in BIOES, so these two never join a run.
_ALONE: Final = frozenset({"SYM", "SCONJ"})


def score(task: Task, gold: Tags, predicted: Tags, *, labels: LabelSet | None = None) -> dict[str, float]:
    """Metrics in 0..1 over all sentences; the main one is `task.metric`.

    A word whose gold label is None is not scored; spans end before it, in gold and prediction alike.

    Args:
        task: `kind` "tag" gives `accuracy` over words, `macro_f1` over the tags in gold or prediction, and `chunk_f1`, the metric
            of Ma et al. 2021: spans as seqeval 0.0.12 reads bare tags, i.e. runs of equal tags, except that each SYM and SCONJ
            is its own span. `kind` "span" gives micro `span_f1`, `precision` and `recall` over IOB2 as seqeval reads it by
            default: an I- not preceded by a span of its type starts one; without any span the score is 0. `kind` "sentence" gives
            `accuracy` and `macro_f1` over sentences. `kind` "masked" gives `accuracy` over subwords.
        gold: One label per word of every sentence; in a sentence task one per sentence.
        predicted: As many labels.
        labels: As for `sentence_counts`; the metrics do not depend on it.

    Raises:
        SettingError: Lengths differ, no word has a gold label, or a span label is not O, B-TYPE or I-TYPE.

    >>> from polyhead.data.tasks import task
    >>> score(task("ner"), [["B-PER", "I-PER", "O"]], [["I-PER", "I-PER", "B-LOC"]])
    {'span_f1': 0.6666666666666666, 'precision': 0.5, 'recall': 1.0}
    """
    sums = sentence_counts(task, gold, predicted, labels=labels).sum(axis=0)
    if task.kind == "masked":
        return {"accuracy": float(metric_from_counts(task, sums))}
    if task.kind == "sentence":
        return {name: float(metric_from_counts(task, sums, name=name)) for name in ("accuracy", "macro_f1")}
    if task.kind == "span":
        right, n_gold, n_predicted = (int(count) for count in sums)
        return {
            "span_f1": 2 * right / max(n_gold + n_predicted, 1),
            "precision": right / max(n_predicted, 1),
            "recall": right / max(n_gold, 1),
        }
    return {
        "accuracy": float(metric_from_counts(task, sums, name="accuracy")),
        "macro_f1": _macro_f1(gold, predicted),
        "chunk_f1": float(metric_from_counts(task, sums, name="chunk_f1")),
    }


def sentence_counts(task: Task, gold: Tags, predicted: Tags, *, labels: LabelSet | None = None) -> NDArray[np.int64]:
    """Counts `[sentences, columns]`, int64; their sum over sentences gives the corpus metric.

    Columns of a tag task: correct words, words, then chunks that are right, in gold, predicted. Columns of a span task: spans
    that are right, in gold, predicted. Columns of masked text: right, masked subwords. Columns of a sentence task: right,
    labelled, then for every label: right, in gold, predicted; the labels are those of `labels`, then others in gold or
    prediction, sorted, so that models with the same labels have the same columns.

    Raises:
        SettingError: As for `score`.
    """
    if len(gold) != len(predicted):
        raise SettingError(
            f"{len(gold)} sentences with gold labels but {len(predicted)} predicted ones; the numbers must be equal"
        )
    for number, (wanted, found) in enumerate(zip(gold, predicted, strict=True), start=1):
        if len(wanted) != len(found):
            raise SettingError(f"sentence {number}: {len(wanted)} gold labels but {len(found)} predicted ones")
    if task.kind == "sentence":
        by_label = _counts_by_label([(one[0], other[0]) for one, other in zip(gold, predicted, strict=True)], labels or ())
        if not by_label[:, 1].any():
            raise SettingError(f"none of {len(gold)} sentences has a gold label: nothing to score")
        return by_label
    if task.kind == "masked":
        counts = np.array(
            [
                (sum(a == b for a, b in zip(one, other, strict=True) if a is not None), sum(a is not None for a in one))
                for one, other in zip(gold, predicted, strict=True)
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        if not counts[:, 1].any():
            raise SettingError(f"no subword of {len(gold)} sentences can be scored: there is none, or all are unknown tokens")
        return counts
    rows = []
    for wanted, found in zip(gold, predicted, strict=True):
        pairs = [(label, guess if label is not None else None) for label, guess in zip(wanted, found, strict=True)]
        one, other = (_spans([pair[side] for pair in pairs], bare=task.kind == "tag") for side in (0, 1))
        labelled = [label == guess for label, guess in pairs if label is not None]
        rows.append((sum(labelled), len(labelled), len(one & other), len(one), len(other)))
    counts = np.array(rows, dtype=np.int64).reshape(-1, 5)
    if not counts[:, 1].any():
        raise SettingError(f"no word of {len(gold)} sentences has a gold label: nothing to score")
    return counts if task.kind == "tag" else counts[:, 2:]


def _counts_by_label(pairs: Sequence[tuple[str | None, str | None]], labels: Iterable[str]) -> NDArray[np.int64]:
    """Counts of sentences with one label each, given as gold and predicted label."""
    scored = [(gold, guess) for gold, guess in pairs if gold is not None]
    names = [*labels]
    names += sorted({str(label) for pair in scored for label in pair} - {*names})
    place = {name: number for number, name in enumerate(names)}
    rows = np.array([i for i, (gold, _) in enumerate(pairs) if gold is not None], dtype=np.int64)
    wanted, found = (np.array([place[str(pair[side])] for pair in scored], dtype=np.int64) for side in (0, 1))
    counts = np.zeros((len(pairs), 2 + 3 * len(names)), dtype=np.int64)
    counts[rows, 1] = counts[rows, 3 + 3 * wanted] = counts[rows, 4 + 3 * found] = 1
    counts[rows, 0] = counts[rows, 2 + 3 * wanted] = wanted == found
    return counts


def metric_from_counts(task: Task, counts: ArrayLike, *, name: MetricName | None = None) -> NDArray[np.float64]:
    """The corpus metric `[...]`, in 0..1, from counts `[..., columns]` already summed over sentences; 0/0 = 0.

    Args:
        task: The task of the counts.
        counts: Sums of rows of `sentence_counts`; leading axes (seeds, shuffles) are kept.
        name: The metric; default: the task's main one.

    Raises:
        SettingError: These counts do not give that metric.
    """
    return metric_from_columns(np.asarray(counts, dtype=np.float64)[..., metric_columns(task, name)])


def metric_columns(task: Task, name: str | None = None) -> slice:
    """The columns of counts from which `metric_from_columns` computes a metric; default: the task's main one.

    Raises:
        SettingError: These counts do not give that metric.
    """
    if (columns := _COLUMNS.get((task.kind, name or task.metric))) is None:
        allowed = ", ".join(metric for kind, metric in _COLUMNS if kind == task.kind)
        raise SettingError(f"metric {name or task.metric!r}: the counts of a {task.kind} task give {allowed}")
    return columns


def metric_from_columns(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """The metric `[...]`, in 0..1, from the sums of its columns alone `[..., columns]`; 0/0 = 0.

    Of an F1 for every label, the mean over the labels in gold or prediction.
    """
    if part.shape[-1] > 3:
        by_label = part.reshape(*part.shape[:-1], -1, 3)
        present = (by_label[..., 1:].sum(axis=-1) > 0).sum(axis=-1)
        return np.asarray(metric_from_columns(by_label).sum(axis=-1) / np.maximum(present, 1))
    right = part[..., 0] if part.shape[-1] == 2 else 2 * part[..., 0]
    whole = part[..., 1:].sum(axis=-1)
    return np.asarray(np.divide(right, whole, out=np.zeros_like(whole), where=whole > 0))


def _spans(tags: Iterable[str | None], *, bare: bool) -> set[tuple[int, int, str]]:
    """First word, word after the last, and type of each span of a sentence."""
    found, start, opened = set(), 0, ""
    for place, tag in enumerate([*tags, None]):
        begins, kind = _read(tag, bare)
        if opened and (begins or kind != opened):
            found.add((start, place, opened))
            opened = ""
        if kind and not opened:
            start, opened = place, kind
    return found


@cache
def _read(tag: str | None, bare: bool) -> tuple[bool, str]:
    """Whether a span begins at a word with this tag, whatever comes before it, and the span's type; empty outside of spans."""
    if tag is None or (tag == "O" and not bare):
        return False, ""
    if bare:
        return tag in _ALONE, tag
    prefix, _, kind = tag.partition("-")
    if prefix not in ("B", "I"):
        raise SettingError(f"label {tag!r}: spans are scored over O, B-TYPE and I-TYPE; convert other schemes first")
    return prefix == "B", kind or "_"


def _macro_f1(gold: Tags, predicted: Tags) -> float:
    pairs = [pair for both in zip(gold, predicted, strict=True) for pair in zip(*both, strict=True) if pair[0] is not None]
    n_gold, n_predicted = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    right = Counter(label for label, guess in pairs if label == guess)
    tags = sorted({*n_gold, *n_predicted}, key=str)
    return float(np.mean([2 * right[tag] / (n_gold[tag] + n_predicted[tag]) for tag in tags]))
