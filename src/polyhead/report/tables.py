"""Markdown: what tables and sections are made of, and the tables of a run's record."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from polyhead.core.escaping import markdown_text
from polyhead.core.values import counted
from polyhead.report import reading
from polyhead.report.record import RANKED, MaskGain, RunRecord, Statistic
from polyhead.selection.statistics import SEEDS_FOR_INTERVAL

_TITLES = {"macro_f1": "macro-F1", "chunk_f1": "chunk-F1", "span_f1": "span F1"}
SIGNED = "+.2f"
NONE_PRUNED = "0 (none pruned)"
ARM_NAMES = {RANKED: "lowest-ranked heads", "random": "random heads", "highest": "highest-ranked heads", "depth": "top layers"}


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


def section(name: str, content: str, *notes: str) -> str:
    """A Markdown section; empty without content."""
    return paragraphs(f"## {name}", content, *notes) if content else ""


def paragraphs(*parts: str) -> str:
    """The parts that are not empty, one below the other."""
    return "\n\n".join(part for part in parts if part)


def shown_number(value: float | None, form: str = ".2f") -> str:
    """A number, by default a score in points, as a table shows it; a dash for None."""
    return "–" if value is None else format(value, form)


def shown_interval(bounds: Sequence[float | None] | None, form: str = SIGNED) -> str:
    """An interval, by default one of a gain in points; a dash where there is none."""
    return "–" if not bounds or None in bounds else " to ".join(shown_number(bound, form) for bound in bounds)


def title(metric: str) -> str:
    """A metric's name in table headers."""
    return _TITLES.get(metric, metric)


def pruned_number(row: reading.Gain) -> str:
    """How many heads were pruned: one number if all seeds agree, else one per seed; `0 (none pruned)` if no seed pruned any."""
    if row.pruned_nothing:
        return NONE_PRUNED
    return str(row.ks[0]) if len(set(row.ks)) == 1 else ", ".join(map(str, row.ks))


def pruned_range(rows: Sequence[reading.Gain]) -> str:
    """The smallest and the largest number of pruned heads, as `0 to 6`; one number if they are equal."""
    ks = {k for row in rows for k in row.ks}
    return " to ".join(map(str, dict.fromkeys((min(ks), max(ks)))))


def score_table(record: RunRecord) -> str:
    """One row per target: test score with all heads, test score with the chosen heads pruned, gain and its uncertainty.

    No interval and no p under the paper's protocols, which choose k on the tested split. `notes.note_on_tests` says how the
    rest is computed.
    """
    rows, names = reading.gains(record), reading.target_names(record)
    columns = certainty_columns(reading.arm_statistics(record))
    headers = [
        "target",
        "language",
        f"{reading.unit(record)}s",
        f"unpruned {title(reading.main_metric(record))}",
        "pruned",
        "gain",
        "heads pruned",
    ]
    body = []
    for row in rows:
        effect = ["–", "–"] if row.pruned_nothing else [shown_number(row.pruned), shown_number(row.gain, SIGNED)]
        facts = [names[row.name], row.language, f"{row.n_words:,}", shown_number(row.unpruned), *effect, pruned_number(row)]
        body.append([*facts, *certainty(reading.statistic(record, arm=RANKED, name=row.name), columns)])
    if len(rows) > 1:
        body.append(
            [
                "mean",
                "",
                "",
                *mean_cells(rows),
                NONE_PRUNED if _none_pruned(rows) else "",
                *certainty(reading.statistic(record, arm=RANKED), columns),
            ]
        )
    return markdown([*headers, *columns], body)


def mean_cells(rows: Sequence[reading.Gain]) -> list[str]:
    """Means over targets: unpruned, pruned and gain; dashes for the last two if no seed pruned any head."""
    pruned, gain = (None, None) if _none_pruned(rows) else (fmean(row.pruned for row in rows), reading.mean_gain(rows))
    return [shown_number(fmean(row.unpruned for row in rows)), shown_number(pruned), shown_number(gain, SIGNED)]


def mean_gain_cell(rows: Sequence[reading.Gain]) -> str:
    """The mean gain over targets; `0 (none pruned)` if no seed pruned any head."""
    return NONE_PRUNED if _none_pruned(rows) else shown_number(reading.mean_gain(rows), SIGNED)


def _none_pruned(rows: Sequence[reading.Gain]) -> bool:
    return all(row.pruned_nothing for row in rows)


INTERVAL, P, HOLM, DETECTABLE = "95 % interval", "p", "p (Holm)", "detectable gain"


def certainty_columns(rows: Sequence[Statistic | None], *, tested: bool = True) -> list[str]:
    """The uncertainty columns that the table's statistics can fill; p values only in a `tested` table."""
    there = [row for row in rows if row is not None]
    filled = {P: [row.p for row in there], HOLM: [row.p_holm for row in there]} if tested else {}
    filled[DETECTABLE] = [row.detectable_gain for row in there]
    return [INTERVAL] * any(interval_cell(row) != "–" for row in there) + [
        name for name, values in filled.items() if any(value is not None for value in values)
    ]


def certainty(row: Statistic | None, columns: Sequence[str]) -> list[str]:
    """The cells of these columns for one statistic; the detectable gain only if the gain was not detected."""
    found = {INTERVAL: interval_cell(row), DETECTABLE: shown_number(detectable(row))}
    found |= {P: _p(None if row is None else row.p), HOLM: _p(None if row is None else row.p_holm)}
    return [found[name] for name in columns]


def interval_cell(row: Statistic | None) -> str:
    """The interval in points, or the reason why there is none."""
    if row is None or row.none_pruned:
        return "–"
    return shown_interval(row.interval) if row.n_seeds >= SEEDS_FOR_INTERVAL else no_claim(row.n_seeds)


def no_claim(n_seeds: int) -> str:
    """The text that replaces an interval when there are too few seeds; empty if there are enough."""
    return "" if n_seeds >= SEEDS_FOR_INTERVAL else f"{counted(n_seeds, 'seed')}: no claim"


def detectable(row: Statistic | None) -> float | None:
    """The smallest gain that these seeds would have detected; None if the gain was detected or there is no interval."""
    if row is None or row.interval is None:
        return None
    low, high = row.interval
    is_found = row.p_holm < 0.05 if row.p_holm is not None else low > 0 or high < 0
    return None if is_found else row.detectable_gain


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def metric_table(record: RunRecord) -> str:
    """Every metric of every target, unpruned and pruned, as means over seeds; empty if the main metric is the only one."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for cell in reading.cells(record):
        for target in cell.targets:
            found.setdefault((target.name, "unpruned"), []).append(target.unpruned)
            found.setdefault((target.name, "pruned"), []).append(target.pruned)
    metrics = list(dict.fromkeys(metric for by_seed in found.values() for scores in by_seed for metric in scores))
    if len(metrics) < 2:
        return ""
    names = reading.target_names(record)
    rows = []
    for (name, state), by_seed in found.items():
        values = [[scores[metric] for scores in by_seed if metric in scores] for metric in metrics]
        rows.append([names[name], state, *(shown_number(fmean(own) if own else None) for own in values)])
    return markdown(["target", "heads", *map(title, metrics)], rows)


def trial_table(record: RunRecord) -> str:
    """One row per trial: seed, k, dev score, seconds, whether it was chosen, and the pruned heads."""
    rows = [
        [
            cell.seed,
            trial.k,
            shown_number(trial.dev),
            f"{trial.seconds:.0f}",
            "chosen" if trial.k == cell.chosen else "",
            " ".join(reading.heads_pruned(cell, trial)) or "none",
        ]
        for cell in reading.cells(record)
        for trial in cell.trials
    ]
    return markdown(["seed", "k", "dev", "seconds", "", "heads pruned, layer.head"], rows)


def control_table(record: RunRecord) -> str:
    """One row per arm: mean gain over targets, its uncertainty, each seed's k; empty if the ranked arm is the only one."""
    found = {arm: reading.statistic(record, arm=arm) for arm in reading.arms(record)}
    if len(found) < 2:
        return ""
    columns = certainty_columns([*found.values()], tested=False)
    rows = []
    for arm, mean in found.items():
        chosen = ", ".join(str(cell.chosen) for cell in reading.cells(record, arm))
        used = ", ".join(str(cell.fine_tunings) for cell in reading.cells(record, arm))
        rows.append(
            [ARM_NAMES.get(arm, arm), mean_gain_cell(reading.gains(record, arm)), *certainty(mean, columns), chosen, used]
        )
    return markdown(["pruned", "mean gain over targets", *columns, "k by seed", "fine-tunings by seed"], rows)


def contrast_table(record: RunRecord) -> str:
    """One row per pair of arms and target: gain of the ranked heads minus a control's gain; empty without controls."""
    found, names = reading.contrasts(record), reading.target_names(record)
    columns = certainty_columns(found)
    rows = []
    for row in found:
        one, _, other = row.arm.partition(" - ")
        pair = f"{ARM_NAMES.get(one, one)} minus {ARM_NAMES.get(other, other)}"
        gain = NONE_PRUNED if row.none_pruned else shown_number(row.gain, SIGNED)
        rows.append([pair, target_name(row, names), gain, *certainty(row, columns)])
    return markdown(["pruned", "target", "difference of gains", *columns], rows) if rows else ""


def mask_table(record: RunRecord) -> str:
    """One row per arm and target of a nested search: the gain over the same model with all heads; empty for other searches."""
    names = reading.target_names(record)
    rows = [
        [ARM_NAMES.get(row.arm, row.arm), target_name(row, names), shown_number(row.of_mask.gain, SIGNED), _bounds(row.of_mask)]
        for row in record.statistics
        if row.of_mask is not None
    ]
    return markdown(["pruned", "target", "gain over its own k = 0", "95 % interval"], rows) if rows else ""


def _bounds(gain: MaskGain) -> str:
    return "–" if gain.interval is None else shown_interval(gain.interval)


def target_name(row: Statistic, names: Mapping[str, str]) -> str:
    """The shown name of a statistic's target; `mean over targets` if it has none."""
    return "mean over targets" if row.name is None else names.get(row.name, row.name)


def data_table(record: RunRecord) -> str:
    """One row per split: size, encoding counts and repairs; `notes.note_on_data` explains the columns."""
    names, is_text = reading.target_names(record), reading.unit(record) == "sentence"
    rows = [
        [
            names.get(data.name, reading.short(data.name)) if data.split == "test" else reading.short(data.name),
            data.split,
            data.language,
            f"{data.sentences:,}",
            f"{data.words:,}",
            *([] if is_text else [f"{100 * data.encoding.lone_marker_share:.1f} %", f"{data.encoding.windowed_sentences:,}"]),
            *(f"{n:,}" for n in (data.encoding.unk_words, data.encoding.truncated_words)),
            "; ".join(f"{count} x {what}" for what, count in data.repairs.items()) or "none",
            data.sha256[:12],
        ]
        for data in record.data
    ]
    headers = ["data", "split", "language", "sentences", "words"]
    headers += [] if is_text else ["words beginning with a lone ▁", "sentences in windows"]
    unit = reading.unit(record)
    headers += [f"{unit}s without a subword", f"truncated {unit}s", "repairs", "sha256"]
    return markdown(headers, rows) if rows else ""
