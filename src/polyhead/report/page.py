"""`report.md`, the Markdown page of one run: the result and its uncertainty, tables, head map, ceilings and provenance."""

from pathlib import Path

from polyhead.core.escaping import markdown_text
from polyhead.core.files import write_text_atomic
from polyhead.core.values import counted
from polyhead.report import notes, reading, tables
from polyhead.report.pictures import PICTURE_LEGEND, text_picture
from polyhead.report.record import RANKED, CellRecord, CostRecord, RunRecord
from polyhead.report.run_tables import seed_table

PICTURE = "heads.svg"


def write_report(record: RunRecord, folder: Path) -> Path:
    """Writes `report.md` and returns its path; the page shows `heads.svg` if `folder` has one.

    Args:
        record: The content of a run's `result.json`.
        folder: An existing folder; an older page is replaced atomically.
    """
    path = folder / "report.md"
    write_text_atomic(path, page(record, picture=PICTURE if (folder / PICTURE).is_file() else None))
    return path


def page(record: RunRecord, *, picture: str | None = None) -> str:
    """The page's Markdown; `picture` is the file name of an SVG to show."""
    first = record.first
    shown = f"![heads × layers]({picture})\n\n{PICTURE_LEGEND[0].upper()}{PICTURE_LEGEND[1:]}." if picture else ""
    legend = "0 to 9: tenth of the ranking (9 = most important); x: pruned; -: not in the model. The last layer is on top."
    text = f"```text\n{text_picture(first.scores, reading.chosen_heads(first))}\n```"
    parts = [
        f"# {markdown_text(page_title(record))}",
        headline(record),
        notes.claim(record),
        *score_sections(record),
        tables.section("Heads × layers", tables.paragraphs(shown, text), legend, ranking_line(first)),
        *source_sections(record),
    ]
    return tables.paragraphs(*parts) + "\n"


def page_title(record: RunRecord) -> str:
    """Task, sources and number of targets."""
    settings = record.settings
    sources, targets = map(reading.short, settings.sources), counted(len(record.first.targets), "target")
    return f"{settings.task}: {', '.join(sources)} to {targets}"


def score_sections(record: RunRecord) -> list[str]:
    """Markdown sections with the results: test scores, seeds, controls, tests and trials; empty strings for missing ones."""
    return [
        tables.section("Test scores", tables.score_table(record), notes.note_on_scores(record), notes.note_on_tests(record)),
        tables.section("Scores by seed", seed_table(record), notes.note_on_seeds(record)),
        tables.section("All metrics", tables.metric_table(record), notes.note_on_metrics(record)),
        tables.section("Controls", tables.control_table(record), notes.note_on_controls(record)),
        tables.section("Ranked against controls", tables.contrast_table(record), notes.note_on_tests(record, "contrast")),
        tables.section("Effect of the masks alone", tables.mask_table(record), notes.note_on_masks(record)),
        tables.section("Tests against selection noise", tables.paragraphs(_noise(record), notes.note_on_noise(record))),
        tables.section("Trials", tables.trial_table(record), notes.note_on_trials(record)),
    ]


def source_sections(record: RunRecord) -> list[str]:
    """Markdown sections on cost and sources: ceilings, data and provenance."""
    return [
        tables.section("What pruning can save", ceilings(record.cost)),
        tables.section("Data", tables.paragraphs(tables.data_table(record), notes.note_on_data(record))),
        tables.section("Provenance", notes.provenance(record)),
    ]


def headline(record: RunRecord) -> str:
    """The result and its uncertainty in one sentence."""
    rows, n_heads = reading.gains(record), len(reading.present_heads(record.first))
    if all(row.pruned_nothing for row in rows):
        return f"**No head was pruned: {_why_none(record, n_heads)}, so there is nothing to compare.**"
    unpruned, pruned, gain = tables.mean_cells(rows)
    metric, targets = tables.title(reading.main_metric(record)), counted(len(rows), "target")
    return (
        f"**Pruning {tables.pruned_range(rows)} of {n_heads} heads changed the mean test {metric} over {targets} from {unpruned} "
        f"to {pruned} points ({gain}; {_spread(record)}).**"
    )


def _why_none(record: RunRecord, n_heads: int) -> str:
    search = record.settings.search
    if search.max_pruned == 0:
        return "k = 0 was the only number allowed (max_pruned = 0)"
    if all(trial.k == 0 for cell in reading.cells(record) for trial in cell.trials):
        return "only k = 0 was tried (see the reasons under Trials)"
    if search.objective.startswith("within:"):
        points = markdown_text(search.objective.removeprefix("within:"))
        return f"every other number tried lost more than {points} points on dev"
    return f"with all {n_heads} heads the dev score was best"


def _spread(record: RunRecord) -> str:
    found, n_seeds = reading.statistic(record, arm=RANKED), counted(len(reading.seeds(record)), "seed")
    if found is None:
        values = [row.gain for row in reading.gains(record)]
        return f"single targets {tables.shown_interval((min(values), max(values)))}; {n_seeds}"
    if found.interval is None:
        return tables.no_claim(found.n_seeds) or f"no interval; {n_seeds}"
    missed = tables.detectable(found)
    said = "" if missed is None else f"; detectable {tables.shown_number(missed)}"
    return f"95 % interval {tables.shown_interval(found.interval)}{said}; {n_seeds}"


def _noise(record: RunRecord) -> str:
    lines, names = [], reading.target_names(record)
    for row in record.statistics:
        if beyond := row.gain_minus_noise:
            low, high = beyond.interval
            verdict = "helps beyond noise" if low > 0 else "hurts beyond noise" if high < 0 else "within noise"
            what = "that of random heads" if row.noise is None else "selection noise"
            name = markdown_text(f"{tables.target_name(row, names)} ({row.arm})")
            lines.append(f"- {name}: gain minus {what} {tables.shown_interval(beyond.interval)}: {verdict}")
    return "\n".join(lines)


def ranking_line(cell: CellRecord) -> str:
    """How the heads were ranked, what that cost, and which heads are pruned first."""
    cost = cell.ranking_cost
    return (
        f"Ranked by {markdown_text(cost.method)} in {cost.seconds:.1f} s ({cost.forward_passes:g} forward and "
        f"{cost.backward_passes:g} backward passes over the data), seed {cell.seed}. "
        f"Least important first: {markdown_text(' '.join(cell.ranking[:12]))} …"
    )


def ceilings(cost: CostRecord) -> str:
    """Upper limits of what head pruning can save in this model."""
    model, heads, share = cost.model_weights, cost.all_heads_weights, cost.embedding_weights / cost.model_weights
    lines = [
        f"- One head has {cost.head_weights:,} weights; all heads together have {heads:,} of {model:,}: "
        f"{heads / model:.0%} of the model.",
        f"- The embedding is {share:.0%} of the model; only vocabulary trimming reduces that.",
    ]
    for n_tokens, value in ((128, cost.attention_share_128), (512, cost.attention_share_512)):
        lines.append(
            f"- Attention is {value:.0%} of the encoder's multiply-adds at {n_tokens} tokens: half of all heads saves at most "
            f"{value / 2:.0%}."
        )
    return "\n".join(lines)
