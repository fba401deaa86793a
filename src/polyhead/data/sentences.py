"""The one record that every reader produces, and the named, hashed collection that the rest of the library consumes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: its words, one label a word, and where it stood.

    Attributes:
        words: Surface forms in order; never empty.
        labels: As many as words. None marks a word that has no gold label: it is predicted, but neither trained on nor scored.
        language: BCP-47 code of the language.
        source: `path:line` of the sentence's first word row (1-based).

    >>> Sentence(("Anna", "sings"), ("PROPN", "VERB"), "en", "notes.conllu:1").words
    ('Anna', 'sings')
    """

    words: tuple[str, ...]
    labels: tuple[str | None, ...]
    language: str
    source: str

    def __post_init__(self) -> None:
        if len(self.words) != len(self.labels):
            raise ValueError(f"{self.source}: {len(self.words)} words but {len(self.labels)} labels")


@dataclass(frozen=True)
class Dataset:
    """A split of a corpus, read whole.

    Attributes:
        name: Corpus name (`ud/en_ewt`) or the path the user gave.
        language: BCP-47 code.
        split: `train`, `dev` or `test`.
        sentences: In file order.
        repairs: How often each known quirk was met and repaired, by its description; empty if none was.
        merged: How many spans of each type are read under another type, by its description; empty if none is.
        sha256: Hash of the decompressed file's bytes.

    >>> Dataset("mine", "en", "dev", (Sentence(("Anna", "sings"), ("PROPN", "VERB"), "en", "notes.conllu:1"),)).n_words
    2
    """

    name: str
    language: str
    split: str
    sentences: tuple[Sentence, ...]
    repairs: Mapping[str, int] = field(default_factory=dict)
    sha256: str = ""
    merged: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_words(self) -> int:
        """Number of words in all sentences."""
        return sum(len(sentence.words) for sentence in self.sentences)

    @property
    def notes(self) -> dict[str, int]:
        """Everything that was read otherwise than it stands in the file, by description: repairs and merged types."""
        return {**self.repairs, **self.merged}
