"""How true a latency table is: plans predicted from it, and measured as whole models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel

from polyhead.compression.latency_models import check_fits, free_bytes, opened, pause_of, sized_model
from polyhead.compression.latency_points import Bench, grid_of, prepared
from polyhead.compression.latency_table import Counts, LatencyTable
from polyhead.compression.plan_sizes import points_to_measure
from polyhead.compression.timing import Timer, turns
from polyhead.core.progress import Progress, tracking
from polyhead.models.devices import Precision


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
    has for that model: the machine may have become slower or faster since. The other arguments are those of `measure_latency`.

    Args:
        model: The model that the table was measured of.
        table: Under its conditions plans are measured.
        plans: Heads and neurons of every layer.

    Raises:
        SettingError, ArchitectureError: As `measure_latency`.
    """
    precision: Precision = "bf16" if table.precision == "bf16" else "fp32"
    size = {"batch": table.batch, "length": table.length}
    check_fits(model, **size, free=free_bytes(model.device))
    found = []
    with prepared(model, table.backend, table.threads, precision) as (ready, chosen):
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
