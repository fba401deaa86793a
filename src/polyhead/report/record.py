"""The record of a run, `result.json`: studies write it, reports read it; validated both ways."""

import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_text_atomic
from polyhead.core.specs import SearchSpec, TrainSpec

RANKED: Final = "ranked"


class Form(BaseModel):
    """A part of a document: frozen, without unknown fields, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class Document(Form):
    """A JSON file; on disk it also has the number of its schema and the sha256 of its content."""

    schema_number: ClassVar[int] = 2
    indent: ClassVar[int | None] = None


D = TypeVar("D", bound=Document)
Interval = tuple[float, float]
Matrix = Annotated[list[list[float | None]], Field(min_length=1)]
"""`[layers][heads]`; null for a head that the model does not have."""


class SettingsRecord(Form):
    """The run's settings, seeds and controls, and the kind of words and the claim that follow from them."""

    model: str
    task: str
    sources: list[str]
    targets: list[str]
    data: str | None
    method: str
    normalisation: str
    protocol: str
    search: SearchSpec
    train: TrainSpec
    select_on: str
    train_limit: int | None
    sample_seed: int
    revision: str | None
    scheme: str | None
    columns: str | None
    strict: bool
    words: str
    seeds: list[int]
    controls: list[str]
    claim: str


class EncodingRecord(Form):
    """Counts from encoding a split."""

    subwords: int
    lone_marker_share: float
    windowed_sentences: int
    unk_words: int
    truncated_words: int
    unknown_labels: int


class DataRecord(Form):
    """One split that was read."""

    name: str
    language: str
    split: str
    sentences: int
    words: int
    sha256: str
    repairs: dict[str, int]
    encoding: EncodingRecord


class RankingCost(Form):
    """How the heads were ranked, and the cost."""

    method: str
    seconds: float
    forward_passes: float
    backward_passes: float
    units: int
    settings: dict[str, str | int | float | bool | None]


class TrialRecord(Form):
    """One k that was tried; `tests` has test scores by target, only under the paper's protocols."""

    k: int
    heads: list[str]
    dev: float
    seconds: float
    tests: dict[str, float] | None = None


class TargetRecord(Form):
    """Scores on one target, in points, before and after pruning its `k` heads."""

    name: str
    language: str
    n_words: int
    k: int
    unpruned: dict[str, float]
    pruned: dict[str, float]


class CellRecord(Form):
    """One seed of one arm; `fit` names the folder of the chosen fine-tuning."""

    seed: int
    arm: str
    fit: str
    scores: Matrix
    ranking: list[str]
    ranking_cost: RankingCost
    screen: list[float] | None
    standard_error: float | None
    trials: Annotated[list[TrialRecord], Field(min_length=1)]
    chosen: int
    chosen_reason: str
    fine_tunings: int
    targets: Annotated[list[TargetRecord], Field(min_length=1)]


class NoiseGain(Form):
    """The gain by chance from choosing among equal models."""

    mean: float
    standard_error: float


class GainMinusNoise(Form):
    """A gain beyond selection noise."""

    value: float
    interval: Interval


class Statistic(Form):
    """The statistics of one target in one arm; of the mean over targets if `name` is None."""

    arm: str
    name: str | None
    language: str
    gain: float
    n_seeds: int
    by_seed: list[float]
    standard_error: float | None
    degrees_of_freedom: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    detectable_gain: float | None
    none_pruned: bool
    noise: NoiseGain | None
    gain_minus_noise: GainMinusNoise | None


class NoisePool(Form):
    """Dev scores, and test scores by target, in points, of unpruned models that differ only in their seed."""

    seeds: list[int]
    dev: list[float]
    tests: dict[str, list[float]]


class CostRecord(Form):
    """Upper limits of what pruning can save in this model."""

    head_weights: int
    heads: int
    all_heads_weights: int
    model_weights: int
    pruned_model_weights: int
    embedding_weights: int
    heads_pruned: int
    attention_share_128: float
    attention_share_512: float


class RunRecord(Document):
    """A finished run; `stages` has the version of each stage's code, `files` the sha256 of the run's other files."""

    indent: ClassVar[int | None] = 1

    command: str | None
    date: str
    settings: SettingsRecord
    environment: dict[str, str | int]
    stages: dict[str, int]
    model_hash: str
    learning_rate: float
    data: list[DataRecord]
    cells: Annotated[list[CellRecord], Field(min_length=1)]
    statistics: list[Statistic]
    noise: NoisePool | None
    cost: CostRecord
    seconds: float
    files: dict[str, str]

    @property
    def first(self) -> CellRecord:
        """The ranked cell of the first seed, whose model is saved."""
        return next(cell for cell in self.cells if cell.arm == RANKED)


def write_document(path: Path, document: Document) -> None:
    """Writes the JSON file that `read_document` reads, atomically.

    Raises:
        StoreError: The file cannot be written.
    """
    separators = (",", ":") if document.indent is None else (",", ": ")
    text = json.dumps(document_json(document), ensure_ascii=False, indent=document.indent, separators=separators)
    write_text_atomic(path, text + "\n")


def document_json(document: Document) -> dict[str, Any]:
    """The JSON content of the document's file."""
    body = document.model_dump(mode="json")
    return {"schema": document.schema_number, "sha256": _digest(body), **body}


def read_document(path: Path, kind: type[D], what: str) -> D:
    """The document in a file.

    Args:
        path: The file.
        kind: The expected form.
        what: A description for error messages, such as `the result of a run`.

    Raises:
        StoreError: The file cannot be read or is damaged; the message says where, what was found and what was expected.
    """
    content = read_json(path)
    found = _parsed(content, kind)
    if isinstance(found, str):
        raise StoreError(f"{path}: not {what} ({found}); run the same command again to rewrite it")
    return found


def _parsed(content: object, kind: type[D]) -> D | str:
    """The document, or a description of its first fault."""
    if not isinstance(content, Mapping):
        return f"expected a JSON object, found a {type(content).__name__}"
    if type(content.get("schema")) is not int or content["schema"] != kind.schema_number:
        return f"schema is {content.get('schema')!r}, expected {kind.schema_number}"
    body = {key: value for key, value in content.items() if key not in ("schema", "sha256")}
    try:
        found = kind.model_validate_json(json.dumps(body, allow_nan=False))
        digest = _digest(body)
    except ValidationError as error:
        return fault_text(error)
    except (ValueError, RecursionError) as error:  # NaN, a lone surrogate, or nested too deep
        return str(error)
    if content.get("sha256") != digest:
        return f"its content was changed after writing: sha256 is {content.get('sha256')!r}, expected {digest!r}"
    return found


def fault_text(error: ValidationError) -> str:
    """The first validation error in one line: its place, what was expected and what was found.

    >>> try:
    ...     NoiseGain.model_validate({"mean": "much", "standard_error": 1.0})
    ... except ValidationError as error:
    ...     print(fault_text(error))
    mean should be a valid number, found 'much'
    """
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"])) or "the content"
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place} is not a field of this file"
    said = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{place} {said}, found {reprlib.repr(first['input'])}"


def _digest(body: Mapping[str, Any]) -> str:
    """sha256 of the content, independent of layout and the order of fields."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()
