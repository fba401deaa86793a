"""Sentences to windows of subwords: every word is owned by exactly one window and labelled at its anchor subword."""

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from polyhead.core.arguments import require
from polyhead.core.errors import DataFormatError, SettingError
from polyhead.core.specs import Anchor
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Sentence
from polyhead.learning.encoded import IGNORED_LABEL, Encoded, EncodingCounts, Window
from polyhead.learning.subwords import special_tokens, subwords
from polyhead.learning.whole_texts import whole_texts
from polyhead.models.architectures import architecture

_OVERLAP = 0.25


def model_limit(config: PretrainedConfig) -> int | None:
    """The longest input, special tokens included, that the position embeddings allow; None without a limit.

    RoBERTa models number positions from `pad_token_id + 1`, so XLM-R's table of 514 serves 512 tokens.

    Raises:
        ArchitectureError: The family has no row.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    return positions - (config.pad_token_id or 0) - 1 if architecture(config).positions_after_padding else positions


def token_types(config: PretrainedConfig) -> bool:
    """Whether a model tells the texts of a pair apart by token types, as BERT does."""
    return getattr(config, "type_vocab_size", 0) > 1


def encode(
    sentences: Sequence[Sentence],
    tokenizer: PreTrainedTokenizerBase,
    labels: LabelSet | None,
    *,
    max_length: int = 256,
    model_limit: int | None = None,
    anchor: Anchor = "text",
    unknown: Literal["error", "ignore"] = "error",
    token_types: bool = True,
) -> Encoded:
    """Windows of subwords with anchors and label ids; no word is dropped.

    A sentence that fits is one window. A longer one becomes windows of whole words that overlap by up to a quarter; a word
    belongs to the window in which its anchor is farther from the nearer edge (ties: the earlier window).
    A word without any subword becomes `unk_token`; a word longer than a window keeps its first subwords.
    Texts and pairs of texts (`Sentence.texts`) are one window each, truncated if they are longer (`whole_texts`).

    Args:
        sentences: Their order is kept.
        tokenizer: A fast tokenizer; not changed.
        labels: Label set for the ids; None to encode without labels.
        max_length: Longest window, special tokens included; the tokenizer's `model_max_length` and `model_limit` may lower it.
        model_limit: The architecture's limit, from `model_limit(model.config)`.
        anchor: `text` (first subword with a character of the word) or `first` (first subword).
        unknown: For gold labels outside `labels`: `error`, or `ignore` (−100, and counted) for evaluation data.
        token_types: Whether the model tells the texts of a pair apart, from `token_types(model.config)`.

    Raises:
        SettingError: The window cannot hold one subword beside the special tokens, or the tokenizer is not a fast one.
        DataFormatError: A gold label is not in `labels` and `unknown="error"`.

    >>> import polyhead as ph
    >>> dev, tokenizer = ph.open_corpus("phrases/en", "dev"), ph.load_tokenizer("polyhead/tiny")
    >>> encoded = encode(dev.sentences, tokenizer, ph.label_set(ph.task("pos"), [dev]))
    >>> encoded.n_sentences, encoded.counts.words == dev.n_words, encoded.pad_id
    (400, True, 1)
    """
    require(sentences=(sentences, Sequence), labels=(labels, LabelSet | None), max_length=(max_length, Integral))
    for sentence in sentences:
        require(sentences=(sentence, Sentence))
    limit = min(n for n in (max_length, tokenizer.model_max_length, model_limit) if n is not None)
    if any(sentence.texts for sentence in sentences):
        return _encode_texts(sentences, tokenizer, labels, limit, unknown, token_types)
    prefix, suffix = special_tokens(tokenizer)
    capacity = limit - len(prefix) - len(suffix)
    if capacity < 1:
        raise SettingError(
            f"window of {limit} tokens: {len(prefix) + len(suffix)} special tokens leave no room for a subword; raise max_length"
        )
    types: dict[str, int] = {}
    words = np.array([types.setdefault(word, len(types)) for sentence in sentences for word in sentence.words], dtype=np.int64)
    found = subwords(tuple(types), tokenizer, anchor=anchor)
    lengths = np.minimum(found.lengths, capacity)[words]
    word_ends = np.cumsum(lengths)
    word_starts = word_ends - lengths
    stream = found.ids[np.repeat(found.starts[words] - word_starts, lengths) + np.arange(int(lengths.sum()))]
    anchors = word_starts + np.minimum(found.anchors, capacity - 1)[words]
    label_ids, unknown_labels = _label_ids(sentences, labels, unknown)

    before, after = np.array(prefix, dtype=np.int32), np.array(suffix, dtype=np.int32)
    windows: list[Window] = []
    windowed = first = 0
    for index, sentence in enumerate(sentences):
        last = first + len(sentence.words)
        made = 0
        for start, end, owned in _windows(word_starts[first:last], word_ends[first:last], anchors[first:last], capacity):
            begin = word_starts[first + start]
            windows.append(
                Window(
                    sentence=index,
                    input_ids=np.concatenate((before, stream[begin : word_ends[first + end - 1]], after)),
                    anchor_positions=(anchors[first + owned] - begin + len(prefix)).astype(np.int32),
                    anchor_words=owned,
                    label_ids=label_ids[first + owned],
                    specials=(len(prefix), len(suffix)),
                )
            )
            made += 1
        windowed += made > 1
        first = last
    counts = EncodingCounts(
        words=len(words),
        subwords=int(found.lengths[words].sum()),
        lone_marker_first=int(found.lone_marker[words].sum()),
        windowed_sentences=windowed,
        unk_words=int(found.unknown[words].sum()),
        truncated_words=int((found.lengths > capacity)[words].sum()),
        unknown_labels=unknown_labels,
    )
    return Encoded(tuple(windows), tuple(len(sentence.words) for sentence in sentences), counts, _pad_id(tokenizer))


def _pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    # padding is masked out, so any id works for a tokenizer without a padding token
    return int(tokenizer.pad_token_id or 0)


def _encode_texts(
    sentences: Sequence[Sentence],
    tokenizer: PreTrainedTokenizerBase,
    labels: LabelSet | None,
    limit: int,
    unknown: Literal["error", "ignore"],
    token_types: bool,
) -> Encoded:
    """Whole texts and pairs: one window each, whose one label is at position 0."""
    found = whole_texts([sentence.texts for sentence in sentences], tokenizer, limit=limit, token_types=token_types)
    label_ids, unknown_labels = _label_ids(sentences, labels, unknown)
    first = np.zeros(1, dtype=np.int32)
    windows = [
        Window(i, own.ids, first, first, label_ids[i : i + 1], own.specials, own.between, own.second)
        for i, own in enumerate(found)
    ]
    counts = EncodingCounts(
        words=sum(len(sentence.words) for sentence in sentences),
        subwords=sum(own.n_subwords for own in found),
        unk_words=sum(own.n_subwords == 0 for own in found),
        truncated_words=sum(own.is_truncated for own in found),
        unknown_labels=unknown_labels,
    )
    return Encoded(tuple(windows), (1,) * len(windows), counts, _pad_id(tokenizer))


def _label_ids(
    sentences: Sequence[Sentence], labels: LabelSet | None, unknown: Literal["error", "ignore"]
) -> tuple[NDArray[np.int32], int]:
    gold = [label for sentence in sentences for label in sentence.labels]
    if labels is None:
        return np.full(len(gold), IGNORED_LABEL, dtype=np.int32), 0
    known: dict[str | None, int] = {name: index for index, name in enumerate(labels.names)}
    known[None] = IGNORED_LABEL
    n_unknown = sum(label not in known for label in gold)
    if n_unknown and unknown == "error":
        sentence, place = next(
            (sentence, i) for sentence in sentences for i, label in enumerate(sentence.labels) if label not in known
        )
        what = "the sentence" if sentence.texts else f"word {sentence.words[place]!r} of the sentence"
        raise DataFormatError(
            f"{sentence.source}: {what} that begins here has label {sentence.labels[place]!r}; "
            f"expected one of {' '.join(labels.names)}; fix the data or map the label"
        )
    return np.array([known.get(label, IGNORED_LABEL) for label in gold], dtype=np.int32), n_unknown


def _windows(
    starts: NDArray[np.int64], ends: NDArray[np.int64], anchors: NDArray[np.int64], capacity: int
) -> Iterator[tuple[int, int, NDArray[np.int32]]]:
    """First word, word after the last, and owned words of each window; positions are those in the whole subword stream."""
    n_words = len(starts)
    if n_words == 0:
        return
    if ends[-1] - starts[0] <= capacity:
        yield 0, n_words, np.arange(n_words, dtype=np.int32)
        return
    spans: list[tuple[int, int]] = []
    start = 0
    while True:
        end = int(np.searchsorted(ends, starts[start] + capacity, side="right"))
        spans.append((start, end))
        if end == n_words:
            break
        # The next window overlaps by at most a quarter and holds the whole next word.
        earliest = max(starts[end] - int(capacity * _OVERLAP), ends[end] - capacity)
        start = int(np.searchsorted(starts, earliest, side="left"))
    owner = np.zeros(n_words, dtype=np.int64)
    farthest = np.full(n_words, -1.0)
    for number, (start, end) in enumerate(spans):
        # The sentence's ends count as edges too, but never change which of two overlapping windows wins.
        distance = np.minimum(anchors[start:end] - starts[start], ends[end - 1] - 1 - anchors[start:end])
        better = distance > farthest[start:end]
        owner[start:end][better] = number
        farthest[start:end][better] = distance[better]
    for number, (start, end) in enumerate(spans):
        owned = np.flatnonzero(owner == number).astype(np.int32)
        if len(owned):
            yield start, end, owned
