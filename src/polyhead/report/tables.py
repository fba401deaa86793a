"""Tables of a run's record, in Markdown."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from polyhead.report.reading import (
    Gain,
    arms,
    cells,
    chosen_on_test,
    contrasts,
    gains,
    heads_gone,
    main_metric,
    mean_gain,
    mean_interval,
    rows_with_tests,
    short,
    statistic,
    target_names,
)
from polyhead.report.record import RANKED, RunRecord, Statistic

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
    "words without a piece",
    "words cut short",
    "repairs",
    "sha256",
)
ARM_NAMES = {RANKED: "lowest-ranked heads", "random": "random heads", "highest": "highest-ranked heads"}


def markdown(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; columns of numbers stand to the right.

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
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _is_number(cell: object) -> bool:
    text = str(cell).strip("*").removesuffix(" %").replace(",", "")
    try:
        float(text or "0")
    except ValueError:
        return text == "–"
    return True


def shown_points(value: float | None, *, signed: bool = False) -> str:
    """A score in points with two decimals; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def title(metric: str) -> str:
    """How a metric is called in a table's head."""
    return _TITLES.get(metric, metric)


def pruned_number(row: Gain) -> str:
    """How many heads were pruned: one number where all seeds agree, else every seed's; `0 (none pruned)` where nothing was."""
    if row.pruned_nothing:
        return "0 (none pruned)"
    return str(row.ks[0]) if len(set(row.ks)) == 1 else ", ".join(map(str, row.ks))


def score_table(record: RunRecord, *, arm: str = RANKED) -> str:
    """One row a target: test score with all heads, with the chosen heads gone, the gain, and its interval and p where tested.

    Under the paper's protocols p stays blank: k was chosen on the tested split. `notes.note_on_tests` says how both were made.
    """
    rows, names = gains(record, arm), target_names(record)
    tested = bool(rows_with_tests(record, arm))
    headers = ["target", "language", "words", f"unpruned {title(main_metric(record))}", "pruned", "gain", "heads pruned"]
    body = []
    for row in rows:
        cells_ = [names[row.name], row.language, f"{row.n_words:,}", shown_points(row.unpruned)]
        cells_ += ["–", "–"] if row.pruned_nothing else [shown_points(row.pruned), shown_points(row.gain, signed=True)]
        cells_.append(pruned_number(row))
        body.append(cells_ + (_test_cells(record, arm, row) if tested else []))
    if len(rows) > 1:
        means = [shown_points(fmean(row.unpruned for row in rows)), shown_points(fmean(row.pruned for row in rows))]
        last = ["mean", "", "", *means, shown_points(mean_gain(rows), signed=True), ""]
        body.append(last + ([interval(mean_interval(record, arm)), "", ""] if tested else []))
    return markdown([*headers, *(["95 % interval", "p", "p (Holm)"] if tested else [])], body)


def _test_cells(record: RunRecord, arm: str, row: Gain) -> list[str]:
    found = statistic(record, arm=arm, name=row.name)
    if found is None or row.pruned_nothing:
        return ["–", "–", "–"]
    return [interval(found.interval), *_p_cells(record, found)]


def _p_cells(record: RunRecord, row: Statistic) -> list[str]:
    """p and p by Holm; blank where they would not hold."""
    return ["", ""] if chosen_on_test(record) else [_p(row.p), _p(row.p_holm)]


def interval(bounds: Sequence[float] | None) -> str:
    """An interval in points."""
    return "–" if not bounds else f"{bounds[0]:+.2f} to {bounds[1]:+.2f}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def metric_table(record: RunRecord) -> str:
    """Every metric of every target, unpruned and pruned, means over seeds; empty if there is only the main one."""
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
    """One row a fine-tuning: seed, k, the heads that went, dev score, seconds; the chosen one is marked."""
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
    """One row an arm: mean gain over targets, its interval, what each seed chose; empty if the ranked arm is the only one."""
    names = arms(record)
    if len(names) < 2:
        return ""
    rows = []
    for arm in names:
        chosen = ", ".join(str(cell.chosen) for cell in cells(record, arm))
        trials = ", ".join(str(len(cell.trials)) for cell in cells(record, arm))
        gain = shown_points(mean_gain(gains(record, arm)), signed=True)
        rows.append([ARM_NAMES.get(arm, arm), gain, interval(mean_interval(record, arm)), chosen, trials])
    return markdown(["pruned", "mean gain over targets", "95 % interval", "k by seed", "fine-tunings by seed"], rows)


def contrast_table(record: RunRecord) -> str:
    """One row a pair of arms and target: how much more the ranked heads gain than a control; empty where that was not tested."""
    rows, names = [], target_names(record)
    for row in contrasts(record):
        one, _, other = row.arm.partition(" - ")
        pair = f"{ARM_NAMES.get(one, one)} minus {ARM_NAMES.get(other, other)}"
        name = "mean over targets" if row.name is None else names[row.name]
        rows.append([pair, name, shown_points(row.gain, signed=True), interval(row.interval), *_p_cells(record, row)])
    return markdown(["pruned", "target", "difference of gains", "95 % interval", "p", "p (Holm)"], rows) if rows else ""


def data_table(record: RunRecord) -> str:
    """One row a split read: its size, what encoding met, and what reading repaired; `notes.note_on_data` explains the columns."""
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
                f"`{data.sha256[:12]}`",
            ]
        )
    return markdown(DATA_HEADERS, rows) if rows else ""
