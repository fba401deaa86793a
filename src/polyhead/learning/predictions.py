"""From logits to label ids: one for every word of every sentence, wherever batches and windows have put the word."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from polyhead.learning.batching import Batch


def no_labels(words_per_sentence: Sequence[int]) -> list[NDArray[np.int64]]:
    """An array a sentence, `[words]`, −1 throughout: `place_labels` fills it in."""
    return [np.full(n, -1, dtype=np.int64) for n in words_per_sentence]


def place_labels(ids: list[NDArray[np.int64]], batch: Batch, logits: Tensor) -> None:
    """Write the id of the highest logit of every word of the batch to the word's place in `ids`, in place.

    Args:
        ids: From `no_labels`.
        batch: Best left on the CPU, where the loop over its words runs.
        logits: `[rows, length, labels]`, on any device.
    """
    where = (batch.anchor_rows.to(logits.device), batch.anchor_columns.to(logits.device))
    best = logits[where].argmax(dim=-1).tolist()
    owners = batch.rows[batch.anchor_rows].tolist()
    for owner, word, label in zip(owners, batch.anchor_words.tolist(), best, strict=True):
        ids[batch.sentences[owner]][word] = label
