"""What a row of the methods table says, and what every method is called with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter, ValidationError
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress
from polyhead.learning.batching import Batch
from polyhead.models.devices import Precision


@dataclass(frozen=True)
class NoOptions:
    """Of a method that can be told nothing but what every method is told."""


@dataclass(frozen=True)
class Call:
    """What `score_heads` hands to a method; each takes what concerns it.

    Attributes:
        seed: Of methods that draw random numbers.
        precision: Of the matrix products; gates and sums stay float32.
        progress: Told how far the work is.
        resume_file: File in which a long method keeps what it has, so that a second call continues; None keeps nothing.
        options: The method's own, of the type that its row names.
    """

    seed: int = 42
    precision: Precision | Literal["auto"] = "auto"
    progress: Progress | None = None
    resume_file: Path | None = None
    options: Any = NoOptions()


Score = Callable[[PreTrainedModel, Sequence[Batch], Call], HeadScores]


@dataclass(frozen=True)
class Passes:
    """What a method costs, in full passes over the data; a pass over half of the layers is half a pass.

    Attributes:
        text: For readers; L layers, H heads a layer.
        count: `(layers, heads)` → passes of an unpruned model under default options; None where it depends on the data and the
            result says it.
    """

    text: str
    count: Callable[[int, int], float] | None


NO_PASS = Passes("0", lambda layers, heads: 0.0)
ONE_PASS = Passes("1", lambda layers, heads: 1.0)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a method, for a listing.

    Attributes:
        name: What users write.
        kind: Type of its value, as Python writes it.
        default: What holds if it is left out.
        help: What it does.
    """

    name: str
    kind: str
    default: object
    help: str


@dataclass(frozen=True)
class Method:
    """One row: what a user must know before choosing, and what the conformance tests hold the method to.

    Attributes:
        name: What users write.
        summary: What it measures.
        score: The function, in the one form of call.
        forward: Forward passes over the data.
        backward: Backward passes over the data.
        memory: What it holds beside the model.
        needs: What it looks at: `labels` (and their text), `text`, the model's `weights` alone, or no more than its `shape`.
        sign: `absolute` (0 or more), `signed` (negative: the head harms), `negative` (0 or less) or `none`.
        dead_head_is_zero: A head whose output columns are zero scores 0.
        finds_planted: A head that alone carries the label comes out on top.
        batch_invariant: Neither batch size, nor order, nor padding changes the score.
        source: Where it is from.
        additive: The scores of a text are the mean of those of its parts, weighted by what `n` counts.
        place_invariant: Where a layer's heads stand in the weights plays no part: moved, they take their scores along.
        gradient_power: p where the score is the mean over sentences of the p-th power of the absolute gate gradient.
        profiles_heads: Its scores stand in `heads.json` for every head and language, beside those of the run's own method.
        options: Frozen dataclass of its own options, whose fields are `Annotated` with a pydantic `Field` that describes them.
    """

    name: str
    summary: str
    score: Score
    forward: Passes
    backward: Passes
    memory: str
    needs: Literal["labels", "text", "weights", "shape"]
    sign: Literal["absolute", "signed", "negative", "none"]
    dead_head_is_zero: bool
    finds_planted: bool
    batch_invariant: bool
    source: str
    additive: bool = True
    place_invariant: bool = True
    gradient_power: int | None = None
    profiles_heads: bool = False
    options: type = NoOptions

    @property
    def needs_labels(self) -> bool:
        """Whether unlabelled text is not enough."""
        return self.needs == "labels"

    @property
    def reads_text(self) -> bool:
        """Whether the text matters at all."""
        return self.needs in ("labels", "text")

    @property
    def listed_options(self) -> tuple[Option, ...]:
        """Its own options, for a listing."""
        hints = get_type_hints(self.options, include_extras=True)
        return tuple(
            Option(
                name=item.name,
                kind=getattr(hints[item.name].__origin__, "__name__", str(hints[item.name].__origin__)),
                default=item.default,
                help=next(note.description for note in hints[item.name].__metadata__ if hasattr(note, "description")),
            )
            for item in fields(self.options)
        )

    def takes_at_most(self, n: float, layers: int, heads: int) -> bool:
        """Whether it is known to take no more than `n` passes of either kind over the data."""
        return all(passes.count is not None and passes.count(layers, heads) <= n for passes in (self.forward, self.backward))

    def takes(self, option: str) -> bool:
        """Whether the method has an option of that name."""
        return any(item.name == option for item in fields(self.options))

    def chosen(self, given: object = None) -> Any:
        """The method's options: defaults, an object of their type, or a mapping of some by name, whose texts are read.

        Raises:
            SettingError: The method has no such option, or its value is not allowed.
        """
        if given is None:
            return self.options()
        if isinstance(given, self.options):
            return given
        if not isinstance(given, Mapping):
            raise SettingError(
                f"method {self.name}: expected options as {self.options.__name__} or a mapping, not {type(given).__name__}"
            )
        if unknown := [str(name) for name in given if not self.takes(str(name))]:
            own = ", ".join(item.name for item in fields(self.options))
            raise SettingError(f"method {self.name} has no option {unknown[0]}; it has {own or 'none'}")
        hints = get_type_hints(self.options, include_extras=True)
        values = {}
        for name, value in given.items():
            try:
                values[name] = TypeAdapter(hints[name]).validate_python(value, strict=not isinstance(value, str))
            except ValidationError as error:
                message = error.errors(include_url=False)[0]["msg"].replace("Input should", "should")
                raise SettingError(f"method {self.name}, option {name} = {value!r}: {message}") from None
        return self.options(**values)
