"""Do closer languages gain more? Gains against language distance and against how alike rankings are."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from polyhead.report.language_facts import DISTANCES, distance
from polyhead.report.printed_table import Column, PrintedTable
from polyhead.report.statistic_rows import bounds
from polyhead.report.study_columns import Row, filled, model_name, variants
from polyhead.report.study_families import Family, language_of
from polyhead.report.study_ranks import Kind, correlations, kind_of, language_scores
from polyhead.report.study_scores import StudyScores
from polyhead.report.tables import no_claim
from polyhead.selection.closeness import LEAST_TARGETS, Closeness, closeness
from polyhead.selection.gains import RANKED
from polyhead.selection.statistics import holm

Array = NDArray[np.float64]
Measure = Callable[[str, str, int], float | None]
"""Of a source, a target and a seed."""
SIMILARITY = "ranking similarity"


def closeness_tables(families: Sequence[Family], scores: StudyScores) -> list[PrintedTable]:
    """One table per task: ρ of gains with every distance and with ranking similarity (the paper's sections 4.1 to 4.3)."""
    tables = []
    alike = _similarities(families)
    for task in dict.fromkeys(family.facts.task for family in families):
        groups = _groups([own for own in families if own.facts.task == task and own.facts.setting in _SETTINGS])
        said = variants([own[0] for own in groups])
        gains = _gains(scores)
        body = [
            line
            for own in groups
            for name, measure in _measures(own[0], alike).items()
            if (line := _line(own, name, measure, gains, said[own[0].key]))
        ]
        adjusted = iter(holm([line["p"] for line in body if isinstance(line["p"], float)]))
        body = [line | {"p_holm": next(adjusted) if isinstance(line["p"], float) else None} for line in body]
        columns = [
            Column("settings", "settings"),
            Column("measure", "measure"),
            Column("sources", "sources", "whole"),
            Column("pairs", "pairs", "whole"),
            Column("seeds", "seeds", "whole"),
            Column("rho", "ρ", "rho"),
            Column("interval", "95 % interval", "interval"),
            Column("p", "p", "p"),
            Column("p_holm", "p (Holm)", "p"),
        ]
        tables.append(
            PrintedTable(
                f"{task}-closeness", f"{task}: gains and closeness of languages", filled(columns, body), tuple(body), _NOTES
            )
        )
    return tables


_SETTINGS = ("cross-lingual", "multi-lingual")
_NOTES = (
    "Spearman's ρ between a target's gain and its distance from the source (URIEL; 0: equal, 1: farthest), or how alike the "
    "models of both languages rank the heads: over the targets of each source, mean over sources, by seed. Seeds: those in which "
    "gains and measure are both known; a ranking that is missing takes out its seed or its target. Distances: a negative "
    "ρ means that closer languages gain more; similarity: a positive one. Interval: over seeds. p: target languages permuted "
    "within each source, in all seeds alike. Holm's family is this table.",
)


def _groups(families: Sequence[Family]) -> list[list[Family]]:
    """Families that differ only in their source."""
    found: dict[tuple[str, ...], list[Family]] = {}
    said = variants(families)
    for family in families:
        found.setdefault((family.facts.model, family.facts.setting, said[family.key]), []).append(family)
    return list(found.values())


def _gains(scores: StudyScores) -> dict[tuple[str, str], dict[int, float]]:
    """By family and target, the gain of each seed."""
    return {
        (row.family.key, row.gain.name): dict(zip(row.gain.seeds, row.gain.found.by_seed, strict=True))
        for row in scores.rows
        if row.gain.arm == RANKED and row.gain.name is not None and row.language != "mean"
    }


def _measures(family: Family, alike: Mapping[Kind, Mapping[tuple[str, str, int], float]]) -> dict[str, Measure]:
    found: dict[str, Measure] = {}

    def distances(kind: str) -> Measure:
        return lambda source, target, seed: distance(language_of(source), language_of(target), kind)

    for kind in DISTANCES:
        found[f"{kind} distance"] = distances(kind)
    if own := alike.get(kind_of(family.cells[0])):
        found[SIMILARITY] = lambda source, target, seed: own.get((source, language_of(target), seed))
    return found


def _similarities(families: Sequence[Family]) -> dict[Kind, dict[tuple[str, str, int], float]]:
    """ρ of head scores by kind: of a source with the model of another language, of one seed."""
    found: dict[Kind, dict[tuple[str, str, int], float]] = {}
    for kind, by_source in language_scores(families).items():
        if len(by_source) > 1:
            keys, rho = correlations(by_source)
            found[kind] = {
                (one, language_of(other), seed): float(rho[i, j])
                for i, (one, seed) in enumerate(keys)
                for j, (other, its) in enumerate(keys)
                if seed == its and one != other
            }
    return found


def _line(
    families: Sequence[Family],
    name: str,
    measure: Measure,
    gains: Mapping[tuple[str, str], Mapping[int, float]],
    said: str,
) -> Row | None:
    """One row of the table; None where no source has enough targets with the measure in one seed."""
    known: dict[tuple[Family, str], dict[int, tuple[float, float]]] = {}
    for family in families:
        for (key, target), by_seed in gains.items():
            if key == family.key:
                pairs = {seed: (gain, measure(family.source, target, seed)) for seed, gain in by_seed.items()}
                known[family, target] = {seed: (gain, own) for seed, (gain, own) in pairs.items() if own is not None}
    seeds = _seeds({place: frozenset(own) for place, own in known.items()})
    values, measures = [], []
    for own in _complete(known, seeds).values():
        pairs_by_seed = np.array([[known[place][seed] for place in own] for seed in seeds])
        values.append(pairs_by_seed[..., 0])
        measures.append(pairs_by_seed[..., 1])
    if not values:
        return None
    found: Closeness = closeness(values, measures)
    return {
        "settings": ", ".join(filter(None, (model_name(families[0].facts.model), families[0].facts.setting, said))),
        "measure": name,
        "sources": len(values),
        "pairs": sum(len(own[0]) for own in values),
        "seeds": len(seeds),
        "rho": found.rho,
        "interval": no_claim(len(seeds)) or bounds(found.interval),
        "p": found.p,
    }


def _seeds(known: Mapping[tuple[Family, str], frozenset[int]]) -> tuple[int, ...]:
    """The seeds that keep the most pairs of a seed and a target; of equals the larger number of seeds."""

    def kept(seeds: frozenset[int]) -> tuple[int, int]:
        return sum(map(len, _complete(known, seeds).values())) * len(seeds), len(seeds)

    possible: dict[frozenset[int], None] = {}
    for own in dict.fromkeys(known.values()):
        possible |= dict.fromkeys([own, *(own & other for other in possible)])
    best = max(possible, key=kept, default=frozenset[int]())
    return tuple(sorted(best))


def _complete(
    known: Mapping[tuple[Family, str], Collection[int]], seeds: Collection[int]
) -> dict[Family, list[tuple[Family, str]]]:
    """By source the targets that are known in all these seeds, where there are enough of them to rank."""
    found: dict[Family, list[tuple[Family, str]]] = {}
    for place, own in known.items():
        if seeds and set(seeds) <= set(own):
            found.setdefault(place[0], []).append(place)
    return {family: places for family, places in found.items() if len(places) >= LEAST_TARGETS}
