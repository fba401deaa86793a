"""What a smaller model is asked to be: its speed or its size, and what may be lost for it."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from polyhead.compression.plan_choice import PARTS, Part
from polyhead.compression.plan_search import ROUNDS, RULES, Protect, Rule
from polyhead.core.settings_file import Many, refused, settings
from polyhead.core.specs import Count, NonNegative, Seed, Share
from polyhead.core.values import decimal_number

_MILLISECONDS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_BYTES: Final = {"kb": 1e3, "mb": 1e6, "gb": 1e9}


def _quantity(given: str, units: dict[str, float]) -> float | None:
    """The number in front of a unit, times the unit; None for anything else."""
    found = re.fullmatch(r"\s*([0-9.eE+-]+?)\s*([a-zA-Z]+)\s*", given)
    number = decimal_number(found[1]) if found else None
    if found is None or number is None or found[2].lower() not in units or number <= 0:
        return None
    return number * units[found[2].lower()]


def milliseconds(given: str | float) -> float:
    """Milliseconds, from a number of them or a text with a unit.

    Raises:
        PydanticCustomError: It is neither.

    >>> milliseconds("0.02s"), milliseconds(20)
    (20.0, 20.0)
    """
    plain = decimal_number(given) if isinstance(given, str) else float(given)
    found = _quantity(str(given), _MILLISECONDS) if plain is None else plain if plain > 0 else None
    if found is None:
        raise refused(f"{given!r}: expected a time above 0, such as 20ms or 0.02s")
    return found


def wanted_bytes(given: str | float, whole: float) -> float:
    """Bytes, from a text with a unit or a share of `whole`.

    Raises:
        PydanticCustomError: It is neither.

    >>> wanted_bytes("60MB", 1e8), wanted_bytes("0.25", 1e8)
    (60000000.0, 25000000.0)
    """
    share = decimal_number(given) if isinstance(given, str) else float(given)
    found = _quantity(str(given), _BYTES) if share is None else share * whole if 0 < share < 1 else None
    if found is None:
        raise refused(f"{given!r}: expected a size such as 60MB, or a share of the model's below 1, such as 0.35")
    return found


def _time(given: str | float | None) -> str | float | None:
    if given is not None:
        milliseconds(given)
    return given


def _size(given: str | float | None) -> str | float | None:
    if given is not None:
        wanted_bytes(given, 1.0)
    return given


def _split(given: Any) -> Any:
    """The names in a list, which commas may join."""
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        return given
    return [name.strip() for item in items for name in item.split(",")]


@settings
class ShrinkSpec:
    """What is asked for, and how it is looked for.

    Raises:
        SettingError: A value is not allowed; the message names all such values.

    >>> ShrinkSpec(speedup=2.0).parts
    ('heads', 'neurons')
    """

    speedup: Annotated[
        float | None, Field(strict=True, gt=1, allow_inf_nan=False, description="Times as fast as the given model, above 1.")
    ] = None
    latency: Annotated[
        str | float | None,
        AfterValidator(_time),
        Field(description="Time of one forward pass, such as 20ms, instead of --speedup."),
    ] = None
    size: Annotated[
        str | float | None,
        AfterValidator(_size),
        Field(description="Weights and tokenizer: 60MB, or 0.35 of the given model's."),
    ] = None
    max_loss: Annotated[NonNegative, Field(description="Points that any language may lose on dev, on the half that judges.")] = (
        1.0
    )
    batch: Annotated[Count, Field(description="Sentences of the forward pass that is timed.")] = 32
    length: Annotated[Count, Field(description="Its subwords per sentence.")] = 128
    keep: Annotated[
        Many[Literal["heads", "neurons", "vocabulary"]],
        BeforeValidator(_split),
        Field(description="What is left alone: heads, neurons, vocabulary."),
    ] = ()
    protect: Annotated[
        Protect, Field(description="Whose scores decide what is pruned: those of the worst language, or their mean.")
    ] = "worst"
    repair: Annotated[
        Literal["none", "means", "refit"],
        Field(description="Without training: refit fits what is kept by least squares, means adds the mean of the pruned heads."),
    ] = "refit"
    distil: Annotated[
        NonNegative,
        Field(description="Processor minutes of learning from the given model on the text of --text and --corpus; 0 for none."),
    ] = 0.0
    rounds: Annotated[Count, Field(description="Rounds of scoring and pruning on the way.")] = ROUNDS
    scored: Annotated[Count, Field(description="Dev sentences per language that heads and neurons are scored on.")] = 256
    coverage: Annotated[
        Share, Field(gt=0, description="Share of each language's subword occurrences that trimming keeps, most frequent first.")
    ] = 1.0
    rule: Literal["joint", "uniform", "magnitude", "one-shot", "random", "half-layers"] = "joint"  # others are baselines
    seed: Seed = 42  # of the samples, and of random scores

    @model_validator(mode="after")
    def _agrees(self) -> "ShrinkSpec":
        if self.speedup is not None and self.latency is not None:
            raise ValueError(f"speedup = {self.speedup}: and latency {self.latency} ask for the same; give one of the two")
        if self.speedup is None and self.latency is None and self.size is None:
            raise ValueError("nothing is asked for: give speedup (2), latency (20ms) or size (60MB, or 0.35)")
        if not self.parts and (self.times or "vocabulary" in self.keep):
            raise ValueError(f"keep = {' '.join(self.keep)}: leaves nothing that {'saves time' if self.times else 'could go'}")
        return self

    @property
    def times(self) -> bool:
        """Whether a speed is asked for."""
        return self.speedup is not None or self.latency is not None

    @property
    def parts(self) -> tuple[Part, ...]:
        """What may be pruned."""
        return tuple(part for part in PARTS if part not in self.keep)

    @property
    def row(self) -> Rule:
        """How a plan is chosen."""
        return RULES[self.rule]
