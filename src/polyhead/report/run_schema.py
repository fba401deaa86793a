"""What `result.json` and `heads.json` must hold for a page to be made of them; what they hold besides is left alone."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Matrix = list[list[float | None]]
Share = Annotated[float, Field(ge=-1e-6, le=1 + 1e-6)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Target(_Part):
    name: str
    language: str
    n_words: int
    unpruned: dict[str, float | None] | None = None
    pruned: dict[str, float | None] | None = None
    k: int | None = None


class _Trial(_Part):
    k: int
    heads: list[str]
    dev: float
    seconds: float | None = None


class _Cost(_Part):
    method: str | None = None
    seconds: float = 0.0
    forward_passes: float | None = 0.0
    backward_passes: float | None = 0.0


class _Cell(_Part):
    seed: int
    arm: str = "ranked"
    scores: Annotated[Matrix, Field(min_length=1)]
    ranking: list[str]
    ranking_cost: _Cost | None = None
    screen: list[float] | None = None
    trials: list[_Trial]
    chosen: int
    chosen_reason: str | None = None
    targets: Annotated[list[_Target], Field(min_length=1)]


class _Test(_Part):
    arm: str = "ranked"
    language: str | None = None
    name: str | None = None
    gain: float | None = None
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    p: float | None = None
    p_holm: float | None = None
    shuffles: int | None = None


class _Split(_Part):
    name: str
    split: str
    language: str
    sentences: int
    words: int
    sha256: str = ""
    repairs: dict[str, int] | None = None
    encoding: dict[str, float | None] | None = None


class _Settings(_Part):
    task: Literal["pos", "ner", "slots"]
    sources: Annotated[list[str], Field(min_length=1)]
    protocol: str = "sound"
    select_on: str = "source-dev"
    search: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    controls: list[str] | None = None


class _Record(_Part):
    version: Annotated[Literal[1], Field(alias="schema")]
    settings: _Settings
    cells: Annotated[list[_Cell], Field(min_length=1)]
    statistics: list[_Test] | None = None
    data: list[_Split] | None = None
    environment: dict[str, Any] | None = None
    cost: dict[str, float | None] | None = None
    noise: dict[str, Any] | None = None
    model_hash: str | None = None
    seconds: float = 0.0


class _Effects(_Part):
    metric: str
    unpruned: float
    difference: Matrix
    low: Matrix
    high: Matrix


class _Way(_Part):
    shares: list[list[Share | None]]
    even: Share


class _Relation(_Part):
    n: int
    to_head: _Way
    to_dependent: _Way


class _Attention(_Part):
    shares: dict[str, list[list[Share | None]]]
    even: dict[str, Share]
    relations: dict[str, _Relation]


class _Example(_Part):
    words: Annotated[list[str], Field(min_length=1)]
    weights: list[list[list[list[Share | None]]]]
    special_before: str = ""
    special_after: str = ""


class _Language(_Part):
    name: str
    language: str
    split: str
    n_sentences: int
    n_words: int
    scores: Annotated[dict[str, Matrix], Field(min_length=1)]
    effects: _Effects
    attention: _Attention
    examples: list[_Example]


class _LeftOut(_Part):
    name: str
    why: str


class _Heads(_Part):
    version: Annotated[Literal[1], Field(alias="schema")]
    model_hash: str | None
    seed: int
    method: str
    n_sentences: int
    languages: list[_Language]
    left_out: list[_LeftOut]


def record_fault(record: object) -> str | None:
    """The first thing that keeps a JSON value from being the result of a run, in one line; None if nothing does."""
    return _first_fault(_Record, record)


def heads_fault(heads: object) -> str | None:
    """The same for the profile of its heads."""
    return _first_fault(_Heads, heads)


def _first_fault(kind: type[_Part], value: object) -> str | None:
    try:
        kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return None
