"""One page about a run, `report.md`: what happened and how sure it is, then tables, the picture, ceilings and provenance."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from polyhead.core.errors import SettingError
from polyhead.core.escaping import markdown_text
from polyhead.core.files import write_text_atomic
from polyhead.report.notes import (
    claim,
    note_on_controls,
    note_on_data,
    note_on_metrics,
    note_on_noise,
    note_on_scores,
    note_on_seeds,
    note_on_tests,
    note_on_trials,
    provenance,
)
from polyhead.report.pictures import PICTURE_LEGEND, head_picture, text_picture
from polyhead.report.reading import (
    RANKED,
    Record,
    cells,
    gains,
    heads_gone,
    main_metric,
    mean_gain,
    mean_statistic,
    seeds,
    short,
    target_names,
)
from polyhead.report.run_tables import seed_table
from polyhead.report.tables import (
    contrast_table,
    control_table,
    data_table,
    detectable,
    interval,
    interval_cell,
    metric_table,
    score_table,
    shown_points,
    target_name,
    title,
    trial_table,
)

logger = logging.getLogger(__name__)


def write_report(record: Record, folder: Path) -> Path:
    """The path of `report.md` in `folder`, written from a run's record; `heads.svg` beside it where the extra is installed.

    Args:
        record: The content of a run's `result.json`.
        folder: An existing folder; an older page in it is replaced at once, never half.
    """
    first = cells(record)[0]
    try:
        caption = f"importance of heads, seed {first['seed']}"
        svg = head_picture(first["scores"], folder / "heads.svg", pruned=chosen_heads(first), title=caption)
    except SettingError as error:
        logger.warning("no SVG picture: %s", error)
        svg = None
    path = folder / "report.md"
    write_text_atomic(path, page(record, picture=None if svg is None else svg.name))
    return path


def page(record: Record, *, picture: str | None = None) -> str:
    """The page's Markdown; `picture` is the file name of an SVG to show."""
    first = cells(record)[0]
    heads = section("Heads × layers", _shown_picture(picture), _text_block(first, chosen_heads(first)), ranking_line(first))
    parts = [
        f"# {markdown_text(page_title(record))}",
        headline(record),
        claim(record),
        *score_sections(record),
        heads,
        *source_sections(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def page_title(record: Record) -> str:
    """Task, sources and how many targets."""
    settings = record["settings"]
    return f"{settings['task']}: {', '.join(map(short, settings['sources']))} to {len(cells(record)[0]['targets'])} target(s)"


def score_sections(record: Record) -> list[str]:
    """What came out: test scores, seeds, controls, tests and trials; each a section in Markdown, or empty."""
    return [
        section("Test scores", score_table(record), note_on_scores(record), note_on_tests(record)),
        section("Scores by seed", seed_table(record), note_on_seeds(record)),
        _all_metrics(record),
        section("Controls", control_table(record), note_on_controls(record)),
        section("Ranked against controls", contrast_table(record), note_on_tests(record, "contrast")),
        _noise_section(record),
        section("Trials", trial_table(record), note_on_trials(record)),
    ]


def source_sections(record: Record) -> list[str]:
    """What it cost and where it comes from: ceilings, data and provenance; each a section in Markdown, or empty."""
    return [
        section("What pruning can save", ceilings(record.get("cost") or {})),
        section("Data", data_table(record), note_on_data(record)),
        section("Provenance", provenance(record)),
    ]


def section(name: str, *parts: str) -> str:
    """A section, or nothing where all parts are empty."""
    filled = [part for part in parts if part]
    return "\n\n".join([f"## {name}", *filled]) if filled else ""


def _all_metrics(record: Record) -> str:
    table = metric_table(record)
    return section("All metrics", table, note_on_metrics(record)) if table else ""


def _shown_picture(picture: str | None) -> str:
    return f"![heads × layers]({picture})\n\n{PICTURE_LEGEND[0].upper()}{PICTURE_LEGEND[1:]}." if picture else ""


def chosen_heads(cell: Mapping[str, Any]) -> list[str]:
    """Addresses of the heads that the chosen trial of a cell pruned."""
    return next((heads_gone(cell, trial) for trial in cell["trials"] if trial["k"] == cell["chosen"]), [])


def headline(record: Record) -> str:
    """The result in one sentence, with how uncertain it is."""
    rows, n_seeds = gains(record), len(seeds(record))
    metric, scores = title(main_metric(record)), cells(record)[0]["scores"]
    n_heads = sum(value is not None for row in scores for value in row)
    ks = sorted({k for row in rows for k in row.ks})
    if not any(ks):
        return f"**No head was pruned: {_why_none(record, n_heads)}, so there is nothing to compare.**"
    number = str(ks[0]) if len(ks) == 1 else f"{ks[0]} to {ks[-1]}"
    spread = _spread(record)
    return (
        f"**Pruning {number} of {n_heads} heads changed the mean test {metric} over {len(rows)} target(s) from "
        f"{shown_points(fmean(row.unpruned for row in rows))} to {shown_points(fmean(row.pruned for row in rows))} points "
        f"({shown_points(mean_gain(rows), signed=True)}; {spread}; {n_seeds} seed(s)).**"
    )


def _why_none(record: Record, n_heads: int) -> str:
    """Why every seed chose k = 0, from what its search was allowed and tried."""
    search = record["settings"].get("search") or {}
    if search.get("max_pruned") == 0:
        return "k = 0 was the only number allowed (max_pruned = 0)"
    if all(trial["k"] == 0 for cell in cells(record) for trial in cell["trials"]):
        return "no other number than k = 0 was tried (see the reasons under Trials)"
    objective = str(search.get("objective", "best"))
    if objective.startswith("within:"):
        return f"every other number tried lost more than {markdown_text(objective.removeprefix('within:'))} points on dev"
    return f"with all {n_heads} heads the dev score was best"


def _spread(record: Record) -> str:
    found = mean_statistic(record, RANKED)
    if not found:
        values = [row.gain for row in gains(record)]
        return f"single targets {shown_points(min(values), signed=True)} to {shown_points(max(values), signed=True)}"
    if not found.get("interval"):
        return interval_cell(found)
    missed = detectable(found)
    return f"95 % interval {interval(found['interval'])}" + ("" if missed is None else f"; detectable {shown_points(missed)}")


def _noise_section(record: Record) -> str:
    return section("Tests against selection noise", _noise(record), note_on_noise(record))


def _noise(record: Record) -> str:
    lines, names = [], target_names(record)
    for row in record.get("statistics") or ():
        if beyond := row.get("gain_minus_noise"):
            what = "selection noise" if row.get("noise") else "that of random heads"
            said = f"{interval(beyond['interval'])}: {_verdict(beyond['interval'])}"
            which = markdown_text(f"{target_name(row, names)} ({row.get('arm', RANKED)})")
            lines.append(f"- {which}: gain minus {what} {said}")
    return "\n".join(lines)


def _verdict(bounds: Sequence[float]) -> str:
    """What an interval of gain minus selection noise says."""
    if bounds[0] > 0:
        return "helps beyond noise"
    return "hurts beyond noise" if bounds[1] < 0 else "within noise"


def _text_block(cell: Mapping[str, Any], pruned: list[str]) -> str:
    legend = "0 to 9: tenth of the ranking (9 = most important); x: pruned; -: not in the model. The last layer is on top."
    return f"```text\n{text_picture(cell['scores'], pruned)}\n```\n\n{legend}"


def ranking_line(cell: Mapping[str, Any]) -> str:
    """How the heads were ranked, at what cost, and the first to go."""
    cost = cell.get("ranking_cost") or {}
    spent = (
        f" by {markdown_text(cost['method'])} in {cost.get('seconds', 0):.1f} s ({cost.get('forward_passes', 0):g} forward and "
        f"{cost.get('backward_passes', 0):g} backward passes over the data)"
        if cost.get("method")
        else ""
    )
    return f"Ranked{spent}, seed {cell['seed']}. Least important first: {markdown_text(' '.join(cell['ranking'][:12]))} …"


def ceilings(cost: Mapping[str, Any]) -> str:
    """How much of the model its heads are, so that nobody expects more of pruning than it can give."""
    lines = []
    model, heads, one = cost.get("model_weights"), cost.get("all_heads_weights"), cost.get("head_weights")
    if model and heads and one:
        lines.append(
            f"- One head is {one:,} weights; all heads together {heads:,} of {model:,}: {heads / model:.0%} of the model."
        )
    if model and cost.get("embedding_weights"):
        share = cost["embedding_weights"] / model
        lines.append(f"- The embedding is {share:.0%} of the model; vocabulary trimming, not head pruning, makes that smaller.")
    for key, value in cost.items():
        if key.startswith("attention_share_") and value is not None:
            n_tokens = key.rpartition("_")[2]
            lines.append(
                f"- Attention is {value:.0%} of the encoder's multiply-adds at {markdown_text(n_tokens)} tokens: "
                f"half of all heads saves at most {value / 2:.0%}."
            )
    return "\n".join(lines)
