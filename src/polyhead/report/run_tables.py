"""Tables of scores by seed, and of several runs side by side."""

from collections.abc import Sequence
from statistics import fmean, stdev

from polyhead.report.finished_run import FinishedRun
from polyhead.report.reading import (
    Gain,
    gains,
    main_metric,
    mean_gain,
    mean_statistic,
    seed_scores,
    seeds,
    shown_names,
    statistic,
    target_names,
)
from polyhead.report.record import RANKED, RunRecord, Statistic
from polyhead.report.tables import (
    certainty,
    certainty_columns,
    detectable,
    interval_cell,
    markdown,
    pruned_number,
    shown_points,
    title,
)


def seed_table(record: RunRecord, *, arm: str = RANKED) -> str:
    """One row per target and seed, then mean and standard deviation (n − 1) over seeds; empty with one seed.

    With several targets, the last block has their mean per seed. A seed that chose k = 0 counts with its unpruned score.
    """
    if len(seeds(record)) < 2:
        return ""
    by_target, names = seed_scores(record, arm), target_names(record)
    rows: list[list[object]] = []
    for name, scores in by_target.items():
        pairs = [(score.unpruned, score.pruned) for score in scores]
        rows += _block(names[name], [score.seed for score in scores], pairs, [score.k for score in scores])
    by_seed = {seed: [score for scores in by_target.values() for score in scores if score.seed == seed] for seed in seeds(record)}
    if len(by_target) > 1:
        means = [(fmean(s.unpruned for s in found), fmean(s.pruned for s in found)) for found in by_seed.values() if found]
        met = [seed for seed, found in by_seed.items() if found]
        rows += _block("mean over targets", met, means, [""] * len(met))
    return markdown(["target", "seed", f"unpruned {title(main_metric(record))}", "pruned", "gain", "heads pruned (k)"], rows)


def _block(name: str, ids: Sequence[int], pairs: Sequence[tuple[float, float]], ks: Sequence[object]) -> list[list[object]]:
    columns = [[a for a, _ in pairs], [b for _, b in pairs], [b - a for a, b in pairs]]
    rows: list[list[object]] = [
        [name, seed, shown_points(a), shown_points(b), shown_points(gain, signed=True), k]
        for seed, a, b, gain, k in zip(ids, *columns, ks, strict=True)
    ]
    mean = [fmean(column) for column in columns]
    rows.append([name, "mean", shown_points(mean[0]), shown_points(mean[1]), shown_points(mean[2], signed=True), ""])
    spread = [stdev(column) if len(column) > 1 else None for column in columns]
    return [*rows, [name, "standard deviation", *map(shown_points, spread), ""]]


def runs_table(runs: Sequence[FinishedRun]) -> str:
    """One row per run, in Markdown; means over targets and seeds, in points of the run's main metric."""
    means = [mean_statistic(run.record, RANKED) for run in runs]
    columns = certainty_columns(means, tested=False)
    rows = []
    for run, mean in zip(runs, means, strict=True):
        found, record = gains(run.record), run.record
        settings = record.settings
        ks = sorted({k for row in found for k in row.ks})
        n_heads = sum(value is not None for row in run.first.scores for value in row)
        rows.append(
            [
                run.name,
                settings.task,
                settings.method,
                f"{len(found)}",
                f"{len(seeds(record))}",
                " to ".join(map(str, dict.fromkeys((ks[0], ks[-1])))) if ks else "–",
                f"{n_heads}",
                title(main_metric(record)),
                shown_points(fmean(row.unpruned for row in found)) if found else "–",
                shown_points(fmean(row.pruned for row in found)) if found else "–",
                shown_points(mean_gain(found), signed=True),
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
        _bracketed(mean_gain([*own.values()]), mean_statistic(run.record, RANKED)) if own else "–"
        for run, own in zip(runs, found, strict=True)
    ]
    return markdown(["target", *(run.name for run in runs)], [*rows, ["mean", *means]])


def _gain(run: FinishedRun, row: Gain | None) -> str:
    if row is None:
        return "–"
    if row.pruned_nothing:
        return pruned_number(row)
    return _bracketed(row.gain, statistic(run.record, arm=RANKED, name=row.name))


def _bracketed(gain: float, row: Statistic | None) -> str:
    """The gain, its interval, and the detectable gain if this one was not detected."""
    missed = detectable(row)
    said = interval_cell(row) + ("" if missed is None else f"; detectable {shown_points(missed)}")
    return shown_points(gain, signed=True) + ("" if said == "–" else f" ({said})")
