"""Whole models of equal layers, each timed beside one reference model: the points that a latency table is fitted to."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import numpy as np
import torch
from transformers import PreTrainedModel

from polyhead.compression.latency_models import GRAPHS, full_counts
from polyhead.compression.latency_table import Backend, Conditions, Counts, Point
from polyhead.compression.plan_sizes import counts_between, points_to_measure
from polyhead.compression.timing import Timer, Work, noise_of, turns
from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress, tracking
from polyhead.learning.scoring_mode import restored
from polyhead.models.devices import Precision, PrecisionChoice, check_dtype, placement
from polyhead.models.environment import environment
from polyhead.models.model_heads import recorded_heads

_NEURONS: Final = 64  # vector units and caches like whole multiples
_MOST_COUNTS: Final = {"torch": 16, "onnxruntime": 4, "onnxruntime-int8": 4}  # exporting a graph takes longer than timing it
_MACHINE: Final = ("system", "processor", "instruction_set", "torch", "transformers")


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

    open: Callable[[Counts], AbstractContextManager[Work]]
    timer: Timer = field(default_factory=Timer)


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


def conditions_of(model: PreTrainedModel, *, batch: int, length: int, backend: Backend, precision: Precision) -> Conditions:
    """What a measurement holds for that is made now."""
    facts, is_graph = environment(model.device, precision), backend in GRAPHS
    machine = {name: str(facts[name]) for name in _MACHINE} | {"processors": str(os.cpu_count())}
    if model.device.type == "cuda":
        machine["accelerator"] = torch.cuda.get_device_name(model.device)
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


@contextmanager
def prepared(
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
