"""Several runs in one table: what each pruned, what that did, and how sure that is."""

from collections.abc import Sequence
from statistics import fmean

from polyhead.report.finished_run import FinishedRun
from polyhead.report.reading import RANKED, Gain, gains, main_metric, mean_gain, mean_interval, seeds, shown_names, statistic
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


def gains_table(runs: Sequence[FinishedRun]) -> str:
    """One row a target of any run, one column a run: the gain, and its 95 % interval in brackets; in Markdown."""
    found = [{row.name: row for row in gains(run.record)} for run in runs]
    names = shown_names(name for own in found for name in own)
    rows = [
        [names[name], *(_gain(run, own.get(name)) for run, own in zip(runs, found, strict=True))]
        for name in dict.fromkeys(name for own in found for name in own)
    ]
    means = [
        _bracketed(mean_gain([*own.values()]), mean_interval(run.record, RANKED)) if own else "–"
        for run, own in zip(runs, found, strict=True)
    ]
    return markdown(["target", *(run.name for run in runs)], [*rows, ["mean", *means]])


def _gain(run: FinishedRun, row: Gain | None) -> str:
    if row is None:
        return "–"
    tested = statistic(run.record, arm=RANKED, name=row.name, language=row.language) or {}
    return _bracketed(row.gain, None if row.pruned_nothing else tested.get("interval"))


def _bracketed(gain: float, bounds: Sequence[float] | None) -> str:
    return shown_points(gain, signed=True) + (f" ({interval(bounds)})" if bounds else "")
