"""Times of plans: the latency tables that every search uses, and what the chosen plans take as whole models.

Tables and times are measured on an idle machine and kept in `results/`; searches only read them, so that any machine, however
busy, chooses by the same milliseconds. The model is the encoder of `e5.py` with a new classifier: a plan's time depends on how
many heads and neurons each layer has, not on which, nor on the weights.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from e5 import encoder
from environment import RESULTS, environment, rounded
from transformers import PreTrainedModel
from treebanks import LABELS

from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_models import opened, pause_of, sized_model
from polyhead.compression.latency_points import conditions_of, prepared
from polyhead.compression.latency_table import Counts, LatencyTable
from polyhead.compression.timing import Timer, noise_of, turns
from polyhead.core.files import read_json, write_json_atomic
from polyhead.models.devices import Precision
from polyhead.models.loading import load_tagger

Shape = tuple[int, int]
TABLES = RESULTS / "latency_tables"
TIMES = RESULTS / "plan_times.json"


def shape_name(shape: Shape) -> str:
    """Sentences and subwords of a batch, as in names of files.

    >>> shape_name((32, 128))
    '32x128'
    """
    return "{}x{}".format(*shape)


def table_file(shape: Shape) -> Path:
    return TABLES / f"e5.{shape_name(shape)}.json"


@cache
def latency_table(shape: Shape) -> LatencyTable:
    """The kept table of a batch; without one the process ends, for a search must not measure its own."""
    if not (path := table_file(shape)).is_file():
        sys.exit(f"{path}: no latency table; measure it first, on an idle machine: python benchmarks/shrink.py latency")
    return LatencyTable.read(path)


def new_model() -> PreTrainedModel:
    return load_tagger(str(encoder()), labels=LABELS, seed=42).eval()


def measure_tables(shapes: Sequence[Shape], threads: int) -> None:
    """Measure and keep the tables that are not there; points that a stopped call measured are in the user's cache folder."""
    for shape in shapes:
        path = table_file(shape)
        if path.is_file():
            print(f"{path}: is there", file=sys.stderr)
            continue
        started = time.perf_counter()
        table = cached_latency(new_model(), batch=shape[0], length=shape[1], threads=threads)
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write(path)
        facts = f"{table.full:.1f} ms, noise {100 * table.noise:.1f} %, misfit {100 * table.misfit:.1f} %"
        print(f"{path}: {facts}, {time.perf_counter() - started:.0f} s", file=sys.stderr)


def plan_name(counts: Counts) -> str:
    """Heads and neurons of every layer.

    >>> plan_name([(12, 1536), (0, 64)])
    '12:1536 0:64'
    """
    return " ".join(f"{heads}:{neurons}" for heads, neurons in counts)


def time_plans(
    wanted: Iterable[tuple[Shape, Counts]],
    *,
    minutes: float | None = None,
    file: Path = TIMES,
    timer: Timer | None = None,
    model: PreTrainedModel | None = None,
    tables: dict[Shape, LatencyTable] | None = None,
) -> None:
    """Measure every distinct plan that has no time yet, in turn with the whole model, and keep each at once.

    Under the conditions of the latency table: its machine, threads and precision.

    Args:
        wanted: Batches and plans, in the order in which they are measured.
        minutes: No plan is begun after so many.
        file: Where times are kept.
        timer: How precisely to measure.
        model: Instead of the encoder.
        tables: Instead of the kept ones.
    """
    started, found = time.perf_counter(), times(file)
    left: dict[Shape, list[Counts]] = {}
    for shape, counts in {(shape, plan_name(counts)): (shape, counts) for shape, counts in wanted}.values():
        if plan_name(counts) not in found.get(shape_name(shape), {}):
            left.setdefault(shape, []).append(counts)
    total = sum(map(len, left.values()))
    print(f"{total} plans to measure", file=sys.stderr)
    if not left:
        return
    own = model or new_model()
    for shape, plans in left.items():
        table = (tables or {}).get(shape) or latency_table(shape)
        rows, is_late = found.setdefault(shape_name(shape), {}), partial(_is_late, started, minutes)
        with ExitStack() as stack:
            precision: Precision = "bf16" if table.precision == "bf16" else "fp32"
            ready, chosen = stack.enter_context(prepared(own, table.backend, table.threads, precision))
            conditions = conditions_of(ready, batch=shape[0], length=shape[1], backend=table.backend, precision=chosen)
            if tables is None and conditions.machine != table.machine:
                sys.exit(f"{table_file(shape)}: was measured on another machine; times are measured on the same one")
            clock = timer or Timer(pause=pause_of(table.backend))
            batch: dict[str, Any] = {"batch": shape[0], "length": shape[1], "backend": table.backend, "precision": chosen}
            whole = stack.enter_context(opened(ready, **batch))
            for counts in plans:
                if is_late():
                    return
                with opened(sized_model(ready, counts), **batch) as work:
                    took = turns([whole, work], timer=clock)
                ratios = took[:, 0] / took[:, 1]
                full_ms, ms = (1e3 * float(seconds) for seconds in np.median(took, axis=0))
                rows[plan_name(counts)] = rounded(
                    {
                        "times_as_fast": float(np.median(ratios)),
                        "noise": noise_of(ratios),
                        "turns": len(took),
                        "full_ms": full_ms,
                        "ms": ms,
                    }
                )
                file.parent.mkdir(parents=True, exist_ok=True)
                content = {"schema": 1, "environment": environment(), "threads": table.threads, "times": found}
                write_json_atomic(file, content)
                print(f"{shape_name(shape)} {rows[plan_name(counts)]['times_as_fast']:.3f}", file=sys.stderr, flush=True)


def _is_late(started: float, minutes: float | None) -> bool:
    return minutes is not None and time.perf_counter() - started > 60 * minutes


def times(file: Path = TIMES) -> dict[str, dict[str, dict[str, Any]]]:
    """What was measured so far, by batch and plan."""
    return read_json(file)["times"] if file.is_file() else {}


def speeds(shape: Shape, counts: Counts, *, file: Path = TIMES, table: LatencyTable | None = None) -> dict[str, float | None]:
    """How many times as fast as the whole model a plan is: as predicted, and as measured if it was."""
    if table is None and table_file(shape).is_file():
        table = latency_table(shape)
    measured = times(file).get(shape_name(shape), {}).get(plan_name(counts))
    return {
        "predicted": None if table is None else table.full / table.predict(counts),
        "measured": None if measured is None else float(measured["times_as_fast"]),
    }
