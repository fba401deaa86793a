"""Tables of scores by seed, and of several runs side by side."""

from collections.abc import Sequence
from statistics import fmean, stdev

from polyhead.report.finished_run import FinishedRun
from polyhead.report.reading import (
    Gain,
    cells,
    gains,
    main_metric,
    present_heads,
    seeds,
    shown_names,
    statistic,
    target_names,
)
from polyhead.report.record import RANKED, RunRecord, Statistic
from polyhead.report.tables import (
    SIGNED,
    certainty,
    certainty_columns,
    detectable,
    interval_cell,
    markdown,
    mean_cells,
    mean_gain_cell,
    pruned_number,
    pruned_range,
    shown_number,
    title,
)


def seed_table(record: RunRecord) -> str:
    """One row per target and seed, then mean and standard deviation (n − 1) over seeds; empty with one seed.

    With several targets, the last block has their mean per seed. A seed that chose k = 0 counts with its unpruned score.
    """
    if len(seeds(record)) < 2:
        return ""
    metric, names, found = main_metric(record), target_names(record), gains(record)
    rows: list[list[object]] = []
    for row in found:
        rows += _block(names[row.name], row.seeds, row.unpruned_by_seed, row.pruned_by_seed, row.ks)
    if len(found) > 1:
        own = cells(record)
        unpruned = [fmean(target.unpruned[metric] for target in cell.targets) for cell in own]
        pruned = [fmean(target.pruned[metric] for target in cell.targets) for cell in own]
        rows += _block("mean over targets", [cell.seed for cell in own], unpruned, pruned, [""] * len(own))
    return markdown(["target", "seed", f"unpruned {title(metric)}", "pruned", "gain", "heads pruned (k)"], rows)


def _block(
    name: str, ids: Sequence[int], unpruned: Sequence[float], pruned: Sequence[float], ks: Sequence[object]
) -> list[list[object]]:
    columns = [unpruned, pruned, [after - before for before, after in zip(unpruned, pruned, strict=True)]]
    spread = [stdev(column) if len(column) > 1 else None for column in columns]
    rows = [*zip(ids, *columns, ks, strict=True), ("mean", *map(fmean, columns), "")]
    shown: list[list[object]] = [
        [name, label, shown_number(before), shown_number(after), shown_number(gain, SIGNED), k]
        for label, before, after, gain, k in rows
    ]
    return [*shown, [name, "standard deviation", *map(shown_number, spread), ""]]


def runs_table(runs: Sequence[FinishedRun]) -> str:
    """One row per run, in Markdown; means over targets and seeds, in points of the run's main metric."""
    means = [statistic(run.record, arm=RANKED) for run in runs]
    columns = certainty_columns(means, tested=False)
    rows = []
    for run, mean in zip(runs, means, strict=True):
        record, found = run.record, gains(run.record)
        rows.append(
            [
                run.name,
                record.settings.task,
                record.settings.method,
                len(found),
                len(seeds(record)),
                pruned_range(found),
                len(present_heads(record.first)),
                title(main_metric(record)),
                *mean_cells(found),
                *certainty(mean, columns),
            ]
        )
    headers = ["run", "task", "method", "targets", "seeds", "heads pruned", "of", "metric", "unpruned", "pruned", "gain"]
    return markdown([*headers, *columns], rows)


def gains_table(runs: Sequence[FinishedRun]) -> str:
    """One row per target, one column per run: the gain, with its interval in brackets; in Markdown."""
    found = [{row.name: row for row in gains(run.record)} for run in runs]
    names = shown_names(name for own in found for name in own)
    rows = [
        [names[name], *(_gain(run, own.get(name)) for run, own in zip(runs, found, strict=True))]
        for name in dict.fromkeys(name for own in found for name in own)
    ]
    means = [
        _bracketed(mean_gain_cell([*own.values()]), statistic(run.record, arm=RANKED))
        for run, own in zip(runs, found, strict=True)
    ]
    return markdown(["target", *(run.name for run in runs)], [*rows, ["mean", *means]])


def _gain(run: FinishedRun, row: Gain | None) -> str:
    if row is None:
        return "–"
    if row.pruned_nothing:
        return pruned_number(row)
    return _bracketed(shown_number(row.gain, SIGNED), statistic(run.record, arm=RANKED, name=row.name))


def _bracketed(gain: str, row: Statistic | None) -> str:
    """The gain, its interval, and the detectable gain if this one was not detected."""
    missed = detectable(row)
    said = interval_cell(row) + ("" if missed is None else f"; detectable {shown_number(missed)}")
    return gain + ("" if said == "–" else f" ({said})")
