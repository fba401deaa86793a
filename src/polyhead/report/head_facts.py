"""The data about a run's heads for the page's script."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyhead.report.finished_run import FinishedRun
from polyhead.report.heads_form import DIRECTIONS, PLACES, Example, LanguageHeads, RelationShare
from polyhead.report.pictures import places
from polyhead.report.reading import cells, chosen_heads, short
from polyhead.report.record import CellRecord


def head_facts(run: FinishedRun) -> dict[str, Any]:
    """The heads of one run, with or without a profile, in the form that the script reads; matrices are `[layers][heads]`."""
    heads = run.heads
    languages = [] if heads is None else [_language(*pair) for pair in zip(heads.languages, run.weights, strict=True)]
    methods = dict.fromkeys(method for own in languages for method in own["scores"])
    return {
        "name": run.name,
        "shape": list(run.record.shape),
        "seeds": [_seed(cell) for cell in cells(run.record)],
        "method": run.record.first.ranking_cost.method,
        "methods": sorted(methods, key=lambda method: heads is not None and method != heads.method),
        "profile_seed": None if heads is None else heads.seed,
        "n_sentences": 0 if heads is None else heads.n_sentences,
        "n_measured": 0 if heads is None else len(heads.measured),
        "left_out": [] if heads is None else [{"name": short(own.name), "why": own.why} for own in heads.left_out],
        "measured": heads is not None,
        "languages": languages,
    }


def _seed(cell: CellRecord) -> dict[str, Any]:
    scores = cell.scores
    place = places(scores)
    return {
        "seed": cell.seed,
        "scores": scores,
        "places": [[place.get((i, j)) for j in range(len(row))] for i, row in enumerate(scores)],
        "pruned": chosen_heads(cell),
    }


def _language(own: LanguageHeads, weights: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    attention, effects = own.attention, own.effects
    return {
        "name": short(own.name),
        "language": own.language,
        "split": own.split,
        "n_sentences": own.n_sentences,
        "n_words": own.n_words,
        "scores": own.scores,
        "metric": effects.metric,
        "unpruned": round(effects.unpruned, 2),
        "difference": effects.difference,
        "low": effects.low,
        "high": effects.high,
        "estimate": effects.loss_change,
        "shares": {
            kind: {"values": attention.shares[kind], "even": attention.even[kind]} for kind in PLACES if kind in attention.shares
        },
        "relations": [
            {"relation": relation, "n": found.n, **{way: _share(getattr(found, way)) for way in DIRECTIONS}}
            for relation, found in sorted(attention.relations.items(), key=lambda item: -item[1].n)
        ],
        "examples": [_example(*pair) for pair in zip(own.examples, weights, strict=True)],
    }


def _share(found: RelationShare) -> dict[str, Any]:
    return {"values": found.shares, "even": found.even}


def _example(example: Example, weights: NDArray[np.uint8]) -> dict[str, Any]:
    return {
        "words": list(example.words),
        "direction": _direction(example.words),
        "separators": " ".join(part for part in (example.special_before, example.special_after) if part),
        "weights": weights,
    }


def _direction(words: Sequence[str]) -> str:
    """`rtl` if most letters run from right to left, else `ltr`."""
    kinds = [unicodedata.bidirectional(character) for word in words for character in word]
    return "rtl" if sum(kind in ("R", "AL") for kind in kinds) > kinds.count("L") else "ltr"
