"""A run's record in the form of `result.json`, for tests."""

from copy import deepcopy
from typing import Any


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
        "control": None if arm == "ranked" else arm,
        "scores": [[0.1, 0.4], [0.3, None]],
        "ranking": ["0.0", "1.0", "0.1"],
        "ranking_cost": {"method": "gradient", "seconds": 2.5, "forward_passes": 1.0, "backward_passes": 1.0},
        "screen": [90.0, 89.0, 88.0],
        "trials": [
            {"k": 0, "heads": [], "dev": 90.0, "seconds": 60.0},
            {"k": 2, "heads": ["0.0", "1.0"], "dev": 90.5, "seconds": 59.0},
        ],
        "chosen": chosen,
        "chosen_reason": "highest dev score",
        "targets": [target("ud/de_gsd", "de", 50.0, 50 + gain, chosen), target("ud/a|b", "nl", 40.0, 40 + 3 * gain, chosen)],
    }


def record(*cells: dict[str, Any], controls: tuple[str, ...] = (), statistics: Any = None, **settings: Any) -> dict[str, Any]:
    kept = [deepcopy(c) for c in cells] or [cell(42)]
    return {
        "schema": 1,
        "status": "done",
        "settings": {
            "model": "mini",
            "task": "pos",
            "sources": ["ud/en_ewt"],
            "targets": ["ud/de_gsd", "ud/a|b"],
            "protocol": "sound",
            "select_on": "source-dev",
            "controls": list(controls),
            **settings,
        },
        "environment": {"python": "3.11", "torch": "2.13.0", "threads": 2},
        "data": [
            {
                "name": "ud/en_ewt",
                "language": "en",
                "split": "train",
                "sentences": 12543,
                "words": 202141,
                "sha256": "f" * 64,
                "repairs": {"tag B-O read as O": 3},
                "encoding": {"lone_marker_share": 0.125, "windowed_sentences": 4, "unk_words": 0, "truncated_words": 0},
            }
        ],
        "cells": kept,
        "trials": kept[0]["trials"],
        "targets": kept[0]["targets"],
        "statistics": statistics,
        "cost": {
            "head_weights": 196608,
            "all_heads_weights": 28311552,
            "model_weights": 278043648,
            "embedding_weights": 192001536,
            "attention_share_128": 0.35,
        },
        "seconds": 120.0,
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
