"""Attention from word to word: subwords are merged into words, special tokens into one last column."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polyhead.core.progress import Progress
from polyhead.data.sentences import Sentence
from polyhead.importance.attention import each_attention
from polyhead.importance.data_pass import data_pass
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoded import Encoded, Window
from polyhead.learning.subwords import subwords
from polyhead.models.devices import Precision
from polyhead.models.sites import AttentionSite

# sentence index, layer, its kept heads, weights [kept heads, words, words + 1]
Receive = Callable[[int, int, tuple[int, ...], NDArray[np.float64]], None]


def word_of_position(
    sentences: Sequence[Sentence], encoded: Encoded, tokenizer: PreTrainedTokenizerBase
) -> list[NDArray[np.int64] | None]:
    """For each sentence, the index of the word that each position of its window belongs to.

    Special tokens have the number of words as their index. None for a sentence of several windows, whose words do not all see
    each other, and for one without words; for a text that was truncated, or whose subwords are not those of its words.
    """
    windows: dict[int, list[Window]] = {}
    for window in encoded.windows:
        windows.setdefault(window.sentence, []).append(window)
    types = {word: i for i, word in enumerate(dict.fromkeys(word for sentence in sentences for word in sentence.words))}
    lengths = subwords(tuple(types), tokenizer).lengths if types else np.zeros(0, dtype=np.int64)
    found: list[NDArray[np.int64] | None] = []
    for index, sentence in enumerate(sentences):
        if len(own := windows.get(index, [])) != 1:
            found.append(None)
            continue
        if sentence.texts:
            found.append(_of_texts(sentence, own[0], lambda words: lengths[[types[word] for word in words]]))
            continue
        (before, after), n_words = own[0].specials, len(sentence.words)
        # a word alone in its window may be longer than the window: its first subwords are there
        counts = np.minimum(lengths[[types[word] for word in sentence.words]], len(own[0].input_ids) - before - after)
        found.append(np.repeat([n_words, *range(n_words), n_words], [before, *counts, after]))
    return found


def _of_texts(
    sentence: Sentence, window: Window, lengths: Callable[[Sequence[str]], NDArray[np.int64]]
) -> NDArray[np.int64] | None:
    """The same for a text or pair, whose words are what white space separates."""
    (before, after), (end, start), n_words = window.specials, window.between, len(sentence.words)
    sides = [(before, end), (start, len(window.input_ids) - after)][: len(sentence.texts)]
    found, first = np.full(len(window.input_ids), n_words), 0
    for text, (low, high) in zip(sentence.texts, sides, strict=True):
        counts = lengths(words := text.split())
        if counts.sum() != high - low:
            return None
        found[low:high] = np.repeat(np.arange(first, first + len(words)), counts)
        first += len(words)
    return found


def each_word_attention(
    model: PreTrainedModel,
    encoded: Encoded,
    positions: Sequence[NDArray[np.int64] | None],
    receive: Receive,
    *,
    precision: Precision,
    progress: Progress | None = None,
) -> None:
    """Calls `receive` with the attention between words of each sentence and layer; returns None.

    Attention from a word is the mean over its subwords, attention to a word the sum over them; the last column is attention
    to special tokens, so every row sums to 1. Costs one forward pass over the sentences, and memory of one layer of one batch.

    Args:
        model: A token classifier, pruned or not; not changed.
        encoded: The sentences.
        positions: From `word_of_position`; sentences with None are skipped.
        receive: Given index, layer, kept heads, and weights `[kept heads, words, words + 1]`.
        precision: Precision of matrix products.
        progress: Updated after every batch.
    """
    call = Call(precision=precision, progress=progress)
    with data_pass(model, scoring_batches(encoded), call, what="attention") as given, torch.inference_mode():
        for batch in given:
            each_attention(model, batch, _by_words(batch, positions, receive), precision=precision)


def _by_words(
    batch: Batch, positions: Sequence[NDArray[np.int64] | None], receive: Receive
) -> Callable[[AttentionSite, Tensor], None]:
    """A receiver of subword attention that passes on attention between words, one sentence at a time."""
    sentences = [batch.sentences[row] for row in batch.rows.tolist()]
    gathers = {row: _gather(own) for row, index in enumerate(sentences) if (own := positions[index]) is not None}

    def layer(site: AttentionSite, log_weights: Tensor) -> None:
        weights = log_weights.exp().cpu().double()
        for row, gather in gathers.items():
            receive(sentences[row], site.layer, site.kept, _between_words(weights[row], gather))

    return layer


def _gather(positions: NDArray[np.int64]) -> Tensor:
    """`[words + 1, positions]`: 1 where a position belongs to the word; the last row is that of special tokens."""
    n = int(positions.max()) + 1
    return torch.from_numpy((positions[None, :] == np.arange(n)[:, None]).astype(np.float64))


def _between_words(weights: Tensor, gather: Tensor) -> NDArray[np.float64]:
    """Weights between subwords `[heads, length, length]` → between words `[heads, words, words + 1]`."""
    length = gather.shape[1]
    to_words = weights[:, :length, :length] @ gather.T
    means = gather[:-1] / gather[:-1].sum(dim=1, keepdim=True)
    return (means @ to_words).numpy()
