"""Run folders on disk for tests of the page: a record with controls, and a profile of heads in five scripts, drawn by seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np

LAYERS, HEADS = 6, 8
ODD = 'x=<b>&"/test.conllu'
TARGETS = (("ud/de_gsd", "de"), ("ud/ar_padt", "ar"), ("ud/he_htb", "he"), ("ud/zh_gsdsimp", "zh-Hans"), (ODD, "nl"))
SENTENCES = {
    "en": ("Can you tell me where the station is ?", "She <b>wrote</b> to her friends in Oslo yesterday ."),
    "de": ("Wo kann ich hier eine Fahrkarte kaufen ?", "Sie fährt am Montag mit dem Zug nach Köln ."),
    "ar": ("أين يمكنني أن أشتري تذكرة إلى القاهرة ؟", "ذهب أحمد إلى المدرسة في الصباح ."),
    "he": ("איפה אפשר לקנות כרטיס לרכבת לחיפה ?", "היא כתבה מכתב לחברים שלה אתמול ."),
    "zh-Hans": ("我 想 买 一 张 去 北京 的 车票 。", "请问 火车站 离 这里 远 不 远 ？"),
}


def write_run(folder: Path, *, seed: int = 0, profile: bool = True, model_hash: str = "a" * 64, controls: bool = True) -> Path:
    """The folder, with `result.json` and, if wanted, `heads.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    arms = ("ranked", "random") if controls else ("ranked",)
    cells = [_cell(random, number, arm) for arm in arms for number in (42, 43)]
    record = {
        "schema": 1,
        "status": "done",
        "command": "polyhead run --model mini",
        "date": "2026-01-02T03:04:05+00:00",
        "settings": {
            "model": "mini",
            "task": "pos",
            "sources": ["ud/en_ewt"],
            "targets": [name for name, _ in TARGETS],
            "method": "gradient",
            "protocol": "sound",
            "select_on": "source-dev",
            "search": {"how": "screened", "objective": "best", "max_pruned": 12},
            "seeds": [42, 43],
            "controls": list(arms[1:]),
        },
        "environment": {"python": "3.11", "torch": "2.13.0", "threads": 2},
        "model_hash": model_hash,
        "data": [],
        "cells": cells,
        "trials": cells[0]["trials"],
        "targets": cells[0]["targets"],
        "statistics": [row for arm in arms for row in _statistics(random, arm)],
        "cost": {"head_weights": 32768, "all_heads_weights": 1572864, "model_weights": 9994705, "embedding_weights": 5120000},
        "seconds": 300.0,
    }
    (folder / "result.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    if profile:
        (folder / "heads.json").write_text(json.dumps(_profile(random, model_hash), ensure_ascii=False), encoding="utf-8")
    return folder


def write_many(folder: Path, n: int) -> list[Path]:
    """Runs of one encoder, each in its own folder."""
    return [write_run(folder / f"run-{number}", seed=number) for number in range(n)]


def give_two_methods(folder: Path) -> Path:
    """The run's folder, now with a profile by two methods, though it ranked by a third; one score is tiny."""
    record, heads = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("result.json", "heads.json"))
    for cell in record["cells"]:
        cell["ranking_cost"]["method"] = "shapley"
    for own in heads["languages"]:
        own["scores"]["ablation"] = [[0.5 + value for value in row] for row in own["scores"]["gradient"]]
        own["scores"]["gradient"][3][5] = 1.2e-9
    for name, document in (("result.json", record), ("heads.json", heads)):
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def _cell(random: np.random.Generator, seed: int, arm: str) -> dict[str, Any]:
    scores = np.round(random.random((LAYERS, HEADS)) ** 3, 5)
    order = [f"{i // HEADS}.{i % HEADS}" for i in np.argsort(scores.ravel())]
    gains = random.normal(0, 0.4, len(TARGETS))
    targets = [
        {
            "name": name,
            "language": language,
            "n_words": 9000 + i,
            "k": 4,
            "unpruned": {"accuracy": 50.0 + i, "macro_f1": 40.0},
            "pruned": {"accuracy": 50.0 + i + float(gains[i]), "macro_f1": 40.5},
        }
        for i, (name, language) in enumerate(TARGETS)
    ]
    return {
        "seed": seed,
        "arm": arm,
        "control": None if arm == "ranked" else arm,
        "scores": scores.tolist(),
        "ranking": order,
        "ranking_cost": {"method": "gradient", "seconds": 2.5, "forward_passes": 1.0, "backward_passes": 1.0},
        "screen": [90 - 0.05 * k for k in range(13)],
        "trials": [{"k": k, "heads": order[:k], "dev": 90 - 0.1 * abs(k - 4), "seconds": 60.0} for k in (0, 4, 12)],
        "chosen": 4,
        "chosen_reason": "highest dev score",
        "targets": targets,
    }


def _statistics(random: np.random.Generator, arm: str) -> list[dict[str, Any]]:
    rows = []
    for name, language in (*TARGETS, (None, "mean")):
        gain = float(random.normal(0, 0.4))
        row = {"arm": arm, "language": language, "seeds": 2, "gain": gain, "interval": [gain - 0.3, gain + 0.3]}
        rows.append(row if name is None else row | {"name": name, "p": 0.2, "p_holm": 0.4, "shuffles": 10000})
    return rows


def _profile(random: np.random.Generator, model_hash: str) -> dict[str, Any]:
    names = {language: name for name, language in TARGETS} | {"en": "ud/en_ewt"}
    return {
        "schema": 1,
        "made_of": "x",
        "model_hash": model_hash,
        "seed": 42,
        "method": "gradient",
        "shape": [LAYERS, HEADS],
        "n_sentences": 100,
        "languages": [_language(random, names[code], code) for code in SENTENCES],
        "left_out": [{"name": "ud/xx_none", "language": "xx", "why": "has no dev split"}],
    }


def _language(random: np.random.Generator, name: str, code: str) -> dict[str, Any]:
    difference = np.round(random.normal(-0.2, 0.5, (LAYERS, HEADS)), 5)
    relations = {}
    if code in ("de", "ar"):
        for number, relation in enumerate(("nsubj", "obj", "case", "det")):
            ways = {way: {"shares": _shares(random), "even": 0.05} for way in ("to_head", "to_dependent")}
            relations[relation] = {"n": 40 + number, **ways}
    return {
        "name": name,
        "language": code,
        "split": "dev",
        "n_sentences": 100,
        "n_words": 1834,
        "scores": {"gradient": (random.random((LAYERS, HEADS)) ** 3 * 1e-3).tolist()},
        "effects": {
            "metric": "accuracy",
            "unpruned": 91.2,
            "difference": difference.tolist(),
            "low": (difference - 0.4).tolist(),
            "high": (difference + 0.4).tolist(),
        },
        "attention": {
            "shares": {kind: _shares(random) for kind in ("previous", "next", "same", "separators")},
            "even": {"previous": 0.06, "next": 0.06, "same": 0.06, "separators": 0.1},
            "relations": relations,
        },
        "examples": [_example(random, text) for text in SENTENCES[code]],
    }


def _shares(random: np.random.Generator) -> list[list[float]]:
    return np.round(random.random((LAYERS, HEADS)) ** 2, 5).tolist()


def _example(random: np.random.Generator, text: str) -> dict[str, Any]:
    words = text.split(" ")
    weights = random.dirichlet(np.full(len(words) + 1, 0.3), size=(LAYERS, HEADS, len(words)))
    return {"words": words, "special_before": "<s>", "special_after": "</s>", "weights": np.round(weights, 3).tolist()}
