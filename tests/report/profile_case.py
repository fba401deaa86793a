"""A profile of heads (`heads.json`) in five scripts, drawn by seed: the figures hang together as a real one's do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyhead.report.heads_form import HeadsRecord

SENTENCES = {
    "en": ("Can you tell me where the station is ?", "She <b>wrote</b> to her friends in Oslo yesterday ."),
    "de": ("Wo kann ich hier eine Fahrkarte kaufen ?", "Sie fährt am Montag mit dem Zug nach Köln ."),
    "ar": ("أين يمكنني أن أشتري تذكرة إلى القاهرة ؟", "ذهب أحمد إلى المدرسة في الصباح ."),
    "he": ("איפה אפשר לקנות כרטיס לרכבת לחיפה ?", "היא כתבה מכתב לחברים שלה אתמול ."),
    "zh-Hans": ("我 想 买 一 张 去 北京 的 车票 。", "请问 火车站 离 这里 远 不 远 ？"),
}
RELATIONS = {"de": {"nsubj": 143, "obj": 77, "case": 162, "det": 204}, "ar": {"nsubj": 98, "obj": 61, "case": 240, "nmod": 118}}
_EVEN = {"previous": 0.06, "next": 0.06, "same": 0.06, "separators": 0.1}


@dataclass(frozen=True)
class Encoder:
    """What figures are drawn for.

    Attributes:
        random: Where they come from.
        method: Scores its heads.
        shape: Layers and heads.
        missing: Heads that it does not have.
    """

    random: np.random.Generator
    method: str = "gradient"
    shape: tuple[int, int] = (6, 8)
    missing: tuple[tuple[int, int], ...] = ()

    def scores(self) -> NDArray[np.float64]:
        """Of the size that a fine-tuned encoder's have: squares are smaller by two orders, norms of weights larger by five."""
        found: NDArray[np.float64] = np.exp(self.random.normal(-4.5, 0.8, self.shape))
        if self.method == "magnitude":
            return found * 1e5
        return found**2 / 10 if self.method == "fisher" else found

    def matrix(self, values: NDArray[np.float64]) -> list[list[float | None]]:
        """`[layers][heads]` of five digits, null where the encoder has no such head."""
        return [
            [None if (i, j) in self.missing else float(f"{value:.5g}") for j, value in enumerate(row)]
            for i, row in enumerate(values)
        ]


def drawn_profile(encoder: Encoder, names: Mapping[str, str], *, model_hash: str) -> HeadsRecord:
    """The record; its languages are those of `SENTENCES`, called as `names` says."""
    document = {
        "made_of": "x",
        "model_hash": model_hash,
        "seed": 42,
        "method": encoder.method,
        "shape": list(encoder.shape),
        "n_sentences": 100,
        "measured": [f"{i}.{j}" for i, j in np.ndindex(*encoder.shape) if (i, j) not in encoder.missing],
        "languages": [_language(encoder, names[code], code) for code in SENTENCES],
        "left_out": [{"name": "ud/xx_none", "language": "xx", "why": "has no dev split"}],
    }
    return HeadsRecord.model_validate_json(json.dumps(document))


def _language(encoder: Encoder, name: str, code: str) -> dict[str, Any]:
    random, matrix = encoder.random, encoder.matrix
    difference = random.normal(-0.2, 0.5, encoder.shape)
    below, above = random.uniform(0.1, 0.5, (2, *encoder.shape))
    spread = random.dirichlet([1.2, 1.2, 0.6, 2.0, 5.0], size=encoder.shape)  # the last is attention to all other words
    return {
        "name": name,
        "language": code,
        "split": "dev",
        "n_sentences": 100,
        "n_words": 1834,
        "scores": {encoder.method: matrix(encoder.scores())},
        "effects": {
            "metric": "accuracy",
            "unpruned": 91.2,
            "difference": matrix(difference),
            "low": matrix(difference - below),
            "high": matrix(difference + above),
            "loss_change": matrix(-difference / 50),
        },
        "attention": {
            "shares": {kind: matrix(spread[:, :, place]) for place, kind in enumerate(_EVEN)},
            "even": dict(_EVEN),
            "relations": {
                relation: {"n": n} | {way: _share(encoder) for way in ("to_head", "to_dependent")}
                for relation, n in RELATIONS.get(code, {}).items()
            },
        },
        "examples": [_example(encoder, text) for text in SENTENCES[code]],
    }


def _share(encoder: Encoder) -> dict[str, Any]:
    return {"shares": encoder.matrix(encoder.random.beta(0.8, 8, encoder.shape)), "even": 0.05}


def _example(encoder: Encoder, text: str) -> dict[str, Any]:
    words = text.split(" ")
    n = len(words)
    weights = [
        [
            [[None] * (n + 1)] * n
            if (i, j) in encoder.missing
            else [_thousandths(row) for row in encoder.random.dirichlet(np.full(n + 1, 0.3), n)]
            for j in range(encoder.shape[1])
        ]
        for i in range(encoder.shape[0])
    ]
    return {"words": words, "special_before": "<s>", "special_after": "</s>", "weights": weights}


def _thousandths(row: NDArray[np.float64]) -> list[float]:
    """Three decimals whose sum is exactly 1: the largest remainders are rounded up."""
    parts = np.floor(1000 * row)
    up = np.argsort(parts - 1000 * row)[: 1000 - int(parts.sum())]
    parts[up] += 1
    return [round(float(part) / 1000, 3) for part in parts]
