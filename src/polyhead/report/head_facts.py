"""What the page's script needs to draw and explain the heads of a run: plain numbers, small enough to lie inside the page."""

import base64
import json
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from polyhead.report.finished_run import FinishedRun
from polyhead.report.heads_form import DIRECTIONS, PLACES, Example, LanguageHeads
from polyhead.report.page import chosen_heads
from polyhead.report.pictures import places
from polyhead.report.reading import cells, short
from polyhead.report.record import CellRecord

_PER_MILLE: Final = 1000
_FEW_RELATIONS: Final = 8


def head_facts(run: FinishedRun, *, room: int) -> dict[str, Any]:
    """The heads of one run as the page's script reads them.

    Scores have three significant digits, effects two decimals (points), shares of attention are in thousandths, and the weights
    of example sentences are bytes in base64 (255 = all). What does not fit in the room is left out, second examples and rarer
    relations first, then examples from the last language on, and `slimmed` says so. Matrices are never left out.

    Args:
        run: With or without a profile.
        room: Bytes that the facts may take.
    """
    heads = run.heads
    languages = [] if heads is None else [_language(own) for own in heads.languages]
    methods = dict.fromkeys(method for own in languages for method in own["scores"])
    facts = {
        "name": run.name,
        "shape": list(run.shape),
        "seeds": [_seed(cell) for cell in cells(run.record)],
        "method": run.first.ranking_cost.method,
        "methods": sorted(methods, key=lambda method: heads is not None and method != heads.method),
        "profile_seed": None if heads is None else heads.seed,
        "n_sentences": 0 if heads is None else heads.n_sentences,
        "n_measured": 0 if heads is None else len(heads.measured),
        "left_out": [] if heads is None else [{"name": short(own.name), "why": own.why} for own in heads.left_out],
        "measured": heads is not None,
    }
    slimmed = _slim(languages, room - _size({**facts, "languages": "", "slimmed": []}))
    return {**facts, "languages": languages, "slimmed": slimmed}


def _seed(cell: CellRecord) -> dict[str, Any]:
    scores = cell.scores
    place = places(scores)
    return {
        "seed": cell.seed,
        "scores": [[_digits(value) for value in row] for row in scores],
        "places": [[place.get((i, j)) for j in range(len(row))] for i, row in enumerate(scores)],
        "pruned": chosen_heads(cell),
    }


def _language(own: LanguageHeads) -> dict[str, Any]:
    attention, effects = own.attention, own.effects
    return {
        "name": short(own.name),
        "language": own.language,
        "split": own.split,
        "n_sentences": own.n_sentences,
        "n_words": own.n_words,
        "scores": {method: [[_digits(value) for value in row] for row in matrix] for method, matrix in own.scores.items()},
        "metric": effects.metric,
        "unpruned": round(effects.unpruned, 2),
        **{key: [[_cents(value) for value in row] for row in getattr(effects, key)] for key in ("difference", "low", "high")},
        "estimate": [[_digits(value) for value in row] for row in effects.loss_change],
        "shares": {kind: _share(attention.shares[kind], attention.even[kind]) for kind in PLACES if kind in attention.shares},
        "relations": [
            {
                "relation": relation,
                "n": found.n,
                **{way: _share(getattr(found, way).shares, getattr(found, way).even) for way in DIRECTIONS},
            }
            for relation, found in sorted(attention.relations.items(), key=lambda item: -item[1].n)
        ],
        "examples": [_example(example) for example in own.examples],
    }


def _share(matrix: Sequence[Sequence[float | None]], even: float) -> dict[str, Any]:
    return {
        "values": [[None if value is None else round(_PER_MILLE * value) for value in row] for row in matrix],
        "even": round(_PER_MILLE * even),
    }


def _example(example: Example) -> dict[str, Any]:
    flat = [value for layer in example.weights for head in layer for row in head for value in row]
    packed = bytes(0 if value is None else min(255, max(0, round(255 * value))) for value in flat)
    return {
        "words": list(example.words),
        "direction": _direction(example.words),
        "separators": " ".join(part for part in (example.special_before, example.special_after) if part),
        "weights": base64.b64encode(packed).decode("ascii"),
    }


def _direction(words: Sequence[str]) -> str:
    """`rtl` where more characters run from right to left than from left to right."""
    kinds = [unicodedata.bidirectional(character) for word in words for character in word]
    return "rtl" if sum(kind in ("R", "AL") for kind in kinds) > kinds.count("L") else "ltr"


def _slim(languages: list[dict[str, Any]], room: int) -> list[str]:
    """Takes things out until the rest fits, of the examples no more than needed; what was taken out, in words."""
    taken = []
    if _size(languages) > room and any(len(own["examples"]) > 1 for own in languages):
        for own in languages:
            own["examples"] = own["examples"][:1]
        taken.append("second example sentences")
    if _size(languages) > room and any(len(own["relations"]) > _FEW_RELATIONS for own in languages):
        for own in languages:
            own["relations"] = own["relations"][:_FEW_RELATIONS]
        taken.append(f"relations beyond the {_FEW_RELATIONS} most frequent of a language")
    over, without = _size(languages) - room, []
    for own in reversed(languages):
        if over > 0 and own["examples"]:
            over -= _size(own["examples"])
            own["examples"] = []
            without.append(own["name"])
    if without:
        taken.append(f"example sentences of {', '.join(reversed(without))}")
    if over > 0 and any(own["relations"] for own in languages):
        for own in languages:
            own["relations"] = []
        taken.append("relations")
    return taken


def _size(facts: object) -> int:
    """Bytes that facts take on the page."""
    return len(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _cents(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
