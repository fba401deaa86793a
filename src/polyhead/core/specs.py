"""Settings that a user can write down: frozen, validated where they are made, with a fingerprint that names them for good."""

import functools
import re
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from polyhead.core.errors import SettingError

T = TypeVar("T")
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def check_fields(spec: Any) -> None:
    """Validate every field of a dataclass against its annotation, report all faults together, store the checked values."""
    faults: list[str] = []
    for name, adapter in _adapters(spec.__class__).items():
        value = getattr(spec, name)
        try:
            checked = adapter.validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"].replace("Input should", "should")
            faults.append(f"{name} = {value!r}: {message}")
        except SettingError as error:
            faults.append(str(error))
        else:
            object.__setattr__(spec, name, checked)
    if faults:
        raise SettingError("; ".join(faults))


@functools.cache
def _adapters(kind: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return {item.name: TypeAdapter(hints[item.name]) for item in fields(kind) if not is_dataclass(hints[item.name])}


def allowed_loss(objective: str) -> float | None:
    """Points that the objective `within:X` lets go; None for `best`.

    Raises:
        SettingError: The objective is neither.

    >>> allowed_loss("within:0.5")
    0.5
    """
    if objective == "best":
        return None
    if re.fullmatch(r"within:\d+(\.\d+)?", objective):
        return float(objective.removeprefix("within:"))
    raise SettingError(f"objective = {objective!r}: should be best, or within:X with X in points, for example within:0.5")


def _objective(value: str) -> str:
    allowed_loss(value)
    return value


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """How a model is fine-tuned; the defaults are those of the protocol `sound`.

    Attributes:
        epochs: Passes over the training data.
        batch_size: Sentences in an optimiser step.
        learning_rate: Peak of the linear schedule; None picks it by the model's width, see `rate_for`.
        weight_decay: AdamW's, on weight matrices alone: not on biases and norms.
        warmup: Share of the steps in which the rate rises, 0 to 1.
        clip: Largest gradient norm.
        max_length: Pieces in a window, special tokens included.
        order: `buckets` shuffles batches of similar length, `shuffled` shuffles sentences, `file` keeps the file's order.
        precision: `auto` takes bf16 autocast where the processor has units for it.
        freeze: Parts that are not trained.
        seed: Of head initialisation, data order and dropout.
        anchor: Where a word is labelled: its first piece with `text` of the word, or simply its `first` piece.

    Raises:
        SettingError: Any value is not allowed; the one line names them all.

    >>> TrainSpec(epochs=1).rate_for(hidden_size=768)
    5e-05
    """

    epochs: Annotated[int, Field(ge=1)] = 3
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Positive | None = None
    weight_decay: NonNegative = 0.01
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.06
    clip: Positive = 1.0
    max_length: Annotated[int, Field(ge=8)] = 256
    order: Literal["buckets", "shuffled", "file"] = "buckets"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    freeze: tuple[Literal["embeddings"], ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    anchor: Literal["text", "first"] = "text"

    def __post_init__(self) -> None:
        check_fields(self)

    def rate_for(self, hidden_size: int) -> float:
        """The peak learning rate: the one set, else 3e-4 for encoders up to 384 wide and 5e-5 for wider ones."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 3e-4 if hidden_size <= 384 else 5e-5


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """How the number of heads to prune is found.

    Attributes:
        how: `screened` (at most five fine-tunings), `sequential` or `sweep`; see `polyhead.selection.trials.search`.
        objective: `best`, or `within:X`: the largest k that loses at most X points of the score.
        max_pruned: Largest k considered.
        min_per_layer: Heads that every layer keeps.
        delta: Points below the best so far at which `sequential` stops.
        prune: Before fine-tuning (as the paper does) or after it (a trial then trains nothing).
        repair: What a model that was pruned after fine-tuning gets, without training; see `polyhead.compression.repair.repaired`.
        include_zero: False keeps k = 0 for comparison but never chooses it (the paper's best of 1..12).

    Raises:
        SettingError: Any value is not allowed; the one line names them all.

    >>> SearchSpec(max_pruned=24, objective="within:0.5").how
    'screened'
    """

    how: Literal["sequential", "sweep", "screened"] = "screened"
    objective: Annotated[str, AfterValidator(_objective)] = "best"
    max_pruned: Annotated[int, Field(ge=0)] = 12
    min_per_layer: Annotated[int, Field(ge=0)] = 0
    delta: NonNegative = 0.0
    prune: Literal["before", "after"] = "before"
    repair: Literal["none", "means", "refit"] = "none"
    include_zero: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        if self.repair != "none" and self.prune != "after":
            raise SettingError(f"repair = {self.repair!r}: should be none unless prune is 'after', but prune = {self.prune!r}")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a settings file may hold: one table for training, one for the search."""

    train: TrainSpec = field(default_factory=TrainSpec)
    search: SearchSpec = field(default_factory=SearchSpec)


Anchor = Literal["text", "first"]
