"""Metrics over words and spans, and per-sentence counts from which any corpus metric can be computed."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyhead.core.errors import SettingError
from polyhead.data.tasks import Task

MetricName = Literal["accuracy", "chunk_f1", "span_f1"]
Tags = Sequence[Sequence[str | None]]
_Ints = NDArray[np.int64]

# The columns of each metric: right and all for accuracy; right, gold and predicted for an F1.
_COLUMNS: Final[dict[tuple[str, str], slice]] = {
    ("tag", "accuracy"): slice(0, 2),
    ("tag", "chunk_f1"): slice(2, 5),
    ("span", "span_f1"): slice(0, 3),
}

# seqeval 0.0.12 reads a bare tag's first letter as its prefix: S closes a span in BIOES, so these two never join a run.
_ALONE: Final = frozenset({"SYM", "SCONJ"})

_OUTSIDE, _BEGIN, _INSIDE = 0, 1, 2


def score(task: Task, gold: Tags, predicted: Tags) -> dict[str, float]:
    """Metrics in 0..1 over all sentences; the main one is `task.metric`.

    A word whose gold label is None is not scored; spans end before it, in gold and prediction alike.

    Args:
        task: `kind` "tag" gives `accuracy` over words, `macro_f1` over the tags in gold or prediction, and `chunk_f1`, the metric
            of Ma et al. 2021: spans as seqeval 0.0.12 reads bare tags, i.e. runs of equal tags, except that each SYM and SCONJ
            is its own span. `kind` "span" gives micro `span_f1`, `precision` and `recall` over IOB2 as seqeval reads it by
            default: an I- not preceded by a span of its type starts one; without any span the score is 0.
        gold: One label per word of every sentence.
        predicted: As many labels.

    Raises:
        SettingError: Lengths differ, no word has a gold label, or a span label is not O, B-TYPE or I-TYPE.

    >>> from polyhead.data.tasks import task
    >>> score(task("ner"), [["B-PER", "I-PER", "O"]], [["I-PER", "I-PER", "B-LOC"]])
    {'span_f1': 0.6666666666666666, 'precision': 0.5, 'recall': 1.0}
    """
    sums = sentence_counts(task, gold, predicted).sum(axis=0)
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


def sentence_counts(task: Task, gold: Tags, predicted: Tags) -> _Ints:
    """Counts `[sentences, columns]`, int64; their sum over sentences gives the corpus metric.

    Columns of a tag task: correct words, words, then chunks that are right, in gold, predicted. Columns of a span task: spans
    that are right, in gold, predicted.

    Raises:
        SettingError: As for `score`.
    """
    lengths = _lengths(gold, predicted)
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    gold_flat = [label for labels in gold for label in labels]
    labelled = np.array([label is not None for label in gold_flat], dtype=np.bool_)
    if not labelled.any():
        raise SettingError(f"no word of {len(lengths)} sentences has a gold label: nothing to score")
    predicted_flat = [label if known else None for label, known in zip(_flat(predicted), labelled, strict=True)]
    bare = task.kind == "tag"
    spans = _span_counts(sentence, _read(gold_flat, bare=bare), _read(predicted_flat, bare=bare), len(lengths))
    if not bare:
        return spans
    same = np.array([a == b for a, b in zip(gold_flat, predicted_flat, strict=True)], dtype=np.bool_) & labelled
    words = [np.bincount(sentence[which], minlength=len(lengths)) for which in (same, labelled)]
    return np.column_stack([*words, spans]).astype(np.int64)


def metric_from_counts(task: Task, counts: ArrayLike, *, name: MetricName | None = None) -> NDArray[np.float64]:
    """The corpus metric `[...]`, in 0..1, from counts `[..., columns]` already summed over sentences; 0/0 = 0.

    Args:
        task: The task of the counts.
        counts: Sums of rows of `sentence_counts`; leading axes (seeds, shuffles) are kept.
        name: The metric; default: the task's main one.

    Raises:
        SettingError: These counts do not give that metric.
    """
    columns = _COLUMNS.get((task.kind, name or task.metric))
    if columns is None:
        allowed = ", ".join(metric for kind, metric in _COLUMNS if kind == task.kind)
        raise SettingError(f"metric {name or task.metric!r}: the counts of a {task.kind} task give {allowed}")
    part = np.asarray(counts, dtype=np.float64)[..., columns]
    right = part[..., 0] if part.shape[-1] == 2 else 2 * part[..., 0]
    whole = part[..., 1:].sum(axis=-1)
    result: NDArray[np.float64] = np.divide(right, whole, out=np.zeros_like(whole), where=whole > 0)
    return result


def _flat(tags: Tags) -> Iterable[str | None]:
    return (label for labels in tags for label in labels)


def _lengths(gold: Tags, predicted: Tags) -> _Ints:
    if len(gold) != len(predicted):
        raise SettingError(
            f"{len(gold)} sentences with gold labels but {len(predicted)} predicted ones; the numbers must be equal"
        )
    lengths = np.array([len(labels) for labels in gold], dtype=np.int64)
    wrong = np.flatnonzero(lengths != np.array([len(labels) for labels in predicted], dtype=np.int64))
    if wrong.size:
        first = int(wrong[0])
        raise SettingError(f"sentence {first + 1}: {len(gold[first])} gold labels but {len(predicted[first])} predicted ones")
    return lengths


def _read(tags: Sequence[str | None], *, bare: bool) -> tuple[_Ints, NDArray[np.object_]]:
    """Prefix code and type of each word."""
    table: dict[str | None, tuple[int, str]] = {None: (_OUTSIDE, "")}
    for tag in set(tags):
        if tag is not None:
            table[tag] = ((_BEGIN if tag in _ALONE else _INSIDE), tag) if bare else _read_iob2(tag)
    prefixes = np.array([table[tag][0] for tag in tags], dtype=np.int64)
    kinds = np.empty(len(tags), dtype=np.object_)
    kinds[:] = [table[tag][1] for tag in tags]
    return prefixes, kinds


def _read_iob2(tag: str) -> tuple[int, str]:
    if tag == "O":
        return _OUTSIDE, ""
    prefix, _, kind = tag.partition("-")
    if prefix not in ("B", "I"):
        raise SettingError(f"label {tag!r}: spans are scored over O, B-TYPE and I-TYPE; convert other schemes first")
    return (_BEGIN if prefix == "B" else _INSIDE), kind or "_"


def _spans(sentence: _Ints, prefixes: _Ints, kinds: NDArray[Any]) -> tuple[_Ints, _Ints]:
    """First and last word of each span, as positions in the flat sequence."""
    inside = prefixes != _OUTSIDE
    joins = np.zeros(len(inside), dtype=np.bool_)
    joins[1:] = (
        inside[:-1] & (prefixes[1:] == _INSIDE) & (sentence[1:] == sentence[:-1]) & (kinds[1:] == kinds[:-1]).astype(np.bool_)
    )
    ends = inside.copy()
    ends[:-1] &= ~joins[1:]
    return np.flatnonzero(inside & ~joins), np.flatnonzero(ends)


def _span_counts(sentence: _Ints, gold: tuple[_Ints, Any], predicted: tuple[_Ints, Any], n_sentences: int) -> _Ints:
    last = np.full((2, len(sentence)), -1, dtype=np.int64)
    starts = []
    for side, (prefixes, kinds) in enumerate((gold, predicted)):
        first, final = _spans(sentence, prefixes, kinds)
        last[side, first] = final
        starts.append(first)
    both = np.flatnonzero((last[0] >= 0) & (last[0] == last[1]) & (gold[1] == predicted[1]).astype(np.bool_))
    return np.column_stack([np.bincount(sentence[where], minlength=n_sentences) for where in (both, *starts)]).astype(np.int64)


def _macro_f1(gold: Tags, predicted: Tags) -> float:
    """Mean F1 over the tags in gold or prediction of the labelled words."""
    pairs = [(a, b) for a, b in zip(_flat(gold), _flat(predicted), strict=True) if a is not None]
    tags = {tag: index for index, tag in enumerate(sorted({str(tag) for pair in pairs for tag in pair}))}
    a, b = (np.array([tags[str(pair[side])] for pair in pairs], dtype=np.int64) for side in (0, 1))
    right = np.bincount(a[a == b], minlength=len(tags))
    either = np.bincount(a, minlength=len(tags)) + np.bincount(b, minlength=len(tags))
    return float(np.mean(2 * right / either))
