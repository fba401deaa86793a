"""Every chart of a report as SVG and PNG, for papers and slides."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyhead.core.errors import SettingError
from polyhead.core.files import write_bytes_atomic
from polyhead.report.charts import gain_chart, trial_chart
from polyhead.report.curves import curve_chart
from polyhead.report.finished_run import FinishedRun
from polyhead.report.heat_maps import correlation_chart
from polyhead.report.pictures import cell_chart, drawing_library, picture_bytes
from polyhead.report.rank_agreement import between_runs, within_run

KINDS = (".svg", ".png")


def write_pictures(runs: Sequence[FinishedRun], curves: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Creates the folder and returns the paths written; each picture replaces an older one atomically.

    Raises:
        SettingError: The extra `report` is not installed, or a chart cannot be drawn.
        StoreError: A picture cannot be written.
    """
    altair = drawing_library()
    if altair is None:
        raise SettingError("pictures need altair and vl-convert-python: pip install 'polyhead[report]'")
    written = []
    for name, chart in _charts(altair, runs, curves):
        for kind in KINDS:
            written.append(folder / f"{name}{kind}")
            write_bytes_atomic(written[-1], picture_bytes(chart, kind))
    return written


def _charts(altair: Any, runs: Sequence[FinishedRun], curves: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    yield "gains", gain_chart(altair, runs)
    across, _ = between_runs(runs)
    if across is not None:
        yield "agreement-of-runs", correlation_chart(altair, across.names, across.rho)
    for number, document in enumerate(curves, start=1):
        yield "curve" if len(curves) == 1 else f"curve-{number}", curve_chart(altair, document)
    for number, run in enumerate(runs, start=1):
        end = "" if len(runs) == 1 else f"-{number}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', run.name)}"
        yield f"heads{end}", cell_chart(altair, run.record.first)
        yield f"trials{end}", trial_chart(altair, run)
        agreement = within_run(run)
        if agreement is not None:
            yield f"agreement{end}", correlation_chart(altair, agreement.names, agreement.rho)
