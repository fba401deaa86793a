"""A run's record, for tests."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from polyhead.report.record import RunRecord


def target(name: str, language: str, unpruned: float, pruned: float, k: int) -> dict[str, Any]:
    return {
        "name": name,
        "language": language,
        "n_words": 1234,
        "k": k,
        "unpruned": {"accuracy": unpruned, "macro_f1": unpruned - 9},
        "pruned": {"accuracy": pruned, "macro_f1": pruned - 9},
    }


def cell(seed: int, arm: str = "ranked", chosen: int = 2, gain: float = 0.5) -> dict[str, Any]:
    gain = gain if chosen else 0.0
    return {
        "seed": seed,
        "arm": arm,
        "fit": "0123456789abcdef",
        "scores": [[0.1, 0.4], [0.3, None]],
        "ranking": ["0.0", "1.0", "0.1"],
        "ranking_cost": ranking_cost("gradient"),
        "screen": [90.0, 89.0, 88.0],
        "trials": [
            {"k": 0, "heads": [], "dev": 90.0, "seconds": 60.0},
            {"k": 2, "heads": ["0.0", "1.0"], "dev": 90.5, "seconds": 59.0},
        ],
        "chosen": chosen,
        "chosen_reason": "highest dev score",
        "standard_error": None,
        "fine_tunings": 2,
        "targets": [target("ud/de_gsd", "de", 50.0, 50 + gain, chosen), target("ud/a|b", "nl", 40.0, 40 + 3 * gain, chosen)],
    }


def ranking_cost(method: str) -> dict[str, Any]:
    return {"method": method, "seconds": 2.5, "forward_passes": 1.0, "backward_passes": 1.0, "units": 100, "settings": {}}


COST = {
    "head_weights": 196608,
    "heads": 144,
    "all_heads_weights": 28311552,
    "model_weights": 278043648,
    "pruned_model_weights": 277650432,
    "embedding_weights": 192001536,
    "heads_pruned": 2,
    "attention_share_128": 0.35,
    "attention_share_512": 0.4,
}
DATA = {
    "name": "ud/en_ewt",
    "language": "en",
    "split": "train",
    "sentences": 12543,
    "words": 202141,
    "sha256": "f" * 64,
    "repairs": {"tag B-O read as O": 3},
    "encoding": {
        "subwords": 250000,
        "lone_marker_share": 0.125,
        "windowed_sentences": 4,
        "unk_words": 0,
        "truncated_words": 0,
        "unknown_labels": 0,
    },
}


def document(
    *cells: dict[str, Any],
    controls: Sequence[str] = (),
    statistics: Sequence[Mapping[str, Any]] | None = None,
    facts: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """What stands in a `result.json`."""
    kept = list(cells) or [cell(42)]
    seeds = list(dict.fromkeys(own["seed"] for own in kept))
    return {
        "command": None,
        "date": "2020-01-02T03:04:05+00:00",
        "settings": {
            "model": "mini",
            "task": "pos",
            "sources": ["ud/en_ewt"],
            "targets": ["ud/de_gsd", "ud/a|b"],
            "data": None,
            "method": "gradient",
            "normalisation": "none",
            "protocol": "sound",
            "search": {},
            "train": {},
            "select_on": "source-dev",
            "train_limit": None,
            "sample_seed": 42,
            "revision": None,
            "scheme": None,
            "columns": None,
            "strict": False,
            "words": "surface",
            "seeds": seeds,
            "controls": list(controls),
            "claim": "",
            **settings,
        },
        "environment": {"python": "3.11", "torch": "2.13.0", "threads": 2},
        "stages": {"reading": 1},
        "model_hash": "a" * 64,
        "learning_rate": 5e-5,
        "data": [DATA],
        "cells": kept,
        "statistics": list(statistics or ()),
        "noise": None,
        "cost": COST,
        "seconds": 120.0,
        "files": {},
        **(facts or {}),
    }


def statistic(
    name: str | None, gain: float, *, arm: str = "ranked", n_seeds: int = 5, p: float | None = None, **facts: Any
) -> dict[str, Any]:
    """A row of the statistics, with an interval as far as so many seeds have one; of the mean over targets if not named."""
    return {
        "arm": arm,
        "name": name,
        "language": {None: "mean", "ud/de_gsd": "de"}.get(name, "nl"),
        "gain": gain,
        "n_seeds": n_seeds,
        "by_seed": [gain] * n_seeds,
        "standard_error": 0.3 if n_seeds > 1 else None,
        "degrees_of_freedom": n_seeds - 1.0 if n_seeds > 1 else None,
        "interval": [gain - 0.6, gain + 0.6] if n_seeds > 2 else None,
        "p": p,
        "p_holm": None if p is None else 2 * p,
        "detectable_gain": 0.9 if n_seeds > 2 else None,
        "none_pruned": False,
        "noise": None,
        "gain_minus_noise": None,
        **facts,
    }


def record(
    *cells: dict[str, Any],
    controls: Sequence[str] = (),
    statistics: Sequence[Mapping[str, Any]] | None = None,
    facts: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RunRecord:
    """The record of some cells, its `facts` instead of those of `document`."""
    written = document(*cells, controls=controls, statistics=statistics, facts=facts, **settings)
    return RunRecord.model_validate_json(json.dumps(written))
