"""Facts about labelled text to check before training: counts, labels, long sentences, repeats, leaks."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from transformers import PreTrainedTokenizerBase

from polyhead.data.sentences import Dataset
from polyhead.data.suspicions import suspicious_text
from polyhead.learning.subwords import special_tokens, subwords


@dataclass(frozen=True)
class TokenRates:
    """Counts of subwords in a split.

    Attributes:
        subwords: Subwords of all words.
        unknown_words: Words with an unknown token among their subwords, or without any subword.
        lone_marker_words: Words whose first subword is a bare space marker (`▁`), which carries little information for a label.
        window: Subwords per window, without special tokens.
    """

    subwords: int
    unknown_words: int
    lone_marker_words: int
    window: int


@dataclass(frozen=True)
class SplitFacts:
    """Facts about one split.

    Attributes:
        split: `train`, `dev` or `test`.
        sentences: Number of sentences.
        words: Number of words.
        unlabelled_words: Words without a label.
        longest: Words of the longest sentence.
        over_long: Sentences that do not fit one window, in subwords if a tokenizer was given, else in words.
        repeats: Sentences with the same words, or texts, as an earlier one.
        labels: Number of each tag or span type.
        repairs: Number of repairs by description.
        suspicions: Warnings (`suspicious_text`).
        rates: None without a tokenizer.
        sha256: Hash of the decompressed file's bytes.
    """

    split: str
    sentences: int
    words: int
    unlabelled_words: int
    longest: int
    over_long: int
    repeats: int
    labels: Mapping[str, int]
    repairs: Mapping[str, int]
    suspicions: tuple[str, ...]
    rates: TokenRates | None
    sha256: str


@dataclass(frozen=True)
class Overlap:
    """Sentences that two splits share.

    Attributes:
        first: One split.
        second: The other.
        shared: Sentences of the second whose words, or texts, are also a sentence of the first.
        relabelled: Shared sentences whose labels differ from all those in the first.
    """

    first: str
    second: str
    shared: int
    relabelled: int


def split_facts(dataset: Dataset, *, max_length: int, tokenizer: PreTrainedTokenizerBase | None = None) -> SplitFacts:
    """Facts about the split; spans are counted by type.

    Args:
        dataset: As read.
        max_length: Longest window, special tokens included; a tokenizer's own limit may lower it.
        tokenizer: A fast tokenizer, to count subwords.

    Raises:
        SettingError: The tokenizer is not a fast one.
    """
    sentences = dataset.sentences
    labels: Counter[str] = Counter()
    for sentence in sentences:
        for label in sentence.labels:
            if sentence.texts and label is not None:
                labels[label] += 1
            elif label is not None and label != "O" and not label.startswith("I-"):
                labels[label.removeprefix("B-")] += 1
    lengths = [len(sentence.words) for sentence in sentences]
    rates, over_long = (
        (None, sum(n > max_length for n in lengths)) if tokenizer is None else _rates(dataset, tokenizer, max_length)
    )
    return SplitFacts(
        dataset.split,
        len(sentences),
        dataset.n_words,
        sum(label is None for sentence in sentences for label in sentence.labels),
        max(lengths, default=0),
        over_long,
        len(sentences) - len({sentence.key for sentence in sentences}),
        dict(labels.most_common()),
        dataset.repairs,
        tuple(suspicious_text(dataset)),
        rates,
        dataset.sha256,
    )


def overlaps(datasets: Sequence[Dataset]) -> Iterator[Overlap]:
    """The overlap of every pair of splits, in order."""
    for first, second in combinations(datasets, 2):
        known: dict[tuple[str, ...], set[tuple[str | None, ...]]] = {}
        for sentence in first.sentences:
            known.setdefault(sentence.key, set()).add(sentence.labels)
        shared = [sentence for sentence in second.sentences if sentence.key in known]
        relabelled = sum(sentence.labels not in known[sentence.key] for sentence in shared)
        yield Overlap(first.split, second.split, len(shared), relabelled)


def _rates(dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[TokenRates, int]:
    """Subword counts, with each distinct word tokenised once, and the number of sentences too long for a window."""
    counts = Counter(word for sentence in dataset.sentences for word in sentence.words)
    place = {word: i for i, word in enumerate(counts)}
    made = subwords(list(counts), tokenizer)
    times = np.fromiter(counts.values(), np.int64, len(counts))
    unknown = made.unknown.copy()
    if tokenizer.unk_token_id is not None:
        owner = np.repeat(np.arange(len(counts)), made.lengths)
        unknown[owner[made.ids == tokenizer.unk_token_id]] = True
    prefix, suffix = special_tokens(tokenizer)
    window = min(max_length, tokenizer.model_max_length) - len(prefix) - len(suffix)
    long = sum(sum(int(made.lengths[place[word]]) for word in sentence.words) > window for sentence in dataset.sentences)
    rates = TokenRates(
        int((made.lengths * times).sum()), int(times[unknown].sum()), int(times[made.lone_marker].sum()), int(window)
    )
    return rates, long
