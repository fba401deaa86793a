"""The form of a run's `heads.json`: what each head does in each language, as the page reads it."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be checked before Python 3.12

from polyhead.report.record_form import Matrix, Number

Weights = list[list[list[list[Number | None]]]]
"""`[layers][heads][from word][to word, the last column for special tokens]`."""


class ShareForm(TypedDict):
    """Attention in one direction of a dependency, beside what attention spread evenly would give."""

    shares: Matrix
    even: Number


class RelationForm(TypedDict):
    """One kind of dependency."""

    n: int
    to_head: ShareForm
    to_dependent: ShareForm


class AttentionForm(TypedDict):
    """What the heads attend to."""

    shares: dict[str, Matrix]
    even: dict[str, Number]
    relations: dict[str, RelationForm]


class EffectsForm(TypedDict):
    """What switching off a single head does."""

    metric: str
    unpruned: Number
    difference: Matrix
    low: Matrix
    high: Matrix


class ExampleForm(TypedDict):
    """A sentence with all its weights."""

    words: Annotated[list[str], Field(min_length=1)]
    special_before: NotRequired[str | None]
    special_after: NotRequired[str | None]
    weights: Weights


class LanguageForm(TypedDict):
    """The profile of one language."""

    name: str
    language: str
    split: str
    n_sentences: int
    n_words: int
    scores: Annotated[dict[str, Matrix], Field(min_length=1)]
    effects: EffectsForm
    attention: AttentionForm
    examples: list[ExampleForm]


class LeftOutForm(TypedDict):
    """A language without a profile."""

    name: str
    why: str


class HeadsForm(TypedDict):
    """A whole profile."""

    model_hash: NotRequired[str | None]
    seed: int
    method: str
    n_sentences: int
    languages: list[LanguageForm]
    left_out: list[LeftOutForm]


PLACES = ("previous", "next", "same", "separators")
DIRECTIONS = ("to_head", "to_dependent")
