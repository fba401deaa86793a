"""The vocabulary of a fast tokenizer: what its subwords are made of, and the same tokenizer with fewer of them.

A word whose subwords are all kept is segmented as before:

- WordPiece takes the longest match; a longer one cannot appear among fewer subwords.
- Unigram takes the best-scoring path; with the scores unchanged it stays the best, also where two paths tie. An unknown
  character costs the lowest score minus a constant, so the subword with the lowest score is always kept.
- BPE applies the earliest merge; all merges that led to a kept subword stay, in their order.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from polyhead.core.errors import SettingError
from polyhead.models.sources import quiet, reading

_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")  # others hold the old vocabulary
_BYTES: Final = tuple(f"<0x{byte:02X}>" for byte in range(256))

Json = dict[str, Any]


class _Kind(NamedTuple):
    """How one type of model in a tokenizer.json stores its subwords.

    `subwords`: all, by id. `needed`: the names that it cannot do without. `reduced`: the model with some of them, given the new
    id of each by its old id.
    """

    subwords: Callable[[Json], dict[int, str]]
    needed: Callable[[Json], Iterable[str]]
    reduced: Callable[[Json, Mapping[int, int]], Json]


def _by_id(model: Json) -> dict[int, str]:
    return {number: text for text, number in model["vocab"].items()}


def _unknown(model: Json) -> Iterator[str]:
    if model.get("unk_token") is not None:
        yield model["unk_token"]


def _lowest(model: Json) -> Iterator[str]:
    yield min(model["vocab"], key=lambda pair: pair[1])[0]
    if model.get("unk_id") is not None:
        yield model["vocab"][model["unk_id"]][0]


def _fewer_names(model: Json, new: Mapping[int, int]) -> Json:
    return {**model, "vocab": {text: new[number] for text, number in model["vocab"].items() if number in new}}


def _fewer_scores(model: Json, new: Mapping[int, int]) -> Json:
    unknown = model.get("unk_id")
    vocabulary = [pair for number, pair in enumerate(model["vocab"]) if number in new]
    return {**model, "vocab": vocabulary, "unk_id": None if unknown is None else new[unknown]}


def _fewer_merges(model: Json, new: Mapping[int, int]) -> Json:
    reduced = _fewer_names(model, new)
    left = reduced["vocab"]
    merges = [[one, other] for one, other, whole in _merges(model) if one in left and other in left and whole in left]
    return {**reduced, "merges": merges}


def _merges(model: Json) -> Iterator[tuple[str, str, str]]:
    """Both parts of every merge, in order, and what it makes."""
    prefix = len(model.get("continuing_subword_prefix") or "")
    for merge in model["merges"]:
        one, other = merge.split(" ") if isinstance(merge, str) else merge
        yield one, other, one + other[prefix:]


_KINDS: Final[Mapping[str, _Kind]] = {
    "WordPiece": _Kind(_by_id, _unknown, _fewer_names),
    "Unigram": _Kind(lambda model: {i: pair[0] for i, pair in enumerate(model["vocab"])}, _lowest, _fewer_scores),
    "BPE": _Kind(_by_id, _unknown, _fewer_merges),
}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The subwords of a fast tokenizer.

    Attributes:
        document: Its tokenizer.json.
        subwords: All by id, added tokens included.
        needed: Ids that no trimming may drop: added and special tokens, the unknown token, bytes, and Unigram's lowest score.
        made_of: By id, the subwords that BPE merges into it.
        characters: By id, the character of every subword that is a single one, without `##` or `</w>`.
    """

    document: Json
    subwords: Mapping[int, str]
    needed: frozenset[int]
    made_of: Mapping[int, frozenset[int]]
    characters: Mapping[int, str]

    @classmethod
    def read(cls, tokenizer: PreTrainedTokenizerBase) -> "Vocabulary":
        """The vocabulary of a tokenizer, which is not changed.

        Raises:
            SettingError: It is not a fast one, its model is not WordPiece, Unigram or BPE, or it segments at random.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            slow = f"tokenizer {type(tokenizer).__name__}: expected a fast one (with a tokenizer.json)"
            raise SettingError(f"{slow}; load it with AutoTokenizer")
        document = json.loads(backend.to_str())
        model = document["model"]
        kind = _KINDS.get(model.get("type"))
        if kind is None:
            raise SettingError(f"tokenizer model {model.get('type')}: cannot be trimmed; only {', '.join(_KINDS)} can")
        if model.get("dropout"):
            wrong = f"tokenizer: BPE with dropout {model['dropout']} segments at random"
            raise SettingError(f"{wrong}; set dropout to null in tokenizer.json, then trim")
        own = kind.subwords(model)
        ids = {text: number for number, text in own.items()}
        added = {token["id"]: token["content"] for token in document["added_tokens"]}
        names = [*kind.needed(model), *(_BYTES if model.get("byte_fallback") else ()), *_byte_alphabet(document)]
        special = [number for number in tokenizer.all_special_ids if number is not None]
        needed = {*added, *special, *_template_ids(document["post_processor"]), *(ids[name] for name in names if name in ids)}
        made_of: dict[int, frozenset[int]] = {}
        for one, other, whole in _merges(model) if model["type"] == "BPE" else ():
            made_of[ids[whole]] = made_of.get(ids[whole], frozenset()) | {ids[one], ids[other]}
        prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
        bare = ((number, text.removeprefix(prefix).removesuffix(suffix) or text) for number, text in own.items())
        characters = {number: text for number, text in bare if len(text) == 1}
        return cls(document, own | added, frozenset(needed), made_of, characters)

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        """The subwords with everything that BPE merges into them, down to characters."""
        found: set[int] = set()
        rest = list(ids)
        while rest:
            number = rest.pop()
            if number not in found:
                found.add(number)
                rest += self.made_of.get(number, ())
        return found


def _byte_alphabet(document: Json) -> list[str]:
    """The characters that stand for bytes; empty if the tokenizer is not byte-level."""
    parts = (document["normalizer"], document["pre_tokenizer"])
    return pre_tokenizers.ByteLevel.alphabet() if any(node.get("type") == "ByteLevel" for node in _nodes(parts)) else []


def _nodes(part: Any) -> Iterator[Json]:
    """All objects inside a part of a tokenizer.json."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from _nodes(inner)


def _template_ids(processor: Any) -> set[int]:
    """The ids of special tokens that a post-processor adds."""
    found: set[int] = set()
    _renumbered(processor, lambda number: found.add(number) or number)  # type: ignore[func-returns-value]
    return found


def _renumbered(part: Any, new: Callable[[int], int]) -> Any:
    """A post-processor with new ids of special tokens."""
    if isinstance(part, list):
        return [_renumbered(inner, new) for inner in part]
    if not isinstance(part, dict):
        return part
    if "ids" in part and "tokens" in part:
        return {**part, "ids": [new(number) for number in part["ids"]]}
    if part.get("type") in ("BertProcessing", "RobertaProcessing"):
        return {**part, **{name: [part[name][0], new(part[name][1])] for name in ("sep", "cls")}}
    return {name: _renumbered(inner, new) for name, inner in part.items()}


def trimmed_tokenizer(
    tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary, kept: Iterable[int]
) -> tuple[PreTrainedTokenizerBase, NDArray[np.int64]]:
    """A new tokenizer with the kept subwords only, as stock `AutoTokenizer` loads it, and the old id of each new one.

    Names of subwords, Unigram scores and the order of merges stay. Ids are renumbered without gaps in the old order.

    Args:
        tokenizer: Not changed.
        vocabulary: From `Vocabulary.read(tokenizer)`.
        kept: Old ids; those that the vocabulary needs, and the parts of every subword, must be among them.

    Raises:
        CheckpointError: Its class cannot be loaded with another vocabulary.
    """
    old = set(kept)
    model = vocabulary.document["model"]
    own = _KINDS[model["type"]].subwords(model).keys()
    rows = [*sorted(old & own), *sorted(old - own)]
    new = {number: place for place, number in enumerate(rows)}
    advice = f"a {type(tokenizer).__name__} cannot be trimmed; save it as a PreTrainedTokenizerFast first"
    with TemporaryDirectory() as name:
        folder = Path(name)
        with quiet():
            tokenizer.save_pretrained(folder)
        for path in folder.iterdir():
            if path.is_file() and path.name not in _FILES and path.suffix != ".jinja":
                path.unlink()
        (folder / _FILES[0]).write_text(json.dumps(_reduced(vocabulary.document, new), ensure_ascii=False), encoding="utf-8")
        _renumber_config(folder / _FILES[1], new)
        made = reading("the trimmed tokenizer", lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False), do=advice)
    made.name_or_path = tokenizer.name_or_path
    expected = {vocabulary.subwords[number]: place for number, place in new.items()}
    if (found := made.get_vocab()) != expected:
        wrong = next(iter(found.items() ^ expected.items()))
        raise SettingError(f"the trimmed tokenizer does not give {wrong[0]!r} the id that it should; {advice}")
    return made, np.array(rows, dtype=np.int64)


def _reduced(document: Json, new: Mapping[int, int]) -> Json:
    """A tokenizer.json with the subwords in `new` only."""
    padding = document["padding"]
    return {
        **document,
        "model": _KINDS[document["model"]["type"]].reduced(document["model"], new),
        "added_tokens": [{**token, "id": new[token["id"]]} for token in document["added_tokens"]],
        "post_processor": _renumbered(document["post_processor"], new.__getitem__),
        "padding": padding if padding is None else {**padding, "pad_id": new.get(padding["pad_id"], 0)},
    }


def _renumber_config(path: Path, new: Mapping[int, int]) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    if "added_tokens_decoder" in config:
        listed = config["added_tokens_decoder"].items()
        config["added_tokens_decoder"] = {str(new[int(number)]): token for number, token in listed}
        path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
