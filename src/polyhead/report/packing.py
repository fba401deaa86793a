"""The data of a page made small: matrices as base64, facts that runs share stored once, and what does not fit left out.

The page's script (`unpack.js`) reads it back, one run at a time.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_FEW_RELATIONS: Final = (8, 4, 1, 0)  # of a language, tried in turn
_NONE: Final = {"percent": 255, "cents": -32768, "place": -32768}  # what stands for a head that the encoder does not have
_KINDS: Final = {
    "places": "place",
    "difference": "cents",
    "low": "cents",
    "high": "cents",
    "rho": "cents",
    "values": "percent",
    "even": "percent",
}


def page_data(runs: Sequence[Mapping[str, Any]], *, across: Mapping[str, Any] | None, room: int, text: bool) -> dict[str, Any]:
    """What the page carries of its runs: `runs`, in `shared` the facts that these refer to by number, and `across`.

    Matrices keep what the page shows of them: shares of attention in whole per cent, effects and correlations in hundredths,
    scores with 11 bits. What does not fit is left out and named in `slimmed`: second example sentences and rarer relations
    first, then examples from the last language on, then all relations. Other matrices are never left out.

    Args:
        runs: From `head_facts`.
        across: How far the rankings of the runs agree.
        room: Bytes for all runs, shared equally.
        text: Whether example sentences may be on the page.
    """
    shared: dict[str, int] = {}
    found = [_run(run, shared, room=room // len(runs), text=text) for run in runs]
    return {"runs": found, "shared": [json.loads(fact) for fact in shared], "across": _packed(across)}


def weight_bytes(weights: object) -> NDArray[np.uint8]:
    """Attention weights 0..1, nested lists, as bytes 0..255 of the same shape; 0 where there are none."""
    found = np.nan_to_num(np.asarray(weights, dtype=np.float64))
    return np.rint(255 * np.clip(found, 0, 1)).astype(np.uint8)


def _run(run: Mapping[str, Any], shared: dict[str, int], *, room: int, text: bool) -> dict[str, Any]:
    """One run packed; facts that runs may have in common go to `shared`, keyed by their JSON."""
    languages = [_packed(own | {"examples": own["examples"] if text else []}) for own in run["languages"]]
    rest = _packed({key: value for key, value in run.items() if key != "languages"})
    slimmed = _slim(languages, room - _size(rest))
    for own in languages:
        own["relations"] = [_split(one, ("relation", "n"), shared) for one in own["relations"]]
        own["examples"] = [
            _split(one, ("words", "direction", "separators"), shared) | {"weights": _base64(one["weights"])}
            for one in own["examples"]
        ]
    about = ("name", "language", "split", "n_sentences", "n_words", "metric")
    return {**rest, "languages": [_split(own, about, shared) for own in languages], "slimmed": slimmed, "text": text}


def _split(facts: Mapping[str, Any], keys: Sequence[str], shared: dict[str, int]) -> dict[str, Any]:
    """The facts, with the number of a shared one in place of those under the keys."""
    own = json.dumps({key: facts[key] for key in keys}, ensure_ascii=False)
    number = shared.setdefault(own, len(shared))
    return {"shared": number, **{key: value for key, value in facts.items() if key not in keys}}


def _packed(value: Any, key: str = "") -> Any:
    """The value with every matrix packed except the weights of examples."""
    if isinstance(value, Mapping):
        return {name: own if name == "weights" else _packed(own, name) for name, own in value.items()}
    if isinstance(value, list | tuple):
        is_matrix = bool(value) and isinstance(value[0], list | tuple)
        return _matrix(value, _KINDS.get(key, "half")) if is_matrix else [_packed(own, key) for own in value]
    return round(100 * value) if key == "even" else value


def _matrix(rows: Sequence[Sequence[float | None]], kind: str) -> dict[str, Any]:
    values = np.array(rows, dtype=np.float64)
    facts: dict[str, Any] = {"packed": "", "as": kind, "columns": values.shape[1]}
    if kind == "half":
        largest = np.nanmax(np.abs(values), initial=0.0)
        facts["exponent"] = int(np.floor(np.log2(largest))) - 14 if largest else 0  # halves reach to 2¹⁶
        numbers = (values / 2.0 ** facts["exponent"]).astype("<f2")
    else:
        whole = np.rint(values * (1 if kind == "place" else 100))
        numbers = np.where(np.isnan(whole), _NONE[kind], whole).astype("u1" if kind == "percent" else "<i2")
    return {**facts, "packed": _base64(numbers)}


def _base64(numbers: NDArray[Any]) -> str:
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _slim(languages: Sequence[dict[str, Any]], room: int) -> list[str]:
    """Removes parts until the rest fits, as few examples as possible; returns a description of each removed part."""
    size = sum(map(_size, languages))

    def keep(kept: int, key: str, those: Sequence[dict[str, Any]]) -> bool:
        """Whether something had to be taken out."""
        nonlocal size
        rest = [one for own in those for one in own[key][kept:]]
        if size <= room or not rest:
            return False
        size -= sum(map(_size, rest))
        for own in those:
            own[key] = own[key][:kept]
        return True

    taken = ["second example sentences"] * keep(1, "examples", languages)
    n_relations = _FEW_RELATIONS[0] if keep(_FEW_RELATIONS[0], "relations", languages) else None
    without = [own["name"] for own in reversed(languages) if keep(0, "examples", [own])]
    for kept in _FEW_RELATIONS[1:]:
        n_relations = kept if keep(kept, "relations", languages) else n_relations
    if n_relations is not None:
        taken.append(f"relations beyond the {n_relations} most frequent of a language" if n_relations else "relations")
    return taken + ([f"example sentences of {', '.join(reversed(without))}"] if without else [])


def _size(facts: Mapping[str, Any]) -> int:
    """Bytes of the facts on the page, without those shared with other runs."""
    examples = facts.get("examples") or ([facts] if "weights" in facts else [])
    packed = sum(np.size(one["weights"]) * 4 // 3 + 60 for one in examples)
    rest = {key: value for key, value in facts.items() if key not in ("examples", "weights")}
    return packed + len(json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
