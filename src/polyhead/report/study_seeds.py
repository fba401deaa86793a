"""How many more seeds a study needs to find a gain of a given size."""

import numpy as np

from polyhead.report.printed_table import Column, PrintedTable
from polyhead.report.study_columns import Row, filled, model_name, target_cell, variants
from polyhead.report.study_scores import StudyScores
from polyhead.report.tables import no_claim
from polyhead.selection.gains import RANKED
from polyhead.selection.statistics import SEEDS_FOR_INTERVAL, seeds_to_detect

MOST_SEEDS = 1000


def seeds_table(scores: StudyScores, gain: float) -> PrintedTable:
    """One row per gain of the ranked arm and per difference from random heads: the seeds there, and those still needed.

    A gain is found if a two-sided test at 5 %, uncorrected, has power 0.8.

    Raises:
        SettingError: The gain is not above 0.
    """
    rows = [row for row in scores.rows if row.gain.arm in (RANKED, f"{RANKED} - random")]
    said = variants(list({row.family.key: row.family for row in rows}.values()))
    body: list[Row] = []
    for row in rows:
        there, needed = len(row.gain.seeds), None
        on_test = row.family.key in scores.chosen_on_test
        if there >= SEEDS_FOR_INTERVAL and not row.gain.none_pruned and not on_test:
            needed = seeds_to_detect(row.gain.found, gain, n_sentences=row.n_sentences, most=MOST_SEEDS)
        facts = row.family.facts
        body.append(
            {
                "settings": ", ".join(filter(None, (facts.task, model_name(facts.model), facts.setting, said[row.family.key]))),
                "source": row.family.source,
                "target": target_cell(row),
                "arm": row.gain.arm,
                "gain": row.gain.found.value,
                "deviation": float(np.std(row.gain.found.by_seed, ddof=1)) if there > 1 else None,
                "seeds": there,
                "needed": needed,
                "more": _more(there, needed, none_pruned=row.gain.none_pruned, on_test=on_test),
            }
        )
    columns = [
        Column("settings", "settings"),
        Column("source", "source"),
        Column("target", "target"),
        Column("arm", "gain of"),
        Column("gain", "gain", "gain"),
        Column("deviation", "deviation over seeds", "points"),
        Column("seeds", "seeds", "whole"),
        Column("needed", "needed", "whole"),
        Column("more", "still to run"),
    ]
    note = (
        f"Seeds with which a true gain of {gain:g} points would be found with power 0.8 by a two-sided test at 5 %, before "
        "Holm's correction, if other seeds vary as those at hand. The variance that comes from the test sentences is the same "
        f"for all seeds and does not shrink: where {MOST_SEEDS:,} seeds would not do, only a larger test set helps."
    )
    return PrintedTable("seeds", f"Seeds needed for a gain of {gain:g} points", filled(columns, body), tuple(body), (note,))


def _more(there: int, needed: int | None, *, none_pruned: bool, on_test: bool) -> str:
    if none_pruned:
        return "none pruned"
    if on_test:
        return "k chosen on the test: no number would do"
    if there < SEEDS_FOR_INTERVAL:
        return no_claim(there)
    if needed is None:
        return "test set too small"
    return "none" if needed <= there else str(needed - there)
