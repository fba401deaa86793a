"""The tables of a study: everything in one long table, or laid out as in Ma et al. 2021."""

from collections.abc import Sequence
from typing import Final, Literal

from polyhead.core.errors import SettingError, allowed_names
from polyhead.report.printed_table import PrintedTable
from polyhead.report.study_closeness import closeness_tables
from polyhead.report.study_columns import blank_note
from polyhead.report.study_families import families
from polyhead.report.study_long_table import long_table
from polyhead.report.study_paper_tables import branch_table, control_table, low_resource_table, multi_source_table, score_table
from polyhead.report.study_ranks import rank_tables
from polyhead.report.study_record import StudyCellRecord
from polyhead.report.study_scores import StudyScores, study_scores
from polyhead.report.study_view import View

Layout = Literal["paper", "long"]
LAYOUTS: Final[tuple[Layout, ...]] = ("paper", "long")


def study_tables(
    cells: Sequence[StudyCellRecord], view: View | None = None, *, layout: Layout = "paper", only: str | None = None
) -> list[PrintedTable]:
    """Every table that the cells fill; no model is needed.

    Args:
        cells: From `read_cells`.
        view: Another rule, metric or choice of languages.
        layout: `long` has one row for every gain; `paper` the tables of Ma et al. 2021, beside the paper's own figures.
        only: The name of one table.

    Raises:
        SettingError: No such table, no cell has kept a score of the rule, or the counts do not give the metric.
        StoreError: A cell's file of counts is damaged.
    """
    view = view or View()
    scores = study_scores(cells, view)
    found = tables_of(cells, scores, view, layout)
    if scores.blanks and not found:
        raise SettingError(f"no score is left. {blank_note(scores.blanks)}")
    if only is None:
        return found
    chosen = [table for table in found if table.name == only]
    if not chosen:
        raise SettingError(f"table {only!r}: {allowed_names(only, [table.name for table in found])}")
    return chosen


def tables_of(cells: Sequence[StudyCellRecord], scores: StudyScores, view: View, layout: Layout) -> list[PrintedTable]:
    """The tables of one layout that have a row, from scores that are known."""
    found = [long_table(scores, view)] if layout == "long" else _paper_tables(cells, scores, view)
    return [table for table in found if table.rows]


def _paper_tables(cells: Sequence[StudyCellRecord], scores: StudyScores, view: View) -> list[PrintedTable]:
    every = families(cells)
    found = []
    for task in dict.fromkeys(family.facts.task for family in every):
        own = [row for row in scores.rows if row.family.facts.task == task]
        found += [
            score_table(task, own, scores, view),
            control_table(task, own, scores, view),
            multi_source_table(task, own, scores, view),
            low_resource_table(task, own, scores, view),
            branch_table(task, own, scores, view),
        ]
    return [*found, *rank_tables(every), *closeness_tables(every, scores)]
