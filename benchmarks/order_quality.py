"""How good orders of heads are on a real encoder: area, regret, agreement of halves, kept score, cost. Arithmetic alone.

    python benchmarks/method_orders.py      # the orders and their counts; see there
    python benchmarks/order_quality.py      # a minute; writes results/order_quality.json from the cells that are there

Every score is of sentences that the order has not read. A figure is the mean over the halves that judge it and those that it was
made on, then over languages; its 95 % interval counts seeds and sentences, and there is none below three seeds. Area: mean
accuracy over k = 0..K, read at k = 0, 12, … K with straight lines between, divided by that at 0. Regret: the area of the greedy
oracle made with the same labels minus the order's, K = 36. Kept: accuracy with k heads masked divided by that with none. τ:
Kendall's, of the orders made on the two halves. A row uses the seeds for which all its cells are there; missing ones are
counted.

The default is chosen among orders with source labels, at most 20 passes and no LRP, with three seeds: the largest area on
English, Chinese, Arabic and Japanese. It is confirmed on the other five if the interval of its area minus that of `gradient` lies
above 0 there too.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, median
from typing import Any, Literal

import method_orders
import numpy as np
from e5 import kept
from environment import environment, rounded, write
from method_orders import (
    CHEAP,
    CHECKED_K,
    COSTLY,
    COSTLY_K,
    GRADIENTS,
    HALVES,
    LAYERS,
    ORACLE_STEP,
    RANDOM,
    SEED,
    SHUFFLED,
    STEP,
    Cell,
    K,
    cells,
)
from numpy.typing import NDArray
from pruning_cells import SHAPE, VARIANT_SEEDS
from scipy.stats import kendalltau
from treebanks import TREEBANKS

from polyhead.selection.curves import area
from polyhead.selection.resampling import redrawn
from polyhead.selection.statistics import SeedMean, mean_over_seeds

Array = NDArray[np.float64]
Labels = Literal["source", "target"]

CHOSEN_ON = ("en", "zh", "ar", "ja")
CONFIRMED_ON = tuple(language for language in TREEBANKS if language not in CHOSEN_ON)
GROUPS = {"chosen on": CHOSEN_ON, "confirmed on": CONFIRMED_ON}
DEFAULT = "gradient"
ORDERS = ("random", LAYERS, *CHEAP, *GRADIENTS, SHUFFLED, *COSTLY)
PATENTED = ("relevance", "relevance-attn")
GRID = tuple(range(0, K + 1, STEP))
PLACES = [(language, half) for language in TREEBANKS for half in HALVES]


@dataclass(frozen=True)
class Figure:
    """A number made of accuracies at several k.

    Attributes:
        ks: The k.
        kind: `area`, or `kept`: the last divided by the first.
    """

    ks: tuple[int, ...]
    kind: Literal["area", "kept"] = "area"

    def of(self, counts: Array) -> Array:
        """From counts `[..., ks, 2]` to `[...]`."""
        accuracy = counts[..., 0] / counts[..., 1]
        return area(_every_k(accuracy, self.ks)) if self.kind == "area" else np.asarray(accuracy[..., -1] / accuracy[..., 0])


def _every_k(accuracy: Array, ks: Sequence[int]) -> Array:
    """Accuracies at 0, 1, … `ks[-1]` from those at `ks`, `[..., ks]`, by straight lines."""
    lines = np.stack([np.interp(np.arange(ks[-1] + 1), ks, row) for row in accuracy.reshape(-1, len(ks))])
    return lines.reshape(*accuracy.shape[:-1], -1)


AREA, SHORT_AREA = Figure(GRID), Figure(tuple(k for k in GRID if k <= COSTLY_K))
KEPT = {k: Figure((0, k), "kept") for k in (36, 72)}


@dataclass(frozen=True)
class Measured:
    """A figure of one order in some languages.

    Attributes:
        seeds: Fine-tunings.
        values: By seed.
        drawn: Over resampled sentences, `[draws, seeds]`.
        n_sentences: Of the smallest half.
    """

    seeds: tuple[int, ...]
    values: Array
    drawn: Array
    n_sentences: int

    def summary(self) -> dict[str, Any]:
        """Value, interval, seeds."""
        return described(mean_over_seeds(self.values, self.drawn, n_sentences=self.n_sentences), self.seeds)


def described(found: SeedMean, seeds: Sequence[int]) -> dict[str, Any]:
    low, high = (None, None) if found.interval is None else (found.interval.low, found.interval.high)
    return {"value": found.value, "low": low, "high": high, "by_seed": list(found.by_seed), "seeds": list(seeds)}


@lru_cache(maxsize=2000)
def content(cell: Cell) -> Mapping[str, NDArray[np.int64]]:
    return kept(cell.path)


def members(order: str, seed: int, made_on: str) -> list[Cell]:
    """The cells that a row of tables stands for: both halves, or all random orders."""
    names = RANDOM if order == "random" else (order,)
    every = [Cell(seed, name, made_on, half) for name in names for half in HALVES]
    halves_of_one = names[0] in method_orders.BLIND or order.startswith("subset")
    return [cell for cell in every if cell.half == HALVES[0]] if halves_of_one else every


def made_on(labels: Labels, language: str) -> str:
    return "en" if labels == "source" else language


def seeds_of(order: str, labels: Labels, languages: Sequence[str]) -> tuple[int, ...]:
    """The fine-tunings with all cells of the order."""
    wanted = {seed: [cell for own in languages for cell in members(order, seed, made_on(labels, own))] for seed in VARIANT_SEEDS}
    return tuple(seed for seed, own in wanted.items() if all(cell.path.is_file() for cell in own))


def counts(cell: Cell, place: tuple[str, str], ks: Sequence[int]) -> Array:
    """Correct and scored words, `[ks, sentences, 2]`."""
    found, name = content(cell), "".join(place)
    at = [found["ks"].tolist().index(k) for k in ks]
    right = found[f"{name}/correct"][at].astype(np.float64)
    return np.stack([right, np.broadcast_to(found[f"{name}/scored"], right.shape)], axis=-1)


def judges(cell: Cell, place: tuple[str, str], ks: Sequence[int]) -> bool:
    """Whether the cell has these k on this half, which it has not read."""
    blind = cell.order in method_orders.BLIND
    return (
        (blind or place != (cell.language, cell.half))
        and f"{''.join(place)}/correct" in content(cell)
        and set(ks) <= set(content(cell)["ks"].tolist())
    )


def measured(
    order: str, labels: Labels, languages: Sequence[str], figure: Figure, *, seeds: Sequence[int] | None = None
) -> Measured | None:
    """The figure, or None where the cells of a language, or its k, are not there."""
    seeds = tuple(seeds_of(order, labels, languages) if seeds is None else seeds)
    by_language = [in_language(order, labels, language, figure, seeds) for language in languages]
    if not seeds or not all(by_language):
        return None
    found = [own for own in by_language if own]
    return Measured(
        seeds,
        np.mean([own.values for own in found], axis=0),
        np.mean([own.drawn for own in found], axis=0),
        min(own.n_sentences for own in found),
    )


def in_language(order: str, labels: Labels, language: str, figure: Figure, seeds: tuple[int, ...]) -> Measured | None:
    values, drawn, sizes = [], [], []
    for place in ((language, half) for half in HALVES):
        judging = [
            [cell for cell in members(order, seed, made_on(labels, language)) if judges(cell, place, figure.ks)] for seed in seeds
        ]
        if not seeds or not all(judging):
            continue
        both = np.stack([np.stack([counts(cell, place, figure.ks) for cell in own]) for own in judging])
        values.append(figure.of(both.sum(axis=-2)).mean(axis=-1))
        drawn.append(redrawn(both, figure.of, seed=(1, PLACES.index(place))).mean(axis=-1))
        sizes.append(both.shape[-2])
    if not values:
        return None
    return Measured(seeds, np.mean(values, axis=0), np.mean(drawn, axis=0), min(sizes))


def difference(
    one: tuple[str, Labels], other: tuple[str, Labels], languages: Sequence[str], figure: Figure
) -> dict[str, Any] | None:
    """One order's figure minus another's, on the seeds and halves of both; paired."""
    seeds = tuple(seed for seed in seeds_of(*one, languages) if seed in seeds_of(*other, languages))
    a, b = (measured(*side, languages, figure, seeds=seeds) for side in (one, other))
    if a is None or b is None:
        return None
    gap = mean_over_seeds(a.values - b.values, a.drawn - b.drawn, n_sentences=min(a.n_sentences, b.n_sentences))
    return described(gap, seeds)


def row(order: str, labels: Labels) -> dict[str, Any]:
    """Everything about one order; empty where no cell is there."""
    found: dict[str, Any] = {}
    for name, languages in GROUPS.items():
        own = [language for language in languages if labels == "source" or language != "en"]
        figures = {"area": AREA, "area, K = 36": SHORT_AREA} | {f"kept at k = {k}": figure for k, figure in KEPT.items()}
        summaries = {what: m.summary() for what, figure in figures.items() if (m := measured(order, labels, own, figure))}
        regrets = {
            "regret": difference(("oracle", labels), (order, labels), own, SHORT_AREA),
            "regret against target labels": difference(
                ("oracle", "target"), (order, labels), [language for language in own if language != "en"], SHORT_AREA
            ),
        }
        if order != DEFAULT:
            summaries["minus gradient"] = difference((order, labels), (DEFAULT, labels), own, AREA)
        if order != "oracle" and labels == "source":
            summaries |= regrets
        elif order != "oracle":
            summaries["regret"] = regrets["regret"]
        if summaries := {what: value for what, value in summaries.items() if value is not None}:
            found[name] = summaries
    if not found:
        return {}
    languages = [language for language in TREEBANKS if labels == "source" or language != "en"]
    by_language = {
        what: {language: own.summary()["value"] for language in languages if (own := measured(order, labels, [language], figure))}
        for what, figure in {"area by language": AREA, "area by language, K = 36": SHORT_AREA}.items()
    }
    return found | by_language | cost(order, labels, languages)


def cost(order: str, labels: Labels, languages: Sequence[str]) -> dict[str, Any]:
    """τ between the halves, heads of each layer among the first 72, seconds of one thread, and sentences read."""
    sources = dict.fromkeys(made_on(labels, language) for language in languages)
    there = [cell for own in sources for seed in VARIANT_SEEDS for cell in members(order, seed, own) if cell.path.is_file()]
    taus = []
    for cell in there:
        other = Cell(cell.seed, cell.order, cell.language, HALVES[1])
        if cell.half == HALVES[0] and other in there:
            taus.append(agreement(content(cell)["order"], content(other)["order"]))
    spent = [int(content(cell)["milliseconds"][0]) / 1000 for cell in there]
    known = [own for own in spent if own >= 0]
    whole = [pruned for cell in there if len(pruned := content(cell)["order"][:K]) == K and not cell.order.startswith("subset")]
    by_layer = [np.bincount(pruned // SHAPE[1], minlength=SHAPE[0]) for pruned in whole]
    return {
        "pruned by layer": np.mean(by_layer, axis=0).tolist() if by_layer else None,
        "tau between halves": fmean(taus) if taus else None,
        "seconds": median(known) if known else None,
        "sentences": sorted({int(content(cell)["read"][0]) for cell in there}),
    }


def agreement(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Kendall's τ-b of two orders; heads that one does not rank come last together."""
    places = []
    for order in (one, other):
        own = np.full(SHAPE[0] * SHAPE[1], len(order))
        own[order] = np.arange(len(order))
        places.append(own)
    return float(kendalltau(*places).statistic)


def default_choice() -> dict[str, Any]:
    """The rule of this file's docstring."""
    candidates = [order for order in (*CHEAP, *GRADIENTS) if order not in PATENTED]
    complete = [order for order in candidates if len(seeds_of(order, "source", CHOSEN_ON)) == len(VARIANT_SEEDS)]
    areas = {order: found.summary() for order in complete if (found := measured(order, "source", CHOSEN_ON, AREA))}
    if not areas:
        return {"missing": sorted(candidates)}
    best = max(areas, key=lambda order: areas[order]["value"])
    against = {name: difference((best, "source"), (DEFAULT, "source"), own, AREA) for name, own in GROUPS.items()}
    there = against["confirmed on"]
    confirmed = bool(best != DEFAULT and there and there["low"] is not None and there["low"] > 0)
    return {
        "best": best,
        "minus gradient": against,
        "confirmed": confirmed,
        "default": best if confirmed else DEFAULT,
        "areas": {order: areas[order]["value"] for order in sorted(areas, key=lambda order: -areas[order]["value"])},
        "missing": sorted(set(candidates) - set(areas)),
    }


def oracle_checks() -> dict[str, Any]:
    """How much its own half flatters the oracle; and candidates against all heads, English, k = 6 and 12."""
    found: dict[str, Any] = {}
    for language in CHOSEN_ON:
        own = [cell for cell in members("oracle", SEED, language) if cell.path.is_file()]
        if len(own) == len(HALVES):
            areas = {
                (cell.half, half): float(SHORT_AREA.of(counts(cell, (language, half), SHORT_AREA.ks).sum(axis=-2)))
                for cell in own
                for half in HALVES
            }
            mean = {same: fmean(area for (a, b), area in areas.items() if (a == b) == same) for same in (True, False)}
            found[f"{language}: area on its own half minus on the other"] = mean[True] - mean[False]
    pair = [Cell(SEED, order, "en", HALVES[0]) for order in ("oracle", "oracle-all")]
    if all(cell.path.is_file() for cell in pair):
        ks = range(0, CHECKED_K + 1, ORACLE_STEP)
        for half, what in zip(HALVES, ("its own half", "the other half"), strict=True):
            accuracies = [counts(cell, ("en", half), ks).sum(axis=-2) for cell in pair]
            found[f"accuracy on {what}, k = 0, 6, 12"] = {
                cell.order: (100 * own[:, 0] / own[:, 1]).tolist() for cell, own in zip(pair, accuracies, strict=True)
            }
        orders = [set(content(cell)["order"][:CHECKED_K].tolist()) for cell in pair]
        found["heads of the first 12 that both prune"] = len(orders[0] & orders[1])
    return found


def nested() -> dict[str, Any]:
    """Each order as that of a nested fine-tuning: accuracy with k heads masked, mean over languages, and kept shares."""
    found = {}
    for order in dict.fromkeys((*CHEAP, *GRADIENTS, SHUFFLED, LAYERS, *RANDOM, *COSTLY)):
        cell = Cell(SEED, order, "en", HALVES[0], nested=True)
        if not cell.path.is_file():
            continue
        own: dict[str, Any] = {}
        for name, languages in GROUPS.items():
            places = [place for place in cell.judged if place[0] in languages]
            summed = np.stack([counts(cell, place, GRID).sum(axis=-2) for place in places])
            by_k = (100 * summed[..., 0] / summed[..., 1]).mean(axis=0)
            at = {f"accuracy at k = {k}": float(by_k[GRID.index(k)]) for k in (0, *KEPT)}
            own[name] = at | {"area": float(area(_every_k(by_k, GRID)))}
        found[order] = own | {"seconds": int(content(cell)["milliseconds"][0]) / 1000}
    return found


def missing() -> dict[str, str]:
    """Cells that are there, by kind."""
    every, there = Counter[str](), Counter[str]()
    for cell in cells():
        every[cell.kind] += 1
        there[cell.kind] += cell.path.is_file()
    return {kind: f"{there[kind]} of {n} cells" for kind, n in every.items()}


def tables() -> dict[str, Any]:
    """Everything that the cells say."""
    return {
        "cells": missing(),
        "orders": {
            f"{labels} labels": {order: own for order in ORDERS if (own := row(order, labels))} for labels in ("source", "target")
        },
        "default": default_choice(),
        "oracle": oracle_checks(),
        "nested": nested(),
    }


def main() -> None:
    found = tables()
    for kind, said in found["cells"].items():
        print(f"{kind}: {said}", file=sys.stderr)
    about: dict[str, object] = {
        "environment": environment(seed=SEED) | {"note": "seconds of one thread of the processor, measured beside other work"},
        "work": "e5 fine-tuned on 2,000 sentences of EWT; orders judged without training on unread dev sentences",
        "groups": {name: list(languages) for name, languages in GROUPS.items()},
    }
    print(f"written to {write('order_quality', about | rounded(found, 4))}", file=sys.stderr)


if __name__ == "__main__":
    main()
