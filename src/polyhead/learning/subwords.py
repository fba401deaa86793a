"""What a fast tokenizer makes of words: pieces of each distinct word, the piece that carries its text, and the special tokens."""

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

# An Encoding holds strings and offsets beside the ids, about a kilobyte a word: few are kept at a time.
_WORDS_PER_CALL = 16_384

# Byte-level BPE writes the space as this character (Radford et al. 2019, `bytes_to_unicode`).
_BYTE_LEVEL_SPACE = "\u0120"
_LONGEST_MARKER_RUN = 16


@dataclass(frozen=True)
class WordPieces:
    """Pieces of distinct words, one after the other.

    Attributes:
        ids: int32 `[all pieces]`.
        starts: int64 `[words]`, where a word's pieces begin in `ids`.
        lengths: int64 `[words]`, never 0.
        anchors: int64 `[words]`, offset of the anchor among the word's own pieces.
        lone_marker: bool `[words]`, whether the first piece is a bare space marker (`▁`).
        unknown: bool `[words]`, whether the tokenizer gave no piece at all and `unk_token` stands in.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    anchors: NDArray[np.int64]
    lone_marker: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def word_pieces(words: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, anchor: Anchor = "text") -> WordPieces:
    """Pieces of each word as it stands inside a sentence, without special tokens; the tokenizer is left as it was.

    A word is tokenised alone, which is what fast tokenizers do with pre-split text anyway, so each distinct word costs once. Text
    that spells a token of the template or of padding (`</s>`, `[PAD]`) is read as `unk_token` there: it must not act as one.

    Args:
        words: Distinct words.
        tokenizer: A fast tokenizer.
        anchor: `text` puts the anchor on the first piece that carries a character of the word: a piece that is only the space
            marker is skipped unless nothing else follows. `first` puts it on the first piece.

    Raises:
        SettingError: The tokenizer is not a fast one, or a word yields no piece and there is no `unk_token`.
    """
    backend = _backend(tokenizer)
    markers = _marker_ids(backend)
    prefix = " " if _needs_space(backend) else ""
    lists: list[list[int]] = []
    with _plain(backend):
        for start in range(0, len(words), _WORDS_PER_CALL):
            chunk = [[prefix + word] for word in words[start : start + _WORDS_PER_CALL]]
            encodings = backend.encode_batch(chunk, is_pretokenized=True, add_special_tokens=False)
            lists.extend(encoding.ids for encoding in encodings)
    unknown = np.fromiter((not pieces for pieces in lists), np.bool_, len(lists))
    if unknown.any():
        if tokenizer.unk_token_id is None:
            word = words[int(unknown.argmax())]
            raise SettingError(f"word {word!r}: the tokenizer makes no piece of it and has no unk_token; set tokenizer.unk_token")
        lists = [pieces or [tokenizer.unk_token_id] for pieces in lists]
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    ids = np.fromiter((piece for pieces in lists for piece in pieces), np.int32, int(lengths.sum()))
    if tokenizer.unk_token_id is not None:
        ids[np.isin(ids, _reserved_ids(tokenizer))] = tokenizer.unk_token_id
    return WordPieces(
        ids=ids,
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        anchors=np.fromiter((_anchor(pieces, markers) if anchor == "text" else 0 for pieces in lists), np.int64, len(lists)),
        lone_marker=np.fromiter((pieces[0] in markers for pieces in lists), np.bool_, len(lists)),
        unknown=unknown,
    )


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that the tokenizer's own template puts before and after a single sequence, for example `([CLS],), ([SEP],)`.

    Raises:
        SettingError: The tokenizer is not a fast one, or its template cannot be told from a probe.
    """
    backend = _backend(tokenizer)
    with _plain(backend):
        # unk_token is in every vocabulary that has one, so the probe cannot vanish.
        encoding = backend.encode([tokenizer.unk_token or "a"], is_pretokenized=True)
    inside = [position for position, word in enumerate(encoding.word_ids) if word is not None]
    if not inside:
        raise SettingError("the tokenizer makes no piece of the probe word 'a'; give it an unk_token")
    return tuple(encoding.ids[: inside[0]]), tuple(encoding.ids[inside[-1] + 1 :])


def _reserved_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the model takes for structure; a user's own additional special tokens may well stand in text."""
    ids = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    return [number for number in ids if number is not None]


def _anchor(pieces: Sequence[int], markers: frozenset[int]) -> int:
    return next((offset for offset, piece in enumerate(pieces) if piece not in markers), 0)


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise SettingError(
            f"tokenizer {type(tokenizer).__name__}: expected a fast one (with a tokenizer.json); load it with AutoTokenizer"
        )
    return backend


@contextmanager
def _plain(backend: Tokenizer) -> Iterator[None]:
    """No truncation and no padding, which any earlier call of the tokenizer may have left on; both restored at the end."""
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
    """Whether a word inside running text begins with a space marker that the tokenizer adds only when it sees the space.

    Byte-level BPE without `add_prefix_space` and Metaspace with `prepend_scheme="never"` do that.
    """

    def pieces(text: str | list[str]) -> list[int]:
        return list(backend.encode(text, is_pretokenized=isinstance(text, list), add_special_tokens=False).ids)

    with _plain(backend):
        inside = pieces("a b")[len(pieces("a")) :]
        return pieces(["b"]) != inside and pieces([" b"]) == inside


def _marker_ids(backend: Tokenizer) -> frozenset[int]:
    """Ids of the pieces that hold nothing but the character that stands for a space; empty for WordPiece."""
    found = {marker for part in (backend.normalizer, backend.pre_tokenizer) if part for marker in _markers(_description(part))}
    ids = (backend.token_to_id(marker * n) for marker in found for n in range(1, _LONGEST_MARKER_RUN + 1))
    return frozenset(piece for piece in ids if piece is not None)


def _description(part: Any) -> Any:
    # The pickling state of a component is its JSON; Tokenizer.to_str would write out the whole vocabulary as well.
    return json.loads(part.__getstate__())


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
