"""Every chart of a report as SVG and PNG, for papers and slides."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyhead.core.errors import SettingError, StoreError
from polyhead.report.charts import gain_chart, trial_chart
from polyhead.report.curves import curve_chart
from polyhead.report.finished_run import FinishedRun
from polyhead.report.heat_maps import correlation_chart
from polyhead.report.page import chosen_heads
from polyhead.report.pictures import drawing_library, head_chart, save_chart
from polyhead.report.rank_agreement import between_runs, within_run

KINDS = (".svg", ".png")


def write_pictures(runs: Sequence[FinishedRun], curves: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Creates the folder and returns the paths written; each picture replaces an older one atomically.

    Raises:
        SettingError: The extra `report` is not installed.
        StoreError: The folder cannot be written to.
    """
    altair = drawing_library()
    if altair is None:
        raise SettingError("pictures need altair and vl-convert-python: pip install 'polyhead[report]'")
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in _charts(altair, runs, curves):
            written += [save_chart(chart, folder / f"{name}{kind}") for kind in KINDS]
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror or error}): choose another folder") from None
    return written


def _charts(altair: Any, runs: Sequence[FinishedRun], curves: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    yield "gains", gain_chart(altair, runs)
    across, _ = between_runs(runs)
    if across is not None:
        yield "agreement-of-runs", correlation_chart(altair, across.names, across.values, title="agreement of head rankings")
    for number, document in enumerate(curves, start=1):
        yield "curve" if len(curves) == 1 else f"curve-{number}", curve_chart(altair, document)
    for number, run in enumerate(runs, start=1):
        end = "" if len(runs) == 1 else f"-{number}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', run.name)}"
        first = run.first
        caption = f"importance of heads, seed {first.seed}"
        yield f"heads{end}", head_chart(altair, first.scores, pruned=chosen_heads(first), title=caption)
        yield f"trials{end}", trial_chart(altair, run)
        agreement = within_run(run)
        if agreement is not None:
            chart = correlation_chart(altair, agreement.names, agreement.values, title="agreement of head rankings")
            yield f"agreement{end}", chart
