"""What trimming changes in how words are segmented: how many are read otherwise, and how many become unknown."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from polyhead.learning.subwords import subwords


@dataclass(frozen=True)
class Segmentation:
    """Words of a text before and after trimming; every occurrence counts.

    Attributes:
        words: Number of words.
        changed: Words that are segmented otherwise, those that became unknown included.
        unknown: Words that hold the unknown token now and did not before.
        subwords_before: Subwords of all words before trimming.
        subwords_after: Subwords of all words after it.
    """

    words: int
    changed: int
    unknown: int
    subwords_before: int
    subwords_after: int

    @property
    def changed_share(self) -> float:
        """Share of words that are segmented otherwise, 0..1."""
        return self.changed / self.words

    @property
    def unknown_share(self) -> float:
        """Share of words that became unknown, 0..1."""
        return self.unknown / self.words


def segmentation(
    words: Counter[str], before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase, rows: NDArray[np.int64]
) -> Segmentation | None:
    """How the words are segmented after trimming, compared with before; None without words.

    Args:
        words: Words and how often each occurs.
        before: The tokenizer that was trimmed.
        after: What became of it.
        rows: Old id of each new one, `[rows]`.
    """
    distinct = list(words)
    if not distinct:
        return None
    old, new = subwords(distinct, before), subwords(distinct, after)
    often = np.fromiter((words[word] for word in distinct), np.int64, len(distinct))
    renamed = rows[new.ids]
    changed = np.ones(len(distinct), dtype=np.bool_)
    alike = np.flatnonzero(old.lengths == new.lengths)
    for i in alike:
        one, other = old.starts[i], new.starts[i]
        changed[i] = not np.array_equal(old.ids[one : one + old.lengths[i]], renamed[other : other + new.lengths[i]])
    unknown = _holds(new.ids, new.starts, after.unk_token_id) & ~_holds(old.ids, old.starts, before.unk_token_id)
    return Segmentation(
        words=int(often.sum()),
        changed=int(often[changed].sum()),
        unknown=int(often[unknown].sum()),
        subwords_before=int((often * old.lengths).sum()),
        subwords_after=int((often * new.lengths).sum()),
    )


def _holds(ids: NDArray[np.int32], starts: NDArray[np.int64], number: int | None) -> NDArray[np.bool_]:
    """Whether each word has a subword of this id."""
    if number is None:
        return np.zeros(len(starts), dtype=np.bool_)
    found: NDArray[np.bool_] = np.logical_or.reduceat(ids == number, starts)
    return found
