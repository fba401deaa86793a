"""Encoded sentences: windows of subwords with their labels, and counts from encoding them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError

IGNORED_LABEL: Final = -100  # torch's cross-entropy ignores it by default


@dataclass(frozen=True, eq=False, slots=True)
class Window:
    """A span of one sentence that the model reads at once; in a sentence task the whole text or pair.

    Attributes:
        sentence: Index of the encoded sentence.
        input_ids: int32 `[length]`, special tokens included.
        anchor_positions: int32 `[owned words]`, positions in this window.
        anchor_words: int32 `[owned words]`, word indices in the sentence, ascending.
        label_ids: int32 `[owned words]`, −100 without a usable gold label.
        specials: Number of special tokens before and after the subwords.
        between: Start and end of the special tokens between two texts; equal for one.
        second: Where token type 1 begins; 0 if all tokens have type 0.

    In a sentence task the only owned "word" is the sentence: its anchor is position 0, and it has the sentence's label.
    """

    sentence: int
    input_ids: NDArray[np.int32]
    anchor_positions: NDArray[np.int32]
    anchor_words: NDArray[np.int32]
    label_ids: NDArray[np.int32]
    specials: tuple[int, int] = (1, 1)
    between: tuple[int, int] = (0, 0)
    second: int = 0


@dataclass(frozen=True, slots=True)
class EncodingCounts:
    """Counts from encoding.

    Attributes:
        words: Words in all sentences; in a sentence task what white space separates.
        subwords: Their subwords, before truncation and overlaps.
        lone_marker_first: Words whose first subword is a bare space marker (`▁`).
        windowed_sentences: Sentences of more than one window.
        unk_words: Words without any subword, read as `unk_token`; in a sentence task sentences with none.
        truncated_words: Words, or in a sentence task sentences, longer than a window, reduced to their first subwords.
        unknown_labels: Gold labels outside the label set, which can never be predicted.
    """

    words: int = 0
    subwords: int = 0
    lone_marker_first: int = 0
    windowed_sentences: int = 0
    unk_words: int = 0
    truncated_words: int = 0
    unknown_labels: int = 0

    @property
    def lone_marker_share(self) -> float:
        """Share of words whose first subword is a bare space marker, 0..1."""
        return self.lone_marker_first / self.words if self.words else 0.0

    def __add__(self, other: "EncodingCounts") -> "EncodingCounts":
        return EncodingCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded sentences.

    Attributes:
        windows: In sentence order, and in text order within a sentence.
        words_per_sentence: One per sentence, also of those without words; the windows of sentence i own words 0..n−1, each once.
            In a sentence task 1: the sentence itself is what has a label.
        counts: Counts from encoding.
        pad_id: Id that pads a batch of these windows.
    """

    windows: tuple[Window, ...]
    words_per_sentence: tuple[int, ...]
    counts: EncodingCounts
    pad_id: int

    @property
    def n_sentences(self) -> int:
        """Number of sentences, including those without words."""
        return len(self.words_per_sentence)


def join(parts: Sequence[Encoded]) -> Encoded:
    """All parts as one, with sentences renumbered, so that several languages can share batches.

    Raises:
        SettingError: There is no part, or padding ids differ, so the parts come from different tokenizers.
    """
    pad_ids = sorted({part.pad_id for part in parts})
    if len(pad_ids) != 1:
        found = f"padding ids {', '.join(map(str, pad_ids))}" if pad_ids else "nothing"
        raise SettingError(f"cannot join {found}: encode all sentences with the same tokenizer")
    starts = accumulate((part.n_sentences for part in parts), initial=0)
    return Encoded(
        tuple(
            replace(window, sentence=start + window.sentence)
            for start, part in zip(starts, parts, strict=False)
            for window in part.windows
        ),
        tuple(n for part in parts for n in part.words_per_sentence),
        sum((part.counts for part in parts), EncodingCounts()),
        pad_ids[0],
    )
