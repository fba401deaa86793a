"""Everything that a study found in one long table."""

from polyhead.report.printed_table import Column, PrintedTable
from polyhead.report.reading import short
from polyhead.report.study_columns import (
    Row,
    family_of,
    filled,
    gain_cells,
    model_name,
    notes,
    one_family,
    row_families,
    target_cell,
    variants,
)
from polyhead.report.study_families import family_key, source_of
from polyhead.report.study_scores import StudyScores
from polyhead.report.study_view import View


def long_table(scores: StudyScores, view: View) -> PrintedTable:
    """One row for every arm and target, for means, and for contrasts of arms."""
    rows = one_family(scores.rows)
    said = variants(row_families(rows))
    body: list[Row] = [
        {
            "task": row.family.facts.task,
            "model": model_name(row.family.facts.model),
            "setting": row.family.facts.setting,
            "source": row.family.source,
            "target": target_cell(row),
            "language": row.language,
            "family": family_of(row.language),
            "variant": said[row.family.key] or None,
            "arm": row.gain.arm,
            "seeds": len(row.gain.seeds),
            "k": ", ".join(map(str, row.ks)) or None,
            "pruned_share": sum(row.ks) / len(row.ks) / row.n_heads if row.ks else None,
            **gain_cells(row),
        }
        for row in rows
    ]
    body += _blank_lines(scores, {(row.family.key, row.gain.arm, row.gain.name) for row in rows})
    columns = [
        *(Column(name, name) for name in ("task", "model", "setting", "source", "target", "language", "family")),
        Column("variant", "settings"),
        Column("arm", "arm"),
        Column("seeds", "seeds", "whole"),
        Column("k", "heads pruned by seed"),
        Column("pruned_share", "share of heads", "share"),
        Column("unpruned", "unpruned", "points"),
        Column("pruned", "pruned", "points"),
        Column("gain", "gain", "gain"),
        Column("standard_error", "standard error", "points"),
        Column("interval", "95 % interval", "interval"),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"),
        Column("detectable", "detectable", "points"),
        Column("of_mask", "gain of the mask", "gain"),
        Column("of_mask_interval", "its 95 % interval", "interval"),
        Column("noise", "selection noise", "gain"),
        Column("beyond", "gain beyond", "gain"),
        Column("beyond_interval", "its interval", "interval"),
    ]
    extra = (
        "Gain of the mask: over the nested model's own k = 0. Gain beyond: minus selection noise, or where all models of a "
        "search share one training, minus the gain of random heads. ranked - random: difference of two arms, paired by seed."
    )
    return PrintedTable("long", "Gains", filled(columns, body), tuple(body), (*notes(scores, rows, view), extra))


def _blank_lines(scores: StudyScores, there: set[tuple[str, str, str | None]]) -> list[Row]:
    """A line without scores for every arm and target of which no seed has any."""
    found: dict[tuple[str, str, str | None], Row] = {}
    for cell, target in ((one.cell, one.target) for one in scores.blanks):
        key, facts = (family_key(cell.cell), cell.cell.arm, target), cell.cell
        if key not in there:
            found[key] = {
                "task": facts.task,
                "model": model_name(facts.model),
                "setting": facts.setting,
                "source": source_of(facts),
                "target": short(target),
                "language": cell.language[target],
                "family": family_of(cell.language[target]),
                "arm": facts.arm,
                "seeds": 0,
            }
    return list(found.values())
