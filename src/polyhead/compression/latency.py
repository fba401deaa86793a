"""Latency tables: measured on this machine, kept between runs, and checked against whole models."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pooch
import torch
from transformers import PreTrainedModel

from polyhead.compression.latency_models import (
    GRAPHS,
    check_backend,
    check_fits,
    free_bytes,
    full_counts,
    opened,
    pause_of,
    sized_model,
)
from polyhead.compression.latency_table import (
    Backend,
    Conditions,
    Counts,
    LatencyTable,
    Point,
    counts_between,
    fitted_table,
    parsed,
    points_to_measure,
)
from polyhead.compression.timing import Timer, Work, noise_of, turns
from polyhead.core.errors import SettingError, StoreError, note_kept
from polyhead.core.files import write_bytes_atomic
from polyhead.core.progress import Progress, tracking
from polyhead.core.records import read_records, record_bytes, set_aside
from polyhead.core.values import fingerprint
from polyhead.learning.scoring_mode import restored
from polyhead.models.classifiers import kind_of
from polyhead.models.devices import Precision, PrecisionChoice, check_dtype, placement
from polyhead.models.environment import environment
from polyhead.models.model_heads import recorded_heads

CACHE_VARIABLE: Final = "POLYHEAD_CACHE"
_SCHEMA: Final = 1
_NEURONS: Final = 64  # vector units and caches like whole multiples
_MOST_COUNTS: Final = {"torch": 16, "onnxruntime": 4, "onnxruntime-int8": 4}  # exporting a graph takes longer than timing it
_MACHINE: Final = ("system", "processor", "instruction_set", "torch", "transformers")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grid:
    """The sizes of layers that are measured.

    Attributes:
        heads: Numbers of heads, from 0 to all.
        neurons: Numbers of neurons, from 0 to all.
        plans: All numbers of heads, and of neurons all multiples of one step: those that plans should use.
    """

    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    plans: tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Bench:
    """What measuring needs of a machine.

    Attributes:
        open: A context with one forward pass of a model of these heads and neurons.
        timer: Measures calls of it.
    """

    open: Callable[[Counts], Any]
    timer: Timer = field(default_factory=Timer)


def measure_latency(
    model: PreTrainedModel,
    *,
    batch: int,
    length: int,
    backend: Backend = "torch",
    threads: int | None = None,
    precision: PrecisionChoice = "auto",
    known: Sequence[Point] = (),
    keep: Callable[[Sequence[Point]], None] | None = None,
    timer: Timer | None = None,
    progress: Progress | None = None,
) -> LatencyTable:
    """A table of milliseconds by heads and neurons, for one batch on this machine.

    Measures whole models of the given one's shape, whose layers all have equally many heads and neurons: their weights fill the
    caches as those of any whole model do. Each runs in turn with one reference model, and only ratios to it count, so that slow
    moments of the machine cancel out. With torch every number of heads is measured and up to 17 numbers of neurons; for graphs,
    each of which has to be exported, about six of each.

    Args:
        model: Its shape and what is outside its layers count; it may be pruned. It is measured on its device and not changed.
        batch: Rows.
        length: Subwords in a row.
        backend: `torch`, or ONNX Runtime with float32 or int8 weights.
        threads: Processor threads; those that torch has unless given.
        precision: Of torch's matrix products.
        known: Points measured before, under the same conditions.
        keep: Called with all points after each one.
        timer: How long and how precisely to measure.
        progress: Updated after every point.

    Raises:
        SettingError: The model cannot take such a batch, or a package is missing.
        ArchitectureError: Heads or feed-forward blocks of its family are not known, or it cannot be exported.

    >>> import polyhead as ph
    >>> model = ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model
    >>> fast = Timer(least=1, most=1)
    >>> table = measure_latency(model, batch=1, length=8, precision="fp32", timer=fast)
    >>> table.n_layers, table.n_heads, table.n_neurons
    (4, 8, 512)
    >>> 0 <= table.predict([(4, 256)] * 4) <= table.full
    True
    """
    check_backend(backend)
    check_fits(model, batch=batch, length=length, free=free_bytes(model.device))
    with _prepared(model, backend, threads, precision) as (ready, chosen):
        conditions = conditions_of(ready, batch=batch, length=length, backend=backend, precision=chosen)
        bench = Bench(
            lambda counts: opened(sized_model(ready, counts), batch=batch, length=length, backend=backend, precision=chosen),
            timer or Timer(pause=pause_of(backend)),
        )
        n_layers = len(full_counts(ready))
        points = measured_points(bench, grid_of(ready, backend), n_layers, known=known, keep=keep, progress=progress)
    return fitted_table(conditions, points, n_layers=n_layers)


def grid_of(model: PreTrainedModel, backend: Backend) -> Grid:
    """The sizes of layers to measure for a model on a backend.

    Raises:
        ArchitectureError: See `full_counts`.
    """
    n_heads, n_neurons = full_counts(model)[0]
    group, most = recorded_heads(model.config).group, _MOST_COUNTS[backend]
    step = _NEURONS if n_neurons >= 8 * _NEURONS else max(1, n_neurons // 8)
    plans = tuple(range(0, n_heads + 1, group)), tuple(sorted({*range(0, n_neurons, step), n_neurons}))
    return Grid(counts_between(n_heads, step=group, most=most), counts_between(n_neurons, step=step, most=most), plans)


def measured_points(
    bench: Bench,
    grid: Grid,
    n_layers: int,
    *,
    known: Sequence[Point] = (),
    keep: Callable[[Sequence[Point]], None] | None = None,
    progress: Progress | None = None,
) -> list[Point]:
    """Whole models of equal layers, each beside one reference model; `measure_latency` describes the arguments."""
    middle, wanted = points_to_measure(grid.heads, grid.neurons)
    points = [point for point in known if (point.heads, point.neurons) in wanted]
    missing = [size for size in wanted if size not in {(point.heads, point.neurons) for point in points}]
    with tracking(progress, len(wanted), "latency") as advance, ExitStack() as stack:
        advance(len(points))
        if missing:
            reference = stack.enter_context(bench.open([middle] * n_layers))
        for heads, neurons in missing:
            with bench.open([(heads, neurons)] * n_layers) as work:
                points.append(_point(heads, neurons, work, reference, bench.timer))
            if keep is not None:
                keep(points)
            advance(1)
    base = float(np.median([point.reference_ms for point in points]))
    return [*points, Point(heads=middle[0], neurons=middle[1], ratio=1.0, noise=0.0, pairs=0, reference_ms=base)]


def _point(heads: int, neurons: int, work: Work, reference: Work, timer: Timer) -> Point:
    took = turns([reference, work], timer=timer)
    ratios = took[:, 1] / took[:, 0]
    return Point(
        heads=heads,
        neurons=neurons,
        ratio=float(np.median(ratios)),
        noise=noise_of(ratios),
        pairs=len(took),
        reference_ms=1e3 * float(np.median(took[:, 0])),
    )


def cached_latency(
    model: PreTrainedModel,
    *,
    batch: int,
    length: int,
    backend: Backend = "torch",
    threads: int | None = None,
    precision: PrecisionChoice = "auto",
    again: bool = False,
    folder: Path | None = None,
    timer: Timer | None = None,
    progress: Progress | None = None,
) -> LatencyTable:
    """As `measure_latency`; what this machine measured before for a model of this shape is not measured again.

    Points are kept as they end, so work that was stopped continues. A damaged file is set aside with a line in the log.

    Args:
        model, batch, length, backend, threads, precision, timer, progress: As for `measure_latency`.
        again: Measure anew.
        folder: Where points are kept; `cache_folder()` unless given.

    Raises:
        SettingError, ArchitectureError: As `measure_latency`.
        StoreError: The folder cannot be read or written.
    """
    check_backend(backend)
    check_fits(model, batch=batch, length=length, free=None)
    with _prepared(model, backend, threads, precision) as (ready, chosen):
        conditions = conditions_of(ready, batch=batch, length=length, backend=backend, precision=chosen)
        path = (cache_folder() if folder is None else folder) / f"{_key(ready, conditions)}.json"
        known = [] if again else _kept_points(path)

        def keep(points: Sequence[Point]) -> None:
            content = {"conditions": asdict(conditions), "points": [asdict(point) for point in points]}
            write_bytes_atomic(path, record_bytes(content, schema=_SCHEMA))

        try:
            return measure_latency(
                ready,
                batch=batch,
                length=length,
                backend=backend,
                precision=chosen,
                known=known,
                keep=keep,
                timer=timer,
                progress=progress,
            )
        except BaseException as stop:
            note_kept(stop, path)
            raise


def cache_folder() -> Path:
    """Where latency tables are kept: `POLYHEAD_CACHE`, else the user's cache folder (`XDG_CACHE_HOME`)."""
    given = os.environ.get(CACHE_VARIABLE)
    return (Path(given).expanduser() if given else Path(pooch.os_cache("polyhead"))) / "latency"


def _kept_points(path: Path) -> list[Point]:
    if not path.exists():
        return []
    found = read_records(path.parent, schema=_SCHEMA, names=[path.stem])
    if not found.damaged:
        with suppress(StoreError, KeyError):
            return list(parsed(tuple[Point, ...], found.good[0].content["points"], str(path)))
    set_aside([path])
    return []


def _key(model: PreTrainedModel, conditions: Conditions) -> str:
    """The name of what is kept: conditions, class and shape of the model; neither its names nor, for taggers, its vocabulary."""
    ignored = ("_name_or_path", "id2label", "label2id", "architectures", "transformers_version", "problem_type", "dtype")
    records = ("quantization_config", "per_layer_config", "pruned_heads")
    config = {
        name: value
        for name, value in model.config.to_dict().items()
        if name not in (*ignored, *records) and not name.endswith("_token_id") and "drop" not in name
    }
    if kind_of(model) != "masked":
        config.pop("vocab_size", None)
    return fingerprint({"schema": _SCHEMA, **asdict(conditions), "class": type(model).__name__, "config": config})


def conditions_of(model: PreTrainedModel, *, batch: int, length: int, backend: Backend, precision: Precision) -> Conditions:
    """What a measurement holds for that is made now."""
    facts, is_graph = environment(model.device, precision), backend in GRAPHS
    machine = {name: str(facts[name]) for name in _MACHINE} | {"processors": str(os.cpu_count())}
    if is_graph:
        machine["onnxruntime"] = version("onnxruntime")
    return Conditions(
        batch=batch,
        length=length,
        backend=backend,
        kernel="onnxruntime" if is_graph else str(model.config._attn_implementation),
        precision="int8" if backend == "onnxruntime-int8" else "fp32" if is_graph else precision,
        threads=torch.get_num_threads(),
        device=str(model.device),
        machine=machine,
    )


def time_models(
    models: Sequence[PreTrainedModel],
    *,
    batch: int,
    length: int,
    backend: Backend = "torch",
    threads: int | None = None,
    precision: PrecisionChoice = "auto",
    timer: Timer | None = None,
) -> list[float]:
    """Median milliseconds of a forward pass of each model, which run in turn; only what they take beside one another is exact.

    Args:
        models: On one device; not changed.
        batch, length, backend, threads, precision, timer: As for `measure_latency`.

    Raises:
        SettingError, ArchitectureError: As `measure_latency`.

    >>> import polyhead as ph
    >>> model = ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model
    >>> len(time_models([model, model], batch=1, length=8, timer=Timer(least=1, most=1)))
    2
    """
    check_backend(backend)
    if not models:
        raise SettingError("no models to time; give at least one")
    with ExitStack() as stack:
        works = []
        for model in models:
            check_fits(model, batch=batch, length=length, free=free_bytes(model.device))
            ready, chosen = stack.enter_context(_prepared(model, backend, threads, precision))
            works.append(stack.enter_context(opened(ready, batch=batch, length=length, backend=backend, precision=chosen)))
        took = turns(works, timer=timer or Timer(pause=pause_of(backend)))
    return [1e3 * float(seconds) for seconds in np.median(took, axis=0)]


def time_model(
    model: PreTrainedModel,
    *,
    batch: int,
    length: int,
    backend: Backend = "torch",
    threads: int | None = None,
    precision: PrecisionChoice = "auto",
    timer: Timer | None = None,
) -> float:
    """As `time_models`, of one model; to compare it with another, time both together."""
    (found,) = time_models(
        [model], batch=batch, length=length, backend=backend, threads=threads, precision=precision, timer=timer
    )
    return found


@dataclass(frozen=True)
class Check:
    """A plan that was predicted and measured.

    Attributes:
        counts: Heads and neurons of every layer.
        predicted_ms: From the table.
        measured_ms: From a model of this plan, which ran in turn with the table's reference model.
    """

    counts: tuple[tuple[int, int], ...]
    predicted_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted_ms / self.measured_ms - 1


def check_plans(
    model: PreTrainedModel,
    table: LatencyTable,
    plans: Sequence[Counts],
    *,
    timer: Timer | None = None,
    progress: Progress | None = None,
) -> list[Check]:
    """Whole models of some plans beside what a table predicts.

    A plan's time is its ratio to the table's reference model, which runs in turn with it, times the milliseconds that the table
    has for that model: the machine may have become slower or faster since.

    Args:
        model: The model that the table was measured of.
        table: Under its conditions plans are measured.
        plans: Heads and neurons of every layer.
        timer, progress: As for `measure_latency`.

    Raises:
        SettingError, ArchitectureError: As `measure_latency`.
    """
    precision: Precision = "bf16" if table.precision == "bf16" else "fp32"
    size = {"batch": table.batch, "length": table.length}
    check_fits(model, **size, free=free_bytes(model.device))
    found = []
    with _prepared(model, table.backend, table.threads, precision) as (ready, chosen):
        bench = Bench(
            lambda counts: opened(sized_model(ready, counts), **size, backend=table.backend, precision=chosen),
            timer or Timer(pause=pause_of(table.backend)),
        )
        grid = grid_of(ready, table.backend)
        middle, _ = points_to_measure(grid.heads, grid.neurons)
        known = table.predict([middle] * table.n_layers)
        with tracking(progress, len(plans), "check") as advance, bench.open([middle] * table.n_layers) as reference:
            for counts in plans:
                with bench.open(counts) as work:
                    took = turns([reference, work], timer=bench.timer)
                ratio = float(np.median(took[:, 1] / took[:, 0]))
                found.append(Check(tuple(counts), table.predict(counts), ratio * known))
                advance(1)
    return found


@contextmanager
def _prepared(
    model: PreTrainedModel, backend: Backend, threads: int | None, precision: PrecisionChoice
) -> Iterator[tuple[PreTrainedModel, Precision]]:
    """A context with the model in eval mode, for a graph in float32 on the CPU, and so many threads; restores both."""
    before = torch.get_num_threads()
    ready = model
    if backend in GRAPHS and (model.device.type != "cpu" or model.dtype != torch.float32):
        raise SettingError(f"{backend}: the model is {model.dtype} on {model.device}; give it in float32 on the CPU")
    _, chosen = placement(ready, precision="fp32" if backend in GRAPHS else precision)
    check_dtype(ready, ready.device, chosen)
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        with restored(ready):
            yield ready.eval(), chosen
    finally:
        torch.set_num_threads(before)
