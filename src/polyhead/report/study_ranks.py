"""How alike languages rank the heads: Spearman's ρ between models fine-tuned on one language each."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from polyhead.core.values import counted
from polyhead.report.paper_figures import PAPER_MODELS, paper_correlation, paper_models
from polyhead.report.printed_table import Column, PrintedTable
from polyhead.report.study_columns import Row, filled, model_name
from polyhead.report.study_families import Family, language_of, ranking_key, ranking_settings
from polyhead.report.study_record import StudyCellFacts, StudyCellRecord
from polyhead.selection.gains import RANKED
from polyhead.selection.rank_figures import rank_correlations

Array = NDArray[np.float64]
Kind = tuple[str, str, str, str, str]
"""Task, model, method, hash of its weights and settings: what rankings share that can be compared."""


def kind_of(cell: StudyCellRecord) -> Kind:
    """What a cell's ranking shares with those that it can be compared to."""
    facts = cell.cell
    return facts.task, facts.model, facts.method, cell.model_hash, ranking_key(facts)


def language_scores(families: Sequence[Family]) -> dict[Kind, dict[str, dict[int, Array]]]:
    """Head scores of models trained on one language, by kind, source and seed; the languages in order of source.

    Sources with `monolingual` cells are taken from these, others from cross-lingual ones: both rank the same model.
    """
    found: dict[Kind, dict[str, dict[int, Array]]] = defaultdict(lambda: defaultdict(dict))
    for family in sorted(families, key=lambda own: own.facts.setting != "monolingual"):
        for cell in family.cells:
            facts = cell.cell
            if cell.result is None or facts.arm != RANKED or facts.setting not in ("monolingual", "cross-lingual"):
                continue
            if len(facts.sources) == 1:
                scores = np.array(cell.result.scores, dtype=np.float64)
                found[kind_of(cell)][facts.sources[0]].setdefault(facts.train.seed, scores)
    return {kind: dict(own) for kind, own in found.items()}


def correlations(by_source: dict[str, dict[int, Array]]) -> tuple[list[tuple[str, int]], Array]:
    """ρ between all rankings of one kind: their sources and seeds, and `[rankings, rankings]`, over heads that all have."""
    keys = [(source, seed) for source, own in by_source.items() for seed in sorted(own)]
    rows = np.stack([by_source[source][seed].ravel() for source, seed in keys])
    return keys, rank_correlations(rows[:, ~np.isnan(rows).any(axis=0)])


def pair_correlation(keys: Sequence[tuple[str, int]], rho: Array, one: str, other: str) -> list[float]:
    """ρ between two sources by seed, both of one seed; of a source with itself between its pairs of seeds."""
    pairs = (
        [(i, j) for i, j in combinations(range(len(keys)), 2) if keys[i][0] == keys[j][0] == one]
        if one == other
        else [(i, j) for i, a in enumerate(keys) for j, b in enumerate(keys) if a == (one, b[1]) and b[0] == other]
    )
    return [float(rho[i, j]) for i, j in pairs]


def rank_tables(families: Sequence[Family]) -> list[PrintedTable]:
    """One table per task, model, method and training: ρ of every pair of sources, its ceiling, the paper's ρ (its figure 1).

    The ceiling of a pair is the mean ρ between seeds of either language: rankings of two languages cannot agree more than those
    of one do.
    """
    tables = []
    facts_of = {kind_of(cell): cell.cell for family in families for cell in family.cells}
    keys_of = {(kind_of(family.cells[0]), family.source): family.key for family in reversed(families)}
    earlier: dict[str, list[StudyCellFacts]] = defaultdict(list)
    for kind, by_source in language_scores(families).items():
        if len(by_source) < 2:
            continue
        task, model, method, *_ = kind
        keys, rho = correlations(by_source)
        own = {source: pair_correlation(keys, rho, source, source) for source in by_source}
        body: list[Row] = []
        for one, other in combinations(by_source, 2):
            found, ceiling = pair_correlation(keys, rho, one, other), [*own[one], *own[other]]
            line: Row = {
                "link": keys_of[kind, one],
                "a": one,
                "b": other,
                "seeds": len(found),
                "rho": float(np.mean(found)) if found else None,
                "spread": float(np.std(found, ddof=1)) if len(found) > 1 else None,
                "ceiling": float(np.mean(ceiling)) if ceiling else None,
            }
            for name in paper_models(model):
                line[f"paper_{name}"] = paper_correlation(task, name, language_of(one), language_of(other))
            body.append(line)
        columns = [
            Column("a", "source"),
            Column("b", "other source"),
            Column("seeds", "seeds", "whole"),
            Column("rho", "ρ", "rho"),
            Column("spread", "deviation over seeds", "rho"),
            Column("ceiling", "ceiling: ρ between seeds", "rho"),
            *(Column(f"paper_{name}", f"paper, {PAPER_MODELS[name]}", "rho") for name in paper_models(model)),
        ]
        note = (
            f"Spearman's ρ between the head scores ({method}) of models that were fine-tuned on one language each and ranked on "
            f"its dev text, both of one seed, mean over seeds; {counted(len(by_source), 'source')}. Ceiling: mean ρ between two "
            "seeds of one language, of both. A ρ near its ceiling says that seeds differ as much as languages do."
        )
        title = f"{task}: agreement of rankings between languages, {model_name(model)}"
        name = "-".join(filter(None, (task, "ranks", model_name(model), method)))
        earlier[name].append(facts_of[kind])
        if (number := len(earlier[name])) > 1:
            title = f"{title}, {_difference(facts_of[kind], earlier[name][0])}"
            name = f"{name}-{number}"
        tables.append(PrintedTable(name, title, filled(columns, body), tuple(body), (note,)))
    return tables


def _difference(facts: StudyCellFacts, first: StudyCellFacts) -> str:
    """The settings in which a ranking differs from those of an earlier table."""
    there = ranking_settings(first)
    found = [f"{name} {value}" for name, value in ranking_settings(facts).items() if value != there[name]]
    return ", ".join(found) or "other weights"
