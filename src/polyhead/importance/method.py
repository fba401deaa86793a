"""The row type of the methods table, and the arguments that every method receives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_type_hints

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress
from polyhead.core.settings_file import checked
from polyhead.learning.batching import Batch
from polyhead.models.devices import Precision


@dataclass(frozen=True)
class NoOptions:
    """Options of a method without options of its own."""


Receive = Callable[[Batch, NDArray[np.float64], NDArray[np.float64] | None], None]
"""Takes a batch, the scores of its sentences `[sentences, layers, heads]`, and the same without absolute values or None."""


Visit = Callable[[Batch, Tensor, Tensor], None]
"""Takes a batch on the model's device, gradients of its sentences' gates, and which of the sentences have a labelled word."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What `score_heads` passes to a method; each uses what it needs.

    Attributes:
        method: Name of the method's row.
        seed: Random seed, 0 or more.
        precision: Precision of matrix products; gates and sums stay float32.
        progress: Updated as work is done.
        resume_file: Where a long method saves partial results, so that a second call continues; None saves nothing.
        options: The method's own options, of its row's `options` type.
        receive: Takes the scores of single sentences, from methods whose score is a mean over sentences; called once per batch,
            or several times with parts that add up. None where nobody asks for them.
        visit_neurons: Takes the gradients of neuron gates, `[sentences, layers, neurons]`, from methods with a `gradient_power`:
            in the same passes as those of heads, once for each batch. None leaves neurons without gates.
    """

    method: str = ""
    seed: int = 42
    precision: Precision = "fp32"
    progress: Progress | None = None
    resume_file: Path | None = None
    options: Any = NoOptions()
    receive: Receive | None = None
    visit_neurons: Visit | None = None


Score = Callable[[PreTrainedModel, Sequence[Batch], Call], HeadScores]
"""A method: scores of a token classifier, pruned or not, on batches from `scoring_batches`. It leaves the model unchanged."""


@dataclass(frozen=True)
class Passes:
    """Cost in full passes over the data; a pass over half of the layers is half a pass.

    Attributes:
        text: For readers; L layers, H heads per layer.
        count: `(layers, heads)` → passes of an unpruned model under default options; None where it depends on the data and only
            the result says it.
    """

    text: str
    count: Callable[[int, int], float] | None

    @classmethod
    def fixed(cls, n: int) -> Self:
        """The same number for every model."""
        return cls(str(n), lambda layers, heads: float(n))


NO_PASS = Passes.fixed(0)
ONE_PASS = Passes.fixed(1)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a method, for a listing; `kind` is the type of its value, as Python writes it."""

    name: str
    kind: str
    default: object
    help: str


@dataclass(frozen=True)
class Method:
    """One row: what a user must know before choosing, and the promises that the conformance tests check.

    Attributes:
        name: As users write it.
        summary: What it measures.
        score: The scoring function.
        source: Where the method comes from.
        forward: Forward passes over the data.
        backward: Backward passes over the data.
        sign: `absolute` (0 or more), `signed` (negative: the head harms, or is not kept), `negative` (0 or less) or `none`.
        memory: What it holds in memory besides the model.
        needs: What it reads: `labels` (and their text), `text`, only the model's `weights`, or only its `shape`.
        dead_head_is_zero: A head whose output columns are zero scores 0.
        finds_planted: A head that is the only one to carry the label ranks first.
        batch_invariant: Neither batch size, nor order, nor padding changes the score.
        additive: The scores of a text are the mean of those of its parts, weighted by `n`.
        sentence_mean: The score is the mean over sentences of what each alone scores, which `Call.receive` is given; such methods
            can stop early.
        place_invariant: Permuting the heads of a layer permutes their scores.
        gradient_power: p where the score is the mean over sentences of the p-th power of the absolute gate gradient.
        profiles_heads: Its scores stand in `heads.json` for every head and language, beside those of the run's own method.
        options: Frozen dataclass of its own options, whose fields are `Annotated` with a pydantic `Field` that describes them.
    """

    name: str
    summary: str
    score: Score
    source: str
    forward: Passes = ONE_PASS
    backward: Passes = ONE_PASS
    sign: Literal["absolute", "signed", "negative", "none"] = "absolute"
    memory: str = "activations of one batch"
    needs: Literal["labels", "text", "weights", "shape"] = "labels"
    dead_head_is_zero: bool = True
    finds_planted: bool = True
    batch_invariant: bool = True
    additive: bool = True
    sentence_mean: bool = False
    place_invariant: bool = True
    gradient_power: int | None = None
    profiles_heads: bool = False
    options: type = NoOptions

    @property
    def needs_labels(self) -> bool:
        """Whether it needs labelled text."""
        return self.needs == "labels"

    @property
    def reads_text(self) -> bool:
        """Whether the scores depend on the text."""
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
        """Whether it is known to take at most `n` forward and `n` backward passes over the data."""
        return all(passes.count is not None and passes.count(layers, heads) <= n for passes in (self.forward, self.backward))

    def takes(self, option: str) -> bool:
        """Whether the method has this option."""
        return any(item.name == option for item in fields(self.options))

    def chosen(self, given: object = None) -> Any:
        """The method's options: the defaults, or `given`, an options object or a mapping by name with strings parsed.

        Raises:
            SettingError: The method has no such option, or its value is not allowed.
        """
        values = {} if given is None else vars(given) if isinstance(given, self.options) else given
        if not isinstance(values, Mapping):
            raise SettingError(
                f"method {self.name}: expected options as {self.options.__name__} or a mapping, not {type(given).__name__}"
            )
        if unknown := [str(name) for name in values if not self.takes(str(name))]:
            own = ", ".join(item.name for item in fields(self.options))
            raise SettingError(f"method {self.name} has no option {unknown[0]}; it has {own or 'none'}")
        hints = get_type_hints(self.options, include_extras=True)
        found = {
            name: checked(f"method {self.name}, option {name}", value, hints[name], strict=not isinstance(value, str))
            for name, value in values.items()
        }
        return self.options(**found)
