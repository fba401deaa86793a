"""How good each method's order of heads is: the table of importance methods from the cells of `method_cells.py`.

    python benchmarks/method_table.py    # seconds; writes results/methods.json

Area: mean accuracy with the lowest k = 0..24 of 48 heads ablated, divided by that with all heads. Regret: area of the greedy
oracle minus that of the method, on the same sentences and fine-tunings. Intervals are those of `area_intervals.py`; differences
are paired.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from area_intervals import Areas, areas_of, minus, summary
from environment import environment, write
from fine_tuned import SEEDS, SENTENCES
from method_cells import CHEAP, DEFAULT, FEW_LANGUAGES, RANDOM_ORDERS, Cell, K, oracle_path, scores_path
from scipy.stats import kendalltau
from treebanks import POS, TREEBANKS

from polyhead.core.files import read_json
from polyhead.core.heads import HeadId
from polyhead.importance.methods import METHODS
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.ranking import rank
from polyhead.selection.score_files import read_scores

OTHER_LANGUAGES = tuple(language for language in TREEBANKS if language not in FEW_LANGUAGES)
GROUPS = {"chosen on": FEW_LANGUAGES, "confirmed on": OTHER_LANGUAGES, "all": tuple(TREEBANKS)}
RIVALS = tuple(name for name in CHEAP if name not in (DEFAULT, "random"))


def main() -> None:
    content: dict[str, object] = {
        "environment": environment(seed=SEEDS[0]),
        "work": f"mini fine-tuned on EWT; {SENTENCES} dev sentences a language drawn by seed; K = {K}; nothing retrained",
        "methods": {name: row_of(name) for name in METHODS},
        "orders": {name: row_of(name) for name in ("highest", "signed", "oracle")},
        "default_against": {
            name: [difference(DEFAULT, name, group) for group in GROUPS] for name in (*RIVALS, "signed", "random", "highest")
        },
        "best_on_the_languages_chosen_on": best(),
    }
    print(f"written to {write('methods', content)}", file=sys.stderr)


def row_of(order: str) -> dict[str, Any]:
    """All figures of one method or order, by language and pooled over groups of languages."""
    found = {language: seeds_of(order, language) for language in TREEBANKS}
    measured = {language: seeds for language, seeds in found.items() if seeds}
    if not measured:
        return {"cells": {}}
    found_areas = areas(order, measured)
    return {
        "cells": measured,
        "area": {language: summary(found_areas, (language,)) for language in measured},
        "pooled": {name: summary(found_areas, group) for name, group in GROUPS.items() if set(group) <= set(measured)},
        "at_k_24": {language: kept_at_the_end(order, language, seeds) for language, seeds in measured.items()},
        "regret": {language: value for language in measured if (value := regret_of(order, (language,))) is not None},
        "pooled_regret": {name: value for name, group in GROUPS.items() if (value := regret_of(order, group)) is not None},
        **agreement_with_oracle(order, measured),
        **cost(order, measured),
    }


def cells_of(order: str, language: str, seed: int) -> list[Cell]:
    """The cells of a method: one, or the five random orders that are averaged."""
    names = [f"random-{i}" for i in range(RANDOM_ORDERS)] if order == "random" else [order]
    return [Cell(name, language, seed) for name in names]


def seeds_of(order: str, language: str) -> list[int]:
    return [seed for seed in SEEDS if all(cell.path.is_file() for cell in cells_of(order, language, seed))]


def areas(order: str, measured: Mapping[str, Sequence[int]]) -> Areas:
    """Areas of the cells of one order, by language and fine-tuning."""
    return areas_of(
        {
            language: {seed: [cell.counts for cell in cells_of(order, language, seed)] for seed in seeds}
            for language, seeds in measured.items()
        }
    )


def difference(one: str, other: str, group_name: str) -> dict[str, Any]:
    """Area of one order minus that of another, on the cells that both have."""
    group = GROUPS[group_name]
    common = {language: [s for s in seeds_of(one, language) if s in seeds_of(other, language)] for language in group}
    if not all(common.values()):
        return {"group": group_name, "languages": list(group), "missing": [name for name, seeds in common.items() if not seeds]}
    gap = minus(areas(one, common), areas(other, common))
    return {"group": group_name, "languages": list(group), "cells": common, **summary(gap, group)}


def kept_at_the_end(order: str, language: str, seeds: Sequence[int]) -> float:
    """Accuracy with the lowest 24 heads ablated over that with all, mean over fine-tunings (and random orders)."""
    scores = [
        metric_from_counts(POS, cell.counts[[0, K]].sum(axis=1)) for seed in seeds for cell in cells_of(order, language, seed)
    ]
    return round(float(np.mean([last / full for full, last in scores])), 4)


def regret_of(order: str, group: Sequence[str]) -> dict[str, Any] | None:
    """Regret on the same cells; None if a language has no oracle."""
    measured = {language: [s for s in seeds_of(order, language) if s in seeds_of("oracle", language)] for language in group}
    if not all(measured.values()):
        return None
    gap = minus(areas("oracle", measured), areas(order, measured))
    return {"cells": measured, **summary(gap, group)}


def agreement_with_oracle(order: str, measured: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Kendall's tau-b with the oracle's order (heads it kept are tied), and the shared fraction of its lowest 12 and 24."""
    found: dict[str, Any] = {}
    if order not in METHODS or order == "random":
        return found
    for language, seeds in measured.items():
        rows = []
        for seed in seeds:
            if seed not in seeds_of("oracle", language):
                continue
            gone = [HeadId.parse(head) for head in read_json(oracle_path(language, seed))["order"]]
            scores = read_scores(scores_path(order, language, seed))
            places = np.full(scores.values.shape, float(K))
            for place, head in enumerate(gone):
                places[head.layer, head.head] = place
            lowest = rank(scores)
            shares = [len({*lowest[:k]} & {*gone[:k]}) / k for k in (12, 24)]
            rows.append([float(kendalltau(scores.values.ravel(), places.ravel()).statistic), *shares])
        if rows:
            tau, twelve, half = np.mean(rows, axis=0).round(3).tolist()
            found[language] = {"kendall": tau, "lowest_12": twelve, "lowest_24": half, "seeds": len(rows)}
    return {"agreement_with_oracle": found} if found else {}


def cost(order: str, measured: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Passes over the data, and seconds of the cells, some on a busy machine; `method_cost.py` times methods properly."""
    if order not in METHODS:
        return {}
    known = [
        read_scores(path) for name, seeds in measured.items() for s in seeds if (path := scores_path(order, name, s)).is_file()
    ]
    if not known:
        return {}
    middle = {
        name: float(np.median([getattr(scores, name) for scores in known])) for name in ("forward_passes", "backward_passes")
    }
    settings = [dict(scores.settings) for scores in known] if order == "shapley" else []
    return {"passes": {name: round(value, 2) for name, value in middle.items()}, **({"runs": settings} if settings else {})}


def best() -> list[str]:
    """Methods measured in the languages that the default is chosen on, by pooled area, best first."""
    rows = {name: areas(name, own) for name in METHODS if all((own := {x: seeds_of(name, x) for x in FEW_LANGUAGES}).values())}
    return sorted(rows, key=lambda name: -summary(rows[name], FEW_LANGUAGES)["value"])


if __name__ == "__main__":
    main()
