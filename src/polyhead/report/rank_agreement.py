"""How far the rankings of heads of runs agree: over seeds and languages of one run, and between runs of one encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyhead.report.finished_run import FinishedRun
from polyhead.report.reading import cells, short
from polyhead.report.tables import markdown, shown_number
from polyhead.selection.rank_figures import rank_correlations

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankAgreement:
    """Spearman's ρ of head scores between groups.

    Attributes:
        names: Of the groups.
        rho: `[groups][groups]`, symmetric; None where it cannot be had.
    """

    names: tuple[str, ...]
    rho: tuple[tuple[float | None, ...], ...]


def within_run(run: FinishedRun) -> RankAgreement | None:
    """Between the run's seeds (scores on the source's dev) and the languages of its profile; None with fewer than two of them."""
    groups: dict[str, list[Scores]] = {
        f"seed {cell.seed}": [np.array(cell.scores, dtype=np.float64)] for cell in cells(run.record)
    }
    if run.heads is not None:
        for own in run.heads.languages:
            scores = own.scores.get(run.heads.method, next(iter(own.scores.values())))
            groups[short(own.name)] = [np.array(scores, dtype=np.float64)]
    return _agreement(groups) if len(groups) > 1 else None


def method_note(run: FinishedRun) -> str:
    """A note if seeds and languages were scored by different methods; else empty."""
    own = run.record.first.ranking_cost.method
    if run.heads is None or not run.heads.languages or own == run.heads.method:
        return ""
    return f"Seeds are scored by {own}, languages by {run.heads.method}, so the two also differ in method."


def between_runs(runs: Sequence[FinishedRun]) -> tuple[RankAgreement | None, str]:
    """Between runs, mean over pairs of seeds, and why some runs are not in it; only heads of one encoder can be compared.

    Where the runs are of several encoders, those of the one that most runs share are compared.
    """
    kinds: dict[Any, list[FinishedRun]] = {}
    for run in runs:
        kinds.setdefault((run.record.model_hash, run.record.shape), []).append(run)
    same = max(kinds.values(), key=len)
    left = [run.name for run in runs if run not in same]
    why = f"Not compared, because they start from another encoder: {', '.join(left)}." if left else ""
    if len(same) < 2:
        return None, "No two runs start from the same encoder, so their heads cannot be compared." if len(runs) > 1 else ""
    return _agreement({run.name: [np.array(cell.scores, dtype=np.float64) for cell in cells(run.record)] for run in same}), why


def agreement_table(found: RankAgreement) -> str:
    """The matrix as a Markdown table, with two decimals."""
    rows = [[name, *(shown_number(value, "z.2f") for value in row)] for name, row in zip(found.names, found.rho, strict=True)]
    return markdown(["", *found.names], rows)


def _agreement(groups: Mapping[str, Sequence[Scores]]) -> RankAgreement:
    """Over the heads that all rankings have."""
    rows = np.stack([scores.ravel() for own in groups.values() for scores in own])
    rho = rank_correlations(rows[:, ~np.isnan(rows).any(axis=0)])
    np.fill_diagonal(rho, np.nan)
    group_of = np.repeat(np.arange(len(groups)), [len(own) for own in groups.values()])
    blocks = [[rho[np.ix_(group_of == one, group_of == other)] for other in range(len(groups))] for one in range(len(groups))]
    values = tuple(tuple(None if np.isnan(block).all() else float(np.nanmean(block)) for block in line) for line in blocks)
    return RankAgreement(tuple(groups), values)
