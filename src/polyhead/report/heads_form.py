"""The form of a run's `heads.json`: what each head does in each language, as a study writes it and the page reads it."""

from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from polyhead.report.document import Document, Form
from polyhead.report.record import Matrix, has_shape

PLACES: Final = ("previous", "next", "same", "separators")
DIRECTIONS: Final = ("to_head", "to_dependent")

Weights = list[list[list[list[float | None]]]]
"""`[layers][heads][from word][to word, the last column for special tokens]`."""


class RelationShare(Form):
    """Attention in one direction of a dependency, and `even`, the share under uniform attention."""

    shares: Matrix
    even: float


class Relation(Form):
    """One kind of dependency, over `n` words."""

    n: int
    to_head: RelationShare
    to_dependent: RelationShare


class Attention(Form):
    """What the heads attend to."""

    shares: dict[str, Matrix]
    even: dict[str, float]
    relations: dict[str, Relation]


class Effects(Form):
    """Effects of ablating single heads.

    Attributes:
        metric: Name of the main metric.
        unpruned: Its value with all heads, in points.
        difference: Points with only that head ablated minus with all heads; null for heads that were not measured.
        low: Lower ends of the 95 % intervals over sentences.
        high: Upper ends.
        loss_change: First-order estimate, for every head, of how much ablating it raises the loss of a sentence.
    """

    metric: str
    unpruned: float
    difference: Matrix
    low: Matrix
    high: Matrix
    loss_change: Matrix


class Example(Form):
    """A sentence with all its weights."""

    words: Annotated[list[str], Field(min_length=1)]
    special_before: str
    special_after: str
    weights: Weights


class LanguageHeads(Form):
    """The profile of one language."""

    name: str
    language: str
    split: str
    n_sentences: int
    n_words: int
    scores: Annotated[dict[str, Matrix], Field(min_length=1)]
    effects: Effects
    attention: Attention
    examples: list[Example]


class LeftOut(Form):
    """A language without a profile, and why."""

    name: str
    language: str
    why: str


class HeadsRecord(Document):
    """A whole profile; `made_of` is the fingerprint of all that decides it, `measured` the heads that were ablated one by one."""

    what: ClassVar[str] = "the heads of a run"

    made_of: str
    model_hash: str
    seed: int
    method: str
    shape: tuple[int, int]
    n_sentences: int
    measured: list[str]
    languages: list[LanguageHeads]
    left_out: list[LeftOut]

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        for own in self.languages:
            attention, effects = own.attention, own.effects
            matrices = [*own.scores.values(), effects.difference, effects.low, effects.high, effects.loss_change]
            matrices += attention.shares.values()
            matrices += [getattr(kind, way).shares for kind in attention.relations.values() for way in DIRECTIONS]
            if not all(has_shape(matrix, self.shape) for matrix in matrices):
                raise ValueError(f"a matrix of {own.name} does not have {self.shape[0]} layers of {self.shape[1]} heads")
            if without := attention.shares.keys() - attention.even.keys():
                raise ValueError(f"{own.name} lacks the uniform attention to {', '.join(sorted(without))}")
            for example in own.examples:
                n = len(example.words)
                heads = [head for layer in example.weights for head in layer]
                if not has_shape(example.weights, self.shape) or not all(has_shape(head, (n, n + 1)) for head in heads):
                    raise ValueError(f"the weights of an example of {own.name} are not those of its {n} words")
        return self
