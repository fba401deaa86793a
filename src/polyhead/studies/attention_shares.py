"""What heads attend to: the word before, the word after, the word itself, separators, and words that a dependency leads to."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyhead.data.trees import Tree

Matrix = NDArray[np.float64]

# `previous`, or (`nsubj`, `to_head`)
Kind = str | tuple[str, str]


@dataclass(frozen=True)
class Share:
    """Mean share of a word's attention to one other word, or to the separators.

    Attributes:
        n: Number of words averaged.
        values: `[layers, heads]`, 0..1; NaN for pruned heads.
        even: The same mean under attention spread evenly over all positions of a sentence.
    """

    n: int
    values: Matrix
    even: float


def pairs(n_words: int, tree: Tree | None) -> list[tuple[Kind, int, int]]:
    """Kind, attending word and attended word of every counted pair; `n_words` is the index of the separators."""
    found: list[tuple[Kind, int, int]] = []
    for word in range(n_words):
        found += [("same", word, word), ("separators", word, n_words)]
        if word > 0:
            found.append(("previous", word, word - 1))
        if word + 1 < n_words:
            found.append(("next", word, word + 1))
    if tree is not None:
        for word, (head, relation) in enumerate(zip(tree.heads, tree.relations, strict=True)):
            if head is not None:
                found += [((relation, "to_head"), word, head), ((relation, "to_dependent"), head, word)]
    return found


class Shares:
    """Adds up attention between words into shares, for one set of sentences.

    Args:
        shape: Layers and heads of the unpruned model.
        positions: Per sentence, from `word_of_position`; sentences with None are skipped.
        trees: Per sentence; None where there is no tree.
    """

    def __init__(
        self, shape: tuple[int, int], positions: Sequence[NDArray[np.int64] | None], trees: Sequence[Tree | None]
    ) -> None:
        self._n: Counter[Kind] = Counter()  # in the order of the last axis of the sums
        self._even: defaultdict[Kind, float] = defaultdict(float)
        self._pairs: dict[int, tuple[NDArray[np.int64], ...]] = {}
        for index, (own, tree) in enumerate(zip(positions, trees, strict=True)):
            if own is None:
                continue
            sizes = np.bincount(own)
            listed = pairs(len(sizes) - 1, tree)
            for kind, _, to in listed:
                self._n[kind] += 1
                self._even[kind] += sizes[to] / len(own)
            place = {kind: number for number, kind in enumerate(self._n)}
            self._pairs[index] = tuple(np.array([(place[kind], *words) for kind, *words in listed]).T)
        self._sums = np.full((*shape, len(self._n)), np.nan)

    def add(self, sentence: int, layer: int, kept: tuple[int, ...], weights: Matrix) -> None:
        """Add one layer's weights `[kept heads, words, words + 1]` of one sentence; pass it to `each_word_attention`."""
        kinds, froms, tos = self._pairs[sentence]
        picked = weights[:, froms, tos]
        for row, head in enumerate(kept):
            sums = np.bincount(kinds, weights=picked[row], minlength=len(self._n))
            self._sums[layer, head] = np.nan_to_num(self._sums[layer, head]) + sums

    def found(self) -> dict[Kind, Share]:
        """The share of every kind."""
        return {
            kind: Share(n, self._sums[..., place] / n, self._even[kind] / n) for place, (kind, n) in enumerate(self._n.items())
        }
