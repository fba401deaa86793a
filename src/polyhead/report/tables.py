"""Markdown tables of a run's record."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from polyhead.core.escaping import markdown_text
from polyhead.report.reading import (
    Gain,
    arm_statistics,
    arms,
    cells,
    contrasts,
    gains,
    heads_gone,
    main_metric,
    mean_gain,
    mean_statistic,
    short,
    statistic,
    target_names,
)
from polyhead.report.record import RANKED, RunRecord, Statistic
from polyhead.selection.statistics import SEEDS_FOR_INTERVAL

_TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "chunk_f1": "chunk-F1",
    "span_f1": "span F1",
    "precision": "precision",
    "recall": "recall",
}
DATA_HEADERS = (
    "data",
    "split",
    "language",
    "sentences",
    "words",
    "words beginning with a lone ▁",
    "sentences in windows",
    "words without a subword",
    "truncated words",
    "repairs",
    "sha256",
)
ARM_NAMES = {RANKED: "lowest-ranked heads", "random": "random heads", "highest": "highest-ranked heads"}


def markdown(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with escaped cells; columns of numbers are right-aligned.

    >>> print(markdown(["k", "heads"], [[1, "0.3 1.2"]]))
    | k | heads |
    |--:|:--|
    | 1 | 0.3 1.2 |
    """
    body = [list(row) for row in rows]
    numeric = [all(_is_number(row[i]) for row in body) and bool(body) for i in range(len(headers))]
    lines = [_line(headers), "|" + "|".join("--:" if right else ":--" for right in numeric) + "|"]
    return "\n".join([*lines, *(_line(row) for row in body)])


def _line(row: Sequence[object]) -> str:
    return "| " + " | ".join(map(markdown_text, row)) + " |"


def _is_number(cell: object) -> bool:
    text = str(cell).strip("*").removeprefix("<").removesuffix(" %").replace(",", "")
    try:
        float(text or "0")
    except ValueError:
        return text == "–"
    return True


def shown_points(value: float | None, *, signed: bool = False) -> str:
    """A score in points with two decimals; a dash for None."""
    if value is None:
        return "–"
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def title(metric: str) -> str:
    """A metric's name in table headers."""
    return _TITLES.get(metric, metric)


def pruned_number(row: Gain) -> str:
    """How many heads were pruned: one number if all seeds agree, else one per seed; `0 (none pruned)` if no seed pruned any."""
    if row.pruned_nothing:
        return "0 (none pruned)"
    return str(row.ks[0]) if len(set(row.ks)) == 1 else ", ".join(map(str, row.ks))


def score_table(record: RunRecord, *, arm: str = RANKED) -> str:
    """One row per target: test score with all heads, test score with the chosen heads pruned, gain and its uncertainty.

    No p under the paper's protocols, which choose k on the tested split. `notes.note_on_tests` says how the rest is computed.
    """
    rows, names = gains(record, arm), target_names(record)
    columns = certainty_columns(arm_statistics(record, arm))
    headers = ["target", "language", "words", f"unpruned {title(main_metric(record))}", "pruned", "gain", "heads pruned"]
    body = []
    for row in rows:
        cells_ = [names[row.name], row.language, f"{row.n_words:,}", shown_points(row.unpruned)]
        cells_ += ["–", "–"] if row.pruned_nothing else [shown_points(row.pruned), shown_points(row.gain, signed=True)]
        found = statistic(record, arm=arm, name=row.name)
        body.append([*cells_, pruned_number(row), *certainty(found, columns)])
    if len(rows) > 1:
        means = [shown_points(fmean(row.unpruned for row in rows)), shown_points(fmean(row.pruned for row in rows))]
        last = ["mean", "", "", *means, shown_points(mean_gain(rows), signed=True), ""]
        body.append([*last, *certainty(mean_statistic(record, arm), columns)])
    return markdown([*headers, *columns], body)


INTERVAL, P, HOLM, DETECTABLE = "95 % interval", "p", "p (Holm)", "detectable gain"


def certainty_columns(rows: Sequence[Statistic | None], *, tested: bool = True) -> list[str]:
    """The uncertainty columns that the table's statistics can fill; p values only in a `tested` table."""
    there = [row for row in rows if row is not None]
    filled = {P: [row.p for row in there], HOLM: [row.p_holm for row in there]} if tested else {}
    filled[DETECTABLE] = [row.detectable_gain for row in there]
    return [INTERVAL] * bool(there) + [name for name, values in filled.items() if any(value is not None for value in values)]


def certainty(row: Statistic | None, columns: Sequence[str]) -> list[str]:
    """The cells of these columns for one statistic; the detectable gain only if the gain was not detected."""
    cells_ = {INTERVAL: interval_cell(row), DETECTABLE: shown_points(detectable(row))}
    cells_ |= {P: _p(None if row is None else row.p), HOLM: _p(None if row is None else row.p_holm)}
    return [cells_[name] for name in columns]


def interval_cell(row: Statistic | None) -> str:
    """The interval in points, or the reason why there is none."""
    if row is None or row.none_pruned:
        return "–"
    return interval(row.interval) if row.n_seeds >= SEEDS_FOR_INTERVAL else no_claim(row.n_seeds)


def no_claim(n_seeds: int) -> str:
    """The text that replaces an interval when there are too few seeds; empty if there are enough."""
    return "" if n_seeds >= SEEDS_FOR_INTERVAL else f"{n_seeds} seed{'s' * (n_seeds > 1)}: no claim"


def detectable(row: Statistic | None) -> float | None:
    """The smallest gain that these seeds would have detected; None if the gain was detected or there is no interval."""
    if row is None or row.interval is None:
        return None
    low, high = row.interval
    is_found = row.p_holm < 0.05 if row.p_holm is not None else low > 0 or high < 0
    return None if is_found else row.detectable_gain


def interval(bounds: Sequence[float] | None) -> str:
    """An interval in points."""
    return "–" if not bounds else f"{bounds[0]:+.2f} to {bounds[1]:+.2f}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def metric_table(record: RunRecord) -> str:
    """Every metric of every target, unpruned and pruned, as means over seeds; empty if the main metric is the only one."""
    metrics: list[str] = []
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for cell in cells(record):
        for target in cell.targets:
            for state, figures in (("unpruned", target.unpruned), ("pruned", target.pruned)):
                for metric, value in figures.items():
                    metrics += [] if metric in metrics else [metric]
                    found.setdefault((target.name, state), {}).setdefault(metric, []).append(value)
    if len(metrics) < 2:
        return ""
    names = target_names(record)
    rows = [
        [names[name], state, *(shown_points(fmean(by[m]) if m in by else None) for m in metrics)]
        for (name, state), by in found.items()
    ]
    return markdown(["target", "heads", *map(title, metrics)], rows)


def trial_table(record: RunRecord, *, arm: str = RANKED) -> str:
    """One row per trial: seed, k, dev score, seconds, whether it was chosen, and the pruned heads."""
    rows = [
        [
            cell.seed,
            trial.k,
            shown_points(trial.dev),
            f"{trial.seconds:.0f}",
            "chosen" if trial.k == cell.chosen else "",
            " ".join(heads_gone(cell, trial)) or "none",
        ]
        for cell in cells(record, arm)
        for trial in cell.trials
    ]
    return markdown(["seed", "k", "dev", "seconds", "", "heads pruned, layer.head"], rows)


def control_table(record: RunRecord) -> str:
    """One row per arm: mean gain over targets, its uncertainty, each seed's k; empty if the ranked arm is the only one."""
    names = arms(record)
    if len(names) < 2:
        return ""
    found = {arm: mean_statistic(record, arm) for arm in names}
    columns = certainty_columns([*found.values()], tested=False)
    rows = []
    for arm in names:
        chosen = ", ".join(str(cell.chosen) for cell in cells(record, arm))
        trials = ", ".join(str(len(cell.trials)) for cell in cells(record, arm))
        gain = shown_points(mean_gain(gains(record, arm)), signed=True)
        rows.append([ARM_NAMES.get(arm, arm), gain, *certainty(found[arm], columns), chosen, trials])
    return markdown(["pruned", "mean gain over targets", *columns, "k by seed", "fine-tunings by seed"], rows)


def contrast_table(record: RunRecord) -> str:
    """One row per pair of arms and target: gain of the ranked heads minus a control's gain; empty without controls."""
    found, names = contrasts(record), target_names(record)
    columns = certainty_columns(found)
    rows = []
    for row in found:
        one, _, other = row.arm.partition(" - ")
        pair = f"{ARM_NAMES.get(one, one)} minus {ARM_NAMES.get(other, other)}"
        gain = "0 (none pruned)" if row.none_pruned else shown_points(row.gain, signed=True)
        rows.append([pair, target_name(row, names), gain, *certainty(row, columns)])
    return markdown(["pruned", "target", "difference of gains", *columns], rows) if rows else ""


def target_name(row: Statistic, names: Mapping[str, str]) -> str:
    """The shown name of a statistic's target; `mean over targets` if it has none."""
    return "mean over targets" if row.name is None else names.get(row.name, row.name)


def data_table(record: RunRecord) -> str:
    """One row per split: size, encoding counts and repairs; `notes.note_on_data` explains the columns."""
    rows, names = [], target_names(record)
    for data in record.data:
        met = data.encoding
        repairs = "; ".join(f"{count} x {what}" for what, count in data.repairs.items())
        rows.append(
            [
                names.get(data.name, short(data.name)) if data.split == "test" else short(data.name),
                data.split,
                data.language,
                f"{data.sentences:,}",
                f"{data.words:,}",
                f"{100 * met.lone_marker_share:.1f} %",
                *(f"{count:,}" for count in (met.windowed_sentences, met.unk_words, met.truncated_words)),
                repairs or "none",
                data.sha256[:12],
            ]
        )
    return markdown(DATA_HEADERS, rows) if rows else ""
