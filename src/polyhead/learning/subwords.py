"""Subwords of distinct words from a fast tokenizer, the subword that carries each word's text, and the special tokens."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from polyhead.core.errors import SettingError
from polyhead.core.specs import Anchor

# An Encoding also holds strings and offsets, about a kilobyte per word: keep few at a time.
_WORDS_PER_CALL = 16_384

# Byte-level BPE writes the space as this character (Radford et al. 2019, `bytes_to_unicode`).
_BYTE_LEVEL_SPACE = "\u0120"
_LONGEST_MARKER_RUN = 16


@dataclass(frozen=True)
class Subwords:
    """Subwords of distinct words, concatenated.

    Attributes:
        ids: int32 `[all subwords]`.
        starts: int64 `[words]`, start of each word in `ids`.
        lengths: int64 `[words]`, never 0.
        anchors: int64 `[words]`, offset of the anchor within the word's subwords.
        lone_marker: bool `[words]`, whether the first subword is a bare space marker (`▁`).
        unknown: bool `[words]`, whether the tokenizer produced no subword, so that `unk_token` replaces the word.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    anchors: NDArray[np.int64]
    lone_marker: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def subwords(words: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, anchor: Anchor = "text") -> Subwords:
    """Subwords of each word as inside a sentence, without special tokens; the tokenizer is not changed.

    Each distinct word is tokenised once, on its own, as fast tokenizers do with pre-split text anyway. Text that spells a
    structural token (`</s>`, `[PAD]`) becomes `unk_token`, so that it cannot act as one.

    Args:
        words: Distinct words.
        tokenizer: A fast tokenizer.
        anchor: `text` is the first subword with a character of the word, which skips a bare space marker unless nothing follows
            it; `first` is the first subword.

    Raises:
        SettingError: The tokenizer is not a fast one, or a word yields no subword and there is no `unk_token`.
    """
    backend = backend_of(tokenizer)
    markers = _marker_ids(backend)
    prefix = " " if _needs_space(backend) else ""
    lists: list[list[int]] = []
    with untruncated(backend):
        for start in range(0, len(words), _WORDS_PER_CALL):
            chunk = [[prefix + word] for word in words[start : start + _WORDS_PER_CALL]]
            encodings = backend.encode_batch(chunk, is_pretokenized=True, add_special_tokens=False)
            lists.extend(encoding.ids for encoding in encodings)
    unknown = np.fromiter((not ids for ids in lists), np.bool_, len(lists))
    if unknown.any():
        if tokenizer.unk_token_id is None:
            word = words[int(unknown.argmax())]
            raise SettingError(
                f"word {word!r}: the tokenizer finds no subword for it and has no unk_token; set tokenizer.unk_token"
            )
        lists = [ids or [tokenizer.unk_token_id] for ids in lists]
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    flat = np.fromiter((number for ids in lists for number in ids), np.int32, int(lengths.sum()))
    return Subwords(
        ids=without_structure(flat, tokenizer),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        anchors=np.fromiter((_anchor(ids, markers) if anchor == "text" else 0 for ids in lists), np.int64, len(lists)),
        lone_marker=np.fromiter((ids[0] in markers for ids in lists), np.bool_, len(lists)),
        unknown=unknown,
    )


def without_structure(ids: NDArray[np.int32], tokenizer: PreTrainedTokenizerBase) -> NDArray[np.int32]:
    """The ids with `unk_token` for structural tokens that text spells (`</s>`, `[PAD]`), if there is an `unk_token`."""
    if tokenizer.unk_token_id is None:
        return ids
    # structural tokens only: a user's additional special tokens are allowed in text
    kinds = ("pad", "cls", "sep", "bos", "eos")
    reserved = [number for kind in kinds if (number := getattr(tokenizer, f"{kind}_token_id")) is not None]
    return np.where(np.isin(ids, reserved), np.int32(tokenizer.unk_token_id), ids)


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that the tokenizer's template puts before and after a single sequence, for example `([CLS],), ([SEP],)`.

    Raises:
        SettingError: The tokenizer is not a fast one, or produces no subword for the probe.
    """
    backend = backend_of(tokenizer)
    with untruncated(backend):
        # unk_token is in every vocabulary that has one, so the probe cannot vanish.
        encoding = backend.encode([tokenizer.unk_token or "a"], is_pretokenized=True)
    inside = [position for position, word in enumerate(encoding.word_ids) if word is not None]
    if not inside:
        raise SettingError("the tokenizer finds no subword for the probe word 'a'; give it an unk_token")
    return tuple(encoding.ids[: inside[0]]), tuple(encoding.ids[inside[-1] + 1 :])


def _anchor(ids: Sequence[int], markers: frozenset[int]) -> int:
    return next((offset for offset, number in enumerate(ids) if number not in markers), 0)


def backend_of(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The tokenizer itself behind Transformers' wrapper.

    Raises:
        SettingError: The tokenizer is not a fast one.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise SettingError(
            f"tokenizer {type(tokenizer).__name__}: expected a fast one (with a tokenizer.json); load it with AutoTokenizer"
        )
    return backend


@contextmanager
def untruncated(backend: Tokenizer) -> Iterator[None]:
    """A context without truncation and padding, which an earlier call may have enabled; restore both at the end."""
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        yield
    finally:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)


def _needs_space(backend: Tokenizer) -> bool:
    """Whether the tokenizer adds the space marker only to a word that follows a space.

    True for byte-level BPE without `add_prefix_space` and Metaspace with `prepend_scheme="never"`.
    """

    def ids(text: str | list[str]) -> list[int]:
        return list(backend.encode(text, is_pretokenized=isinstance(text, list), add_special_tokens=False).ids)

    with untruncated(backend):
        inside = ids("a b")[len(ids("a")) :]
        return ids(["b"]) != inside and ids([" b"]) == inside


def _marker_ids(backend: Tokenizer) -> frozenset[int]:
    """Ids of subwords that consist of space markers only; empty for WordPiece."""
    # the pickling state of a component is its JSON; Tokenizer.to_str would include the whole vocabulary
    parts = [json.loads(part.__getstate__()) for part in (backend.normalizer, backend.pre_tokenizer) if part]
    found = {marker for part in parts for marker in _markers(part)}
    ids = (backend.token_to_id(marker * n) for marker in found for n in range(1, _LONGEST_MARKER_RUN + 1))
    return frozenset(number for number in ids if number is not None)


def _markers(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _markers(child)
    elif isinstance(node, dict):
        kind = node.get("type")
        if kind == "Metaspace":
            yield node["replacement"]
        elif kind == "ByteLevel":
            yield _BYTE_LEVEL_SPACE
        elif kind == "Replace" and node.get("pattern") == {"String": " "} and node.get("content"):
            yield node["content"]
        for child in node.values():
            yield from _markers(child)
