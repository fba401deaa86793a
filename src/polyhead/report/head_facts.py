"""What the page's script needs to draw and explain the heads of a run."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from polyhead.report.finished_run import FinishedRun
from polyhead.report.heads_form import DIRECTIONS, PLACES
from polyhead.report.page import chosen_heads
from polyhead.report.pictures import places
from polyhead.report.reading import RANKED, short


def head_facts(run: FinishedRun) -> dict[str, Any]:
    """The heads of one run, with or without a profile, as the page's script reads them; matrices are `[layers][heads]`."""
    heads = run.heads or {"languages": [], "left_out": [], "n_sentences": 0, "method": ""}
    languages = [_language(own) for own in heads["languages"]]
    methods = dict.fromkeys(method for own in languages for method in own["scores"])
    return {
        "name": run.name,
        "shape": list(run.shape),
        "seeds": [_seed(cell) for cell in run.record["cells"] if cell.get("arm", RANKED) == RANKED],
        "method": (run.first.get("ranking_cost") or {}).get("method") or run.record["settings"].get("method") or "",
        "methods": sorted(methods, key=lambda method: method != heads["method"]),
        "profile_seed": heads.get("seed"),
        "n_sentences": heads["n_sentences"],
        "left_out": [{"name": short(own["name"]), "why": own["why"]} for own in heads["left_out"]],
        "measured": run.heads is not None,
        "languages": languages,
    }


def _seed(cell: Mapping[str, Any]) -> dict[str, Any]:
    scores = cell["scores"]
    place = places(scores)
    return {
        "seed": cell["seed"],
        "scores": scores,
        "places": [[place.get((i, j)) for j in range(len(row))] for i, row in enumerate(scores)],
        "pruned": chosen_heads(cell),
    }


def _language(own: Mapping[str, Any]) -> dict[str, Any]:
    attention, effects = own["attention"], own["effects"]
    return {
        "name": short(own["name"]),
        "language": own["language"],
        "split": own["split"],
        "n_sentences": own["n_sentences"],
        "n_words": own["n_words"],
        "scores": own["scores"],
        "metric": effects["metric"],
        "unpruned": round(effects["unpruned"], 2),
        **{key: effects[key] for key in ("difference", "low", "high")},
        "shares": {
            kind: _share(attention["shares"][kind], attention["even"][kind]) for kind in PLACES if kind in attention["shares"]
        },
        "relations": [
            {
                "relation": relation,
                "n": found["n"],
                **{way: _share(found[way]["shares"], found[way]["even"]) for way in DIRECTIONS},
            }
            for relation, found in sorted(attention["relations"].items(), key=lambda item: -item[1]["n"])
        ],
        "examples": [_example(example) for example in own["examples"]],
    }


def _share(matrix: Sequence[Sequence[float | None]], even: float) -> dict[str, Any]:
    return {"values": matrix, "even": even}


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "words": list(example["words"]),
        "direction": _direction(example["words"]),
        "separators": " ".join(part for part in (example.get("special_before"), example.get("special_after")) if part),
        "weights": example["weights"],
    }


def _direction(words: Sequence[str]) -> str:
    """`rtl` where more characters run from right to left than from left to right."""
    kinds = [unicodedata.bidirectional(character) for word in words for character in word]
    return "rtl" if sum(kind in ("R", "AL") for kind in kinds) > kinds.count("L") else "ltr"
