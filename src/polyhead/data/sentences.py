"""The record that every reader produces, and the named, hashed collection that the rest of the library consumes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: its words, its labels, and its place in the file.

    In a sentence task it is an example: a text, or a pair of texts, with one label.

    Attributes:
        words: Surface forms in order; never empty. In a sentence task, what white space separates in the texts.
        labels: One per word; in a sentence task one alone. None marks a word, or a sentence, without a gold label: it is
            predicted, but neither trained on nor scored.
        language: BCP-47 code of the language.
        source: `path:line` of the sentence's first row (1-based).
        texts: In a sentence task, the text or the two texts as they stand in the file; else empty.

    >>> Sentence(("Anna", "sings"), ("PROPN", "VERB"), "en", "notes.conllu:1").words
    ('Anna', 'sings')
    """

    words: tuple[str, ...]
    labels: tuple[str | None, ...]
    language: str
    source: str
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.labels) != (1 if self.texts else len(self.words)):
            found = f"{len(self.texts)} texts" if self.texts else f"{len(self.words)} words"
            raise ValueError(f"{self.source}: {found} but {len(self.labels)} labels")

    @property
    def whole(self) -> "Sentence":
        """The same without labels of words: its texts, or its words joined by spaces as one text."""
        return Sentence(self.words, (None,), self.language, self.source, self.texts or (" ".join(self.words),))

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two sentences the same to a model: the texts if there are any, else the words."""
        return self.texts or self.words


@dataclass(frozen=True)
class Dataset:
    """A split of a corpus; `len` counts its sentences, and iterating gives them.

    Attributes:
        name: Corpus name (`ud/en_ewt`) or the path the user gave.
        language: BCP-47 code.
        split: `train`, `dev` or `test`.
        sentences: In file order.
        repairs: Number of repairs by description.
        merged: Number of spans read under another type, by description.
        sha256: Hash of the decompressed file's bytes.

    >>> data = Dataset("mine", "en", "dev", (Sentence(("Anna", "sings"), ("PROPN", "VERB"), "en", "notes.conllu:1"),))
    >>> len(data), data.n_words, [sentence.words for sentence in data]
    (1, 2, [('Anna', 'sings')])
    """

    name: str
    language: str
    split: str
    sentences: tuple[Sentence, ...]
    repairs: Mapping[str, int] = field(default_factory=dict)
    sha256: str = ""
    merged: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sentences)

    def __iter__(self) -> Iterator[Sentence]:
        return iter(self.sentences)

    @property
    def n_words(self) -> int:
        """Number of words in all sentences."""
        return sum(len(sentence.words) for sentence in self.sentences)

    @property
    def notes(self) -> dict[str, int]:
        """Number of repairs and of spans with merged types, by description."""
        return {**self.repairs, **self.merged}
