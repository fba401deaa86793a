"""Latency tables measured on this machine and kept between runs, and times of models as they are."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from polyhead.compression.latency_cache import cache_folder, cache_key, keep_points, kept_points
from polyhead.compression.latency_models import check_backend, check_fits, free_bytes, full_counts, opened, pause_of, sized_model
from polyhead.compression.latency_points import Bench, conditions_of, grid_of, measured_points, prepared
from polyhead.compression.latency_table import Backend, LatencyTable, Point, fitted_table
from polyhead.compression.timing import Timer, turns
from polyhead.core.errors import SettingError, note_kept
from polyhead.core.progress import Progress
from polyhead.models.devices import PrecisionChoice


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
    with prepared(model, backend, threads, precision) as (ready, chosen):
        conditions = conditions_of(ready, batch=batch, length=length, backend=backend, precision=chosen)
        bench = Bench(
            lambda counts: opened(sized_model(ready, counts), batch=batch, length=length, backend=backend, precision=chosen),
            timer or Timer(pause=pause_of(backend)),
        )
        n_layers = len(full_counts(ready))
        points = measured_points(bench, grid_of(ready, backend), n_layers, known=known, keep=keep, progress=progress)
    return fitted_table(conditions, points, n_layers=n_layers)


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

    Points are kept as they end, so work that was stopped continues. A damaged file is set aside with a line in the log. The other
    arguments are those of `measure_latency`.

    Args:
        again: Measure anew.
        folder: Where points are kept; `cache_folder()` unless given.

    Raises:
        SettingError, ArchitectureError: As `measure_latency`.
        StoreError: The folder cannot be read or written.
    """
    check_backend(backend)
    check_fits(model, batch=batch, length=length, free=None)
    with prepared(model, backend, threads, precision) as (ready, chosen):
        conditions = conditions_of(ready, batch=batch, length=length, backend=backend, precision=chosen)
        path = (cache_folder() if folder is None else folder) / f"{cache_key(ready, conditions)}.json"
        known = [] if again else kept_points(path)
        try:
            return measure_latency(
                ready,
                batch=batch,
                length=length,
                backend=backend,
                precision=chosen,
                known=known,
                keep=lambda points: keep_points(path, conditions, points),
                timer=timer,
                progress=progress,
            )
        except BaseException as stop:
            note_kept(stop, path)
            raise


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

    The other arguments are those of `measure_latency`.

    Args:
        models: On one device; not changed.

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
            ready, chosen = stack.enter_context(prepared(model, backend, threads, precision))
            works.append(stack.enter_context(opened(ready, batch=batch, length=length, backend=backend, precision=chosen)))
        took = turns(works, timer=timer or Timer(pause=pause_of(backend)))
    return [1e3 * float(seconds) for seconds in np.median(took, axis=0)]
