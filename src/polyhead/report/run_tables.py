"""Tables of scores by seed, and of several runs side by side."""

from collections.abc import Sequence
from statistics import fmean, stdev

from polyhead.report import reading, tables
from polyhead.report.finished_run import FinishedRun
from polyhead.report.record import RANKED, RunRecord, Statistic


def seed_table(record: RunRecord) -> str:
    """One row per target and seed, then mean and standard deviation (n − 1) over seeds; empty with one seed.

    With several targets, the last block has their mean per seed. A seed that chose k = 0 counts with its unpruned score.
    """
    if len(reading.seeds(record)) < 2:
        return ""
    metric, names, found = reading.main_metric(record), reading.target_names(record), reading.gains(record)
    rows: list[list[object]] = []
    for row in found:
        rows += _block(names[row.name], row.seeds, row.unpruned_by_seed, row.pruned_by_seed, row.ks)
    if len(found) > 1:
        own = reading.cells(record)
        unpruned = [fmean(target.unpruned[metric] for target in cell.targets) for cell in own]
        pruned = [fmean(target.pruned[metric] for target in cell.targets) for cell in own]
        rows += _block("mean over targets", [cell.seed for cell in own], unpruned, pruned, [""] * len(own))
    return tables.markdown(["target", "seed", f"unpruned {tables.title(metric)}", "pruned", "gain", "heads pruned (k)"], rows)


def _block(
    name: str, ids: Sequence[int], unpruned: Sequence[float], pruned: Sequence[float], ks: Sequence[object]
) -> list[list[object]]:
    columns = [unpruned, pruned, [after - before for before, after in zip(unpruned, pruned, strict=True)]]
    spread = [stdev(column) if len(column) > 1 else None for column in columns]
    rows = [*zip(ids, *columns, ks, strict=True), ("mean", *map(fmean, columns), "")]
    shown: list[list[object]] = [
        [name, label, tables.shown_number(before), tables.shown_number(after), tables.shown_number(gain, tables.SIGNED), k]
        for label, before, after, gain, k in rows
    ]
    return [*shown, [name, "standard deviation", *map(tables.shown_number, spread), ""]]


def runs_table(runs: Sequence[FinishedRun]) -> str:
    """One row per run, in Markdown; means over targets and seeds, in points of the run's main metric."""
    means = [reading.statistic(run.record, arm=RANKED) for run in runs]
    columns = tables.certainty_columns(means, tested=False)
    rows = []
    for run, mean in zip(runs, means, strict=True):
        record, found = run.record, reading.gains(run.record)
        rows.append(
            [
                run.name,
                record.settings.task,
                record.settings.method,
                len(found),
                len(reading.seeds(record)),
                tables.pruned_range(found),
                len(reading.present_heads(record.first)),
                tables.title(reading.main_metric(record)),
                *tables.mean_cells(found),
                *tables.certainty(mean, columns),
            ]
        )
    headers = ["run", "task", "method", "targets", "seeds", "heads pruned", "of", "metric", "unpruned", "pruned", "gain"]
    return tables.markdown([*headers, *columns], rows)


def gains_table(runs: Sequence[FinishedRun]) -> str:
    """One row per target, one column per run: the gain, with its interval in brackets; in Markdown."""
    found = [{row.name: row for row in reading.gains(run.record)} for run in runs]
    names = reading.shown_names(name for own in found for name in own)
    rows = [
        [names[name], *(_gain(run, own.get(name)) for run, own in zip(runs, found, strict=True))]
        for name in dict.fromkeys(name for own in found for name in own)
    ]
    means = [
        _bracketed(tables.mean_gain_cell([*own.values()]), reading.statistic(run.record, arm=RANKED))
        for run, own in zip(runs, found, strict=True)
    ]
    return tables.markdown(["target", *(run.name for run in runs)], [*rows, ["mean", *means]])


def _gain(run: FinishedRun, row: reading.Gain | None) -> str:
    if row is None:
        return "–"
    if row.pruned_nothing:
        return tables.pruned_number(row)
    return _bracketed(tables.shown_number(row.gain, tables.SIGNED), reading.statistic(run.record, arm=RANKED, name=row.name))


def _bracketed(gain: str, row: Statistic | None) -> str:
    """The gain, its interval, and the detectable gain if this one was not detected."""
    missed = tables.detectable(row)
    said = tables.interval_cell(row) + ("" if missed is None else f"; detectable {tables.shown_number(missed)}")
    return gain + ("" if said == "–" else f" ({said})")
