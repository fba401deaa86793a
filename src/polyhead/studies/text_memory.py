"""Corpora and encoded text that a process has read so far, so that the cells of a study read each once."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from polyhead.core.values import fingerprint
from polyhead.data.sentences import Dataset
from polyhead.learning.encoded_files import EncodedFiles
from polyhead.learning.inference import Labelled
from polyhead.learning.text_encoder import TextEncoder, Unknown

T = TypeVar("T")


class Texts:
    """Corpora read and encoded so far, for a process that opens the inputs of many cells.

    Args:
        files: Where encoded splits are kept for other processes.
        most_words: Words in memory; above it what has not been asked for the longest is dropped, and read again if need be.
    """

    def __init__(self, files: EncodedFiles | None = None, *, most_words: int = 4_000_000) -> None:
        self._files, self._most_words = files, most_words
        self._made: dict[str, tuple[Any, int]] = {}  # with its words; what was asked for last is last

    def once(self, what: object, make: Callable[[], T]) -> T:
        """What `make` returned when it was first asked for `what`, plain values that decide it."""
        key = fingerprint(what)
        if (kept := self._made.pop(key, None)) is None:
            made = make()
            kept = made, _n_words(made)
        self._made[key] = kept
        while len(self._made) > 1 and sum(n_words for _, n_words in self._made.values()) > self._most_words:
            del self._made[next(iter(self._made))]
        found: T = kept[0]
        return found

    def labelled(self, what: object, encoder: TextEncoder, split: Dataset, *, unknown: Unknown) -> Labelled:
        """The split encoded, from memory or from a file if it was encoded before; `what` decides it and how it is read."""
        encode = encoder.labelled if self._files is None else partial(self._files.labelled, encoder)
        return self.once(what, lambda: encode(split, unknown=unknown))


def _n_words(made: object) -> int:
    """Words of a data set, of several, or of encoded text."""
    if isinstance(made, Labelled):
        return made.encoded.counts.words
    return made.n_words if isinstance(made, Dataset) else sum(map(_n_words, made)) if isinstance(made, tuple) else 0
