"""A profile of heads (`heads.json`) in five scripts, drawn by seed: the figures hang together as a real one's do."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYERS, HEADS = 6, 8
SENTENCES = {
    "en": ("Can you tell me where the station is ?", "She <b>wrote</b> to her friends in Oslo yesterday ."),
    "de": ("Wo kann ich hier eine Fahrkarte kaufen ?", "Sie fährt am Montag mit dem Zug nach Köln ."),
    "ar": ("أين يمكنني أن أشتري تذكرة إلى القاهرة ؟", "ذهب أحمد إلى المدرسة في الصباح ."),
    "he": ("איפה אפשר לקנות כרטיס לרכבת לחיפה ?", "היא כתבה מכתב לחברים שלה אתמול ."),
    "zh-Hans": ("我 想 买 一 张 去 北京 的 车票 。", "请问 火车站 离 这里 远 不 远 ？"),
}
RELATIONS = {"de": {"nsubj": 143, "obj": 77, "case": 162, "det": 204}, "ar": {"nsubj": 98, "obj": 61, "case": 240, "nmod": 118}}
_EVEN = {"previous": 0.06, "next": 0.06, "same": 0.06, "separators": 0.1}

Gone = Sequence[tuple[int, int]]


def drawn_profile(
    random: np.random.Generator, names: Mapping[str, str], *, model_hash: str, method: str = "gradient", gone: Gone = ()
) -> dict[str, Any]:
    """The document, whose languages are those of `SENTENCES`; `gone` are heads that the encoder does not have."""
    return {
        "schema": 1,
        "made_of": "x",
        "model_hash": model_hash,
        "seed": 42,
        "method": method,
        "shape": [LAYERS, HEADS],
        "n_sentences": 100,
        "languages": [_language(random, names[code], code, method, gone) for code in SENTENCES],
        "left_out": [{"name": "ud/xx_none", "language": "xx", "why": "has no dev split"}],
    }


def drawn_scores(random: np.random.Generator, method: str) -> NDArray[np.float64]:
    """Of the size that scores of a fine-tuned encoder have: squares are smaller by two orders."""
    scores = np.exp(random.normal(-4.5, 0.8, (LAYERS, HEADS)))
    found: NDArray[np.float64] = np.round(scores**2 / 10 if method == "fisher" else scores, 9)
    return found


def matrix(values: NDArray[np.float64], gone: Gone) -> list[list[float | None]]:
    """`[layers][heads]`, null where the encoder has no such head."""
    return [[None if (i, j) in gone else float(value) for j, value in enumerate(row)] for i, row in enumerate(values)]


def _language(random: np.random.Generator, name: str, code: str, method: str, gone: Gone) -> dict[str, Any]:
    difference = np.round(random.normal(-0.2, 0.5, (LAYERS, HEADS)), 5)
    below, above = random.uniform(0.1, 0.5, (2, LAYERS, HEADS))
    spread = random.dirichlet([1.2, 1.2, 0.6, 2.0, 5.0], size=(LAYERS, HEADS))  # the last is attention to all other words
    return {
        "name": name,
        "language": code,
        "split": "dev",
        "n_sentences": 100,
        "n_words": 1834,
        "scores": {method: matrix(drawn_scores(random, method), gone)},
        "effects": {
            "metric": "accuracy",
            "unpruned": 91.2,
            "difference": matrix(difference, gone),
            "low": matrix(np.round(difference - below, 5), gone),
            "high": matrix(np.round(difference + above, 5), gone),
        },
        "attention": {
            "shares": {kind: matrix(np.round(spread[:, :, place], 5), gone) for place, kind in enumerate(_EVEN)},
            "even": dict(_EVEN),
            "relations": {
                relation: {"n": n} | {way: _share(random, gone) for way in ("to_head", "to_dependent")}
                for relation, n in RELATIONS.get(code, {}).items()
            },
        },
        "examples": [_example(random, text, gone) for text in SENTENCES[code]],
    }


def _share(random: np.random.Generator, gone: Gone) -> dict[str, Any]:
    return {"shares": matrix(np.round(random.beta(0.8, 8, (LAYERS, HEADS)), 5), gone), "even": 0.05}


def _example(random: np.random.Generator, text: str, gone: Gone) -> dict[str, Any]:
    words = text.split(" ")
    n = len(words)
    weights = [
        [
            [[None] * (n + 1)] * n if (i, j) in gone else [_thousandths(row) for row in random.dirichlet(np.full(n + 1, 0.3), n)]
            for j in range(HEADS)
        ]
        for i in range(LAYERS)
    ]
    return {"words": words, "special_before": "<s>", "special_after": "</s>", "weights": weights}


def _thousandths(row: NDArray[np.float64]) -> list[float]:
    """Three decimals whose sum is exactly 1: the largest remainders are rounded up."""
    parts = np.floor(1000 * row)
    up = np.argsort(parts - 1000 * row)[: 1000 - int(parts.sum())]
    parts[up] += 1
    return [round(float(part) / 1000, 3) for part in parts]
