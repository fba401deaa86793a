"""The form of a run's `result.json`: what a page reads of it, so that a damaged file is refused before anything is drawn."""

import reprlib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # typing's own cannot be checked before Python 3.12

SCHEMA: Final = 1


def form_fault(value: object, form: Any) -> str | None:
    """The first thing by which a JSON value is not of this version's schema and of a form; None if nothing is.

    Args:
        value: What a JSON file holds.
        form: A TypedDict; keys that it does not name are passed over.

    >>> from polyhead.report.curves import CurveDataForm
    >>> form_fault({"schema": 1, "name": "ud/de_gsd", "split": "dev", "sentences": "many"}, CurveDataForm)
    "sentences should be a valid integer, found 'many'"
    """
    if not isinstance(value, Mapping):
        return "expected a JSON object"
    if value.get("schema") != SCHEMA:
        return f"schema {value.get('schema')!r}; this version reads {SCHEMA}"
    try:
        _adapter(form).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            return f"{place} is missing"
        return f"{place} {first['msg'].replace('Input should', 'should')}, found {reprlib.repr(first['input'])}"
    return None


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


Number = Annotated[float, Field(allow_inf_nan=False)]
Bounds = Annotated[list[Number], Field(min_length=2, max_length=2)]
Matrix = Annotated[list[list[Number | None]], Field(min_length=1)]
"""`[layers][heads]`; null for a head that the model does not have."""


class TrainForm(TypedDict):
    """How was fine-tuned."""

    learning_rate: NotRequired[Number | None]
    anchor: NotRequired[str]


class SettingsForm(TypedDict):
    """What was asked for."""

    task: str
    sources: list[str]
    method: NotRequired[str | None]
    protocol: NotRequired[str]
    select_on: NotRequired[str]
    seeds: NotRequired[list[int]]
    controls: NotRequired[list[str] | None]
    search: NotRequired[dict[str, Any] | None]
    train: NotRequired[TrainForm]


class EncodingForm(TypedDict):
    """What encoding a split met."""

    lone_marker_share: NotRequired[Number | None]
    windowed_sentences: NotRequired[int]
    unk_words: NotRequired[int]
    truncated_words: NotRequired[int]


class DataForm(TypedDict):
    """One split that was read."""

    name: str
    split: str
    language: str
    sentences: int
    words: int
    sha256: NotRequired[str | None]
    repairs: NotRequired[dict[str, int] | None]
    encoding: NotRequired[EncodingForm | None]


class RankingCostForm(TypedDict):
    """How the heads were ranked and what that took."""

    method: NotRequired[str | None]
    seconds: NotRequired[Number]
    forward_passes: NotRequired[Number]
    backward_passes: NotRequired[Number]


class TrialForm(TypedDict):
    """One number of heads that was tried."""

    k: int
    heads: list[str]
    dev: Number | None
    seconds: NotRequired[Number | None]


class TargetForm(TypedDict):
    """Scores on one target."""

    name: str
    language: str
    n_words: int
    k: NotRequired[int]
    unpruned: NotRequired[dict[str, Number] | None]
    pruned: NotRequired[dict[str, Number] | None]


class CellForm(TypedDict):
    """One seed of one arm."""

    seed: int
    arm: NotRequired[str]
    scores: Matrix
    ranking: list[str]
    ranking_cost: NotRequired[RankingCostForm | None]
    screen: NotRequired[list[Number | None] | None]
    trials: list[TrialForm]
    chosen: int
    chosen_reason: NotRequired[str | None]
    targets: Annotated[list[TargetForm], Field(min_length=1)]


class BeyondForm(TypedDict):
    """A gain minus what choosing alone would give."""

    interval: NotRequired[Bounds | None]


class StatisticForm(TypedDict):
    """The tests of one target in one arm, or of the mean over targets."""

    arm: NotRequired[str]
    name: NotRequired[str | None]
    language: str
    gain: NotRequired[Number | None]
    interval: NotRequired[Bounds | None]
    p: NotRequired[Number | None]
    p_holm: NotRequired[Number | None]
    shuffles: NotRequired[int | None]
    gain_minus_noise: NotRequired[BeyondForm | Bounds | Number | None]


class NoiseForm(TypedDict):
    """The pool of unpruned models that selection noise is drawn from."""

    seeds: NotRequired[list[int]]


class RecordForm(TypedDict):
    """A whole record."""

    status: NotRequired[str]
    command: NotRequired[str | list[str] | None]
    date: NotRequired[str | None]
    settings: SettingsForm
    environment: NotRequired[dict[str, Any] | None]
    model_hash: NotRequired[str | None]
    learning_rate: NotRequired[Number | None]
    data: NotRequired[list[DataForm] | None]
    cells: Annotated[list[CellForm], Field(min_length=1)]
    statistics: NotRequired[list[StatisticForm] | None]
    noise: NotRequired[NoiseForm | None]
    cost: NotRequired[dict[str, Number | None] | None]
    seconds: NotRequired[Number]
