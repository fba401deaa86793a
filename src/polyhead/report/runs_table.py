"""Several runs in one table: what each pruned, what that did, and how sure that is."""

from collections.abc import Sequence
from statistics import fmean

from polyhead.report.finished_run import FinishedRun
from polyhead.report.reading import RANKED, gains, main_metric, mean_gain, mean_interval, seeds
from polyhead.report.tables import interval, markdown, shown_points, title


def runs_table(runs: Sequence[FinishedRun]) -> str:
    """One row a run, in Markdown; means over targets and seeds, in points of the run's own main figure."""
    rows = []
    for run in runs:
        found, record = gains(run.record), run.record
        settings = record["settings"]
        ks = sorted({k for row in found for k in row.ks})
        n_heads = sum(value is not None for row in run.first["scores"] for value in row)
        rows.append(
            [
                run.name,
                settings["task"],
                settings.get("method", "–"),
                f"{len(found)}",
                f"{len(seeds(record))}",
                " to ".join(map(str, dict.fromkeys((ks[0], ks[-1])))) if ks else "–",
                f"{n_heads}",
                title(main_metric(record)),
                shown_points(fmean(row.unpruned for row in found)) if found else "–",
                shown_points(fmean(row.pruned for row in found)) if found else "–",
                shown_points(mean_gain(found), signed=True),
                interval(mean_interval(record, RANKED)),
            ]
        )
    headers = ["run", "task", "method", "targets", "seeds", "heads pruned", "of", "figure", "unpruned", "pruned", "gain"]
    return markdown([*headers, "95 % interval"], rows)
