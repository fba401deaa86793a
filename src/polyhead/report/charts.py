"""Charts of runs, drawn by altair: gains with their intervals, and dev scores by the number of heads removed."""

from collections.abc import Sequence
from typing import Any

from polyhead.report.finished_run import FinishedRun
from polyhead.report.reading import arms, cells, gains, main_metric, mean_gain, statistic, target_names
from polyhead.report.record import RANKED
from polyhead.report.tables import ARM_NAMES, title

_ROW = 16
_MOST_PANELS = 3


def gain_chart(altair: Any, runs: Sequence[FinishedRun]) -> Any:
    """Gain on every target and their mean, with 95 % intervals; one panel per run, one colour per arm.

    More than three runs share one panel, which shows the mean over targets of each.
    """
    by_run = {run.name: _gain_rows(run) for run in runs}
    if len(runs) > _MOST_PANELS:
        last = [[row for row in rows if row["target"] == "mean"] or rows for rows in by_run.values()]  # one target: its own rows
        panels = {"mean over targets": [{**row, "target": row["run"]} for rows in last for row in rows]}
    else:
        panels = by_run if len(runs) > 1 else {"": next(iter(by_run.values()))}
    shown_arms = list(dict.fromkeys(row["pruned"] for rows in panels.values() for row in rows))
    charts = [_gain_panel(altair, rows, shown_arms).properties(title=name) for name, rows in panels.items()]
    return altair.vconcat(*charts).resolve_scale(x="shared", yOffset="independent", color="shared")


def _gain_panel(altair: Any, rows: Sequence[dict[str, Any]], shown_arms: Sequence[str]) -> Any:
    names = [*dict.fromkeys(row["target"] for row in rows if row["target"] != "mean"), "mean"]
    base = altair.Chart(altair.Data(values=rows)).encode(
        y=altair.Y("target:N", sort=names, title=None, axis=altair.Axis(labelLimit=220)),
        yOffset=altair.YOffset("pruned:N", sort=shown_arms),
        color=altair.Color(
            "pruned:N",
            sort=shown_arms,
            scale=altair.Scale(domain=shown_arms, scheme="tableau10"),
            legend=altair.Legend(title="pruned") if len(shown_arms) > 1 else None,
        ),
    )

    def along(name: str) -> Any:
        ticks = altair.Axis(labelOverlap="greedy", tickCount=7)
        return altair.X(f"{name}:Q", title="gain in points, with its 95 % interval", axis=ticks)

    tested = base.transform_filter("isValid(datum.low)")
    lines = tested.mark_rule(strokeWidth=2).encode(x=along("low"), x2="high:Q")
    dots = base.mark_point(filled=True, size=55, opacity=1).encode(x=along("gain"))
    zero = altair.Chart(altair.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[3, 3], color="grey").encode(x="zero:Q")
    return altair.layer(zero, lines, dots).properties(width=430, height=altair.Step(_ROW))


def _gain_rows(run: FinishedRun) -> list[dict[str, Any]]:
    record, names, found = run.record, target_names(run.record), []
    for arm in arms(record):
        rows = gains(record, arm)
        shown = [(names[row.name], row.gain, statistic(record, arm=arm, name=row.name)) for row in rows]
        if len(rows) > 1:
            shown.append(("mean", mean_gain(rows), statistic(record, arm=arm)))
        for target, gain, tested in shown:
            low, high = (tested and tested.interval) or (None, None)
            facts = {"run": run.name, "pruned": ARM_NAMES.get(arm, arm), "target": target}
            found.append({**facts, "gain": gain, "low": low, "high": high})
    return found


def trial_chart(altair: Any, run: FinishedRun) -> Any:
    """Dev score against heads removed: a line for masked heads, points for fine-tunings, a ring around the chosen one."""
    masked, tried = [], []
    for cell in cells(run.record, RANKED):
        seed = f"seed {cell.seed}"
        masked += [{"seed": seed, "k": k, "dev": value} for k, value in enumerate(cell.screen or ())]
        tried += [{"seed": seed, "k": t.k, "dev": t.dev, "chosen": t.k == cell.chosen} for t in cell.trials]
    names = list(dict.fromkeys(row["seed"] for row in tried))
    x = altair.X("k:Q", title="heads removed (k)", axis=altair.Axis(tickMinStep=1))
    y = altair.Y("dev:Q", title=f"dev {title(main_metric(run.record))} in points", scale=altair.Scale(zero=False))
    colour = altair.Color("seed:N", title=None, scale=altair.Scale(domain=names, scheme="tableau10"))
    line = altair.Chart(altair.Data(values=masked)).mark_line(strokeDash=[4, 3]).encode(x=x, y=y, color=colour)
    points = altair.Chart(altair.Data(values=tried)).encode(x=x, y=y, color=colour)
    rings = points.transform_filter("datum.chosen").mark_point(size=200, strokeWidth=2)
    layers = [*([line] if masked else []), points.mark_point(filled=True, size=60, opacity=1), rings]
    return altair.layer(*layers).properties(width=430, height=240)
