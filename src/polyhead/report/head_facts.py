"""What the page's script needs to draw and explain the heads of a run: plain numbers, small enough to lie inside the page."""

import base64
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from polyhead.report.finished_run import FinishedRun
from polyhead.report.page import chosen_heads
from polyhead.report.pictures import places
from polyhead.report.reading import RANKED, short

PLACES: Final = ("previous", "next", "same", "separators")
_PER_MILLE: Final = 1000


def head_facts(run: FinishedRun, *, room: int) -> dict[str, Any]:
    """The heads of one run as the page's script reads them.

    Scores have three significant digits, effects two decimals (points), shares of attention are in thousandths, and the weights
    of example sentences are bytes in base64 (255 = all). What does not fit in the room is left out, second examples and rarer
    relations first, and `slimmed` says so.

    Args:
        run: With or without a profile.
        room: Bytes that the profile may take, about.
    """
    heads = run.heads or {"languages": [], "left_out": [], "n_sentences": 0, "method": ""}
    languages = [_language(own) for own in heads["languages"]]
    slimmed = _slim(languages, room)
    ranked_by = (run.first.get("ranking_cost") or {}).get("method", "")
    return {
        "name": run.name,
        "shape": list(run.shape),
        "seeds": [_seed(cell) for cell in run.record["cells"] if cell.get("arm", RANKED) == RANKED],
        "ranked_by": ranked_by,
        "method": heads["method"] or ranked_by,
        "profile_seed": heads.get("seed"),
        "n_sentences": heads["n_sentences"],
        "languages": languages,
        "left_out": [{"name": short(str(own.get("name", ""))), "why": str(own.get("why", ""))} for own in heads["left_out"]],
        "measured": run.heads is not None,
        "slimmed": slimmed,
    }


def _seed(cell: Mapping[str, Any]) -> dict[str, Any]:
    scores = cell["scores"]
    place = places(scores)
    return {
        "seed": cell["seed"],
        "scores": [[_digits(value) for value in row] for row in scores],
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
        "scores": [[_digits(value) for value in row] for row in next(iter(own["scores"].values()))],
        "metric": effects["metric"],
        "unpruned": round(effects["unpruned"], 2),
        **{key: [[_cents(value) for value in row] for row in effects[key]] for key in ("difference", "low", "high")},
        "shares": {
            kind: _share(attention["shares"][kind], attention["even"][kind]) for kind in PLACES if kind in attention["shares"]
        },
        "relations": [
            {
                "relation": relation,
                "n": found["n"],
                **{way: _share(found[way]["shares"], found[way]["even"]) for way in ("to_head", "to_dependent")},
            }
            for relation, found in sorted(attention["relations"].items(), key=lambda item: -item[1]["n"])
        ],
        "examples": [_example(example) for example in own["examples"]],
    }


def _share(matrix: Sequence[Sequence[float | None]], even: float) -> dict[str, Any]:
    return {
        "values": [[None if value is None else round(_PER_MILLE * value) for value in row] for row in matrix],
        "even": round(_PER_MILLE * even),
    }


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    flat = [value for layer in example["weights"] for head in layer for row in head for value in row]
    packed = bytes(0 if value is None else min(255, max(0, round(255 * value))) for value in flat)
    return {
        "words": list(example["words"]),
        "direction": _direction(example["words"]),
        "separators": " ".join(part for part in (example.get("special_before"), example.get("special_after")) if part),
        "weights": base64.b64encode(packed).decode("ascii"),
    }


def _direction(words: Sequence[str]) -> str:
    """`rtl` where more characters run from right to left than from left to right."""
    kinds = [unicodedata.bidirectional(character) for word in words for character in word]
    return "rtl" if sum(kind in ("R", "AL") for kind in kinds) > kinds.count("L") else "ltr"


def _slim(languages: list[dict[str, Any]], room: int) -> list[str]:
    """Takes things out until the rest fits; what was taken out, in words."""
    taken = []
    steps = (
        ("second example sentences", lambda own: own.update(examples=own["examples"][:1])),
        ("relations beyond the eight most frequent", lambda own: own.update(relations=own["relations"][:8])),
        ("example sentences", lambda own: own.update(examples=[])),
        ("relations", lambda own: own.update(relations=[])),
    )
    for name, take in steps:
        if _size(languages) <= room:
            break
        for own in languages:
            take(own)
        taken.append(name)
    return taken


def _size(languages: Sequence[Mapping[str, Any]]) -> int:
    """Bytes, about: four a number of a matrix, and the packed examples."""
    total = 0
    for own in languages:
        n_heads = sum(map(len, own["scores"]))
        total += n_heads * (4 * 6 + 4 * len(own["shares"]) + 8 * len(own["relations"]))
        total += sum(len(example["weights"]) for example in own["examples"])
    return total


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _cents(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
