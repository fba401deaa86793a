"""How long a model takes by the heads and neurons of its layers: measured whole models, and what any plan takes by them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from scipy.optimize import nnls

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.settings_file import said
from polyhead.core.values import jsonable

T = TypeVar("T")
Backend = Literal["torch", "onnxruntime", "onnxruntime-int8"]
Counts = Sequence[tuple[int, int]]
"""Kept heads and kept neurons of every layer, as `Plan.counts` has them."""
SCHEMA = 1
_EXACT = 0.003  # a point is not trusted further than this share of its time


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a time holds for.

    Attributes:
        batch: Rows of a batch.
        length: Subwords in a row, special tokens and padding included.
        backend: What runs the model.
        kernel: Attention implementation: `sdpa` or `eager`; of a graph, its runtime.
        precision: Of matrix products: `fp32`, `bf16` or `int8`.
        threads: Processor threads.
        device: `cpu`, or an accelerator.
        machine: System, processor, instruction set and versions, by name.
    """

    batch: int
    length: int
    backend: Backend
    kernel: str
    precision: str
    threads: int
    device: str
    machine: dict[str, str]

    def require(self, **wanted: object) -> None:
        """Refuse work under other conditions.

        Args:
            **wanted: What the work has, by the name of the attribute.

        Raises:
            SettingError: The first condition that differs.
        """
        for name, value in wanted.items():
            if (own := getattr(self, name)) != value:
                step = f"measure that with polyhead profile MODEL --{name} {value}"
                raise SettingError(f"{name} = {value}: the latency table was measured with {name} = {own}; {step}")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A whole model that was measured, all of whose layers are equal.

    Attributes:
        heads, neurons: Of every layer.
        ratio: Its time divided by that of the reference model that ran in turn with it, a median over pairs.
        noise: Standard error of `ratio`, as a share of it.
        pairs: Number of pairs.
        reference_ms: Milliseconds of the reference model meanwhile, a median.
    """

    heads: int
    neurons: int
    ratio: float
    noise: float
    pairs: int
    reference_ms: float


@dataclass(frozen=True, kw_only=True)
class LatencyTable(Conditions):
    """Milliseconds of a forward pass: `fixed`, and for every layer those of its heads and those of its neurons.

    A model without heads and neurons takes `fixed`: embeddings, norms, residuals and the classifier. Values between measured
    numbers of heads or neurons are interpolated. Times never fall as heads or neurons are added.

    Attributes:
        n_layers: Layers of a plan; layers that share weights are one.
        fixed: Milliseconds of the model without heads and neurons.
        attention: Numbers of heads in a layer, from 0 to all, and the milliseconds that they add in that layer.
        feed_forward: Numbers of neurons in a layer, from 0 to all, and the milliseconds that they add in that layer.
        points: The measured models that this is fitted to.

    >>> table = LatencyTable.given(
    ...     batch=1, length=32, n_layers=2, fixed=1.0, attention=((0, 0.0), (2, 1.0)), feed_forward=((0, 0.0), (8, 4.0))
    ... )
    >>> table.predict([(2, 8), (1, 2)])
    7.5
    """

    n_layers: int
    fixed: float
    attention: tuple[tuple[int, float], ...]
    feed_forward: tuple[tuple[int, float], ...]
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        for name in ("attention", "feed_forward"):
            counts, times = zip(*getattr(self, name) or ((-1, 0.0),), strict=True)
            if counts[0] != 0 or times[0] != 0 or [*counts] != sorted({*counts}) or [*times] != sorted(times):
                raise SettingError(f"{name}: expected rising counts from 0, and milliseconds from 0 that do not fall")
        if self.n_layers < 1 or not 0 <= self.fixed < np.inf:
            raise SettingError(f"{self.n_layers} layers, {self.fixed} ms: expected at least one layer, and a number from 0 on")

    @classmethod
    def given(
        cls,
        *,
        batch: int,
        length: int,
        n_layers: int,
        fixed: float,
        attention: tuple[tuple[int, float], ...],
        feed_forward: tuple[tuple[int, float], ...],
    ) -> "LatencyTable":
        """A table that was measured nowhere, for examples and tests: torch in float32 on one thread of no particular CPU."""
        return cls(
            batch=batch,
            length=length,
            backend="torch",
            kernel="sdpa",
            precision="fp32",
            threads=1,
            device="cpu",
            machine={},
            n_layers=n_layers,
            fixed=fixed,
            attention=attention,
            feed_forward=feed_forward,
            points=(),
        )

    @property
    def n_heads(self) -> int:
        """Heads in a layer of the unpruned model."""
        return self.attention[-1][0]

    @property
    def n_neurons(self) -> int:
        """Neurons in a layer of the unpruned model."""
        return self.feed_forward[-1][0]

    @property
    def full(self) -> float:
        """Milliseconds of the unpruned model."""
        return self.predict([(self.n_heads, self.n_neurons)] * self.n_layers)

    @property
    def noise(self) -> float:
        """The largest standard error of a measured model, as a share of its time; 0 without measured models."""
        return max((point.noise for point in self.points), default=0.0)

    @property
    def misfit(self) -> float:
        """The largest relative error for a measured model, less two standard errors of its time; 0 without measured models.

        It says how far times of heads and neurons are from adding up.
        """
        here = _reference_ms(self.points)
        predicted = [self.predict([(point.heads, point.neurons)] * self.n_layers) for point in self.points]
        errors = [abs(ms / (p.ratio * here) - 1) - 2 * p.noise for ms, p in zip(predicted, self.points, strict=True)]
        return max(0.0, *errors) if errors else 0.0

    def attention_ms(self, heads: int) -> float:
        """Milliseconds that this many heads add in one layer.

        Raises:
            SettingError: More than a layer of the unpruned model has, or fewer than 0.
        """
        return _between(self.attention, heads, "heads")

    def feed_forward_ms(self, neurons: int) -> float:
        """Milliseconds that this many neurons add in one layer.

        Raises:
            SettingError: More than a layer of the unpruned model has, or fewer than 0.
        """
        return _between(self.feed_forward, neurons, "neurons")

    def predict(self, counts: Counts) -> float:
        """Milliseconds of a model with these heads and neurons, one pair for every layer.

        Raises:
            SettingError: Another number of layers, or a count that a layer cannot have.
        """
        if len(counts) != self.n_layers:
            raise SettingError(f"a plan of {len(counts)} layers: the latency table is of a model of {self.n_layers}")
        return self.fixed + sum(self.attention_ms(heads) + self.feed_forward_ms(neurons) for heads, neurons in counts)

    def write(self, path: Path) -> None:
        """Write the table as JSON; `read` reads it back.

        Raises:
            WriteError: The file cannot be written.
        """
        write_json_atomic(path, {"schema": SCHEMA, **jsonable(self)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """A table from a file that `write` wrote.

        Raises:
            StoreError: The file cannot be read, has another schema, or holds no latency table.
        """
        found = read_json(path)
        if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
            raise StoreError(f"{path}: not a latency table of schema {SCHEMA}; write one with polyhead profile MODEL --out FILE")
        return parsed(cls, found, str(path))


def parsed(kind: type[T], content: Any, where: str) -> T:
    """A frozen dataclass from plain JSON values.

    Raises:
        StoreError: A value is missing or not allowed; the message begins with `where`.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(content), strict=True)
    except (ValidationError, SettingError) as error:
        fault = error if isinstance(error, SettingError) else _first(error)
        raise StoreError(f"{where}: {fault}; delete it and measure again") from None


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    return said(".".join(map(str, fault["loc"])), fault)


def fitted_table(conditions: Conditions, points: Sequence[Point], *, n_layers: int) -> LatencyTable:
    """The table that predicts measured models best: least squares of relative errors, weighted by how exact each is.

    Times of heads and neurons are sums of steps that are not negative, so neither they nor `fixed` can be. Milliseconds are those
    of the median reference model.

    Args:
        conditions: What the points were measured under.
        points: Models without and with all heads and neurons among them; every number of heads and neurons of the table occurs.
        n_layers: Layers of the model.
    """
    heads, neurons = (sorted({0, *values}) for values in ((p.heads for p in points), (p.neurons for p in points)))
    rows = [[1.0, *_steps(heads, p.heads, n_layers), *_steps(neurons, p.neurons, n_layers)] for p in points]
    times = np.array([p.ratio for p in points])
    weights = 1 / np.hypot([p.noise for p in points], _EXACT)
    solved, _ = nnls(np.array(rows) * (weights / times)[:, None], weights)
    found = solved * _reference_ms(points)
    cut = len(heads)
    return LatencyTable(
        **{item.name: getattr(conditions, item.name) for item in fields(Conditions)},
        n_layers=n_layers,
        fixed=float(found[0]),
        attention=_sums(heads, found[1:cut]),
        feed_forward=_sums(neurons, found[cut:]),
        points=tuple(points),
    )


def _reference_ms(points: Iterable[Point]) -> float:
    every = [point.reference_ms for point in points]
    return float(np.median(every)) if every else 1.0


def _steps(counts: Sequence[int], up_to: int, n_layers: int) -> list[float]:
    """For each count above 0, whether a layer with `up_to` has the step to it, times the layers."""
    return [float(n_layers * (count <= up_to)) for count in counts[1:]]


def _sums(counts: Sequence[int], steps: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    return tuple(zip(counts, (0.0, *np.cumsum(steps).tolist()), strict=True))


def _between(measured: tuple[tuple[int, float], ...], count: int, what: str) -> float:
    counts, times = zip(*measured, strict=True)
    if not 0 <= count <= counts[-1]:
        raise SettingError(f"{count} {what} in a layer: this model has 0 to {counts[-1]}")
    return float(np.interp(count, counts, times))
