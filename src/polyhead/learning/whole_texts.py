"""Whole texts, or pairs of texts, to the ids that the tokenizer's own template gives them, truncated to a length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from polyhead.core.errors import SettingError
from polyhead.learning.subwords import backend_of, special_tokens, untruncated, without_structure

# An Encoding also holds strings and offsets, some ten kilobytes per text: keep few at a time.
_TEXTS_PER_CALL = 2048


@dataclass(frozen=True)
class Template:
    """Special tokens around one text or a pair of texts.

    Attributes:
        before: Ids before the first text.
        between: Ids between the two; empty for one text.
        after: Ids after the last.
        second: How many of `between` have token type 0; all after them has type 1. None if the tokenizer has one type.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    second: int | None

    @property
    def n_tokens(self) -> int:
        """Number of special tokens."""
        return len(self.before) + len(self.between) + len(self.after)


def template_of(tokenizer: PreTrainedTokenizerBase, n_texts: int) -> Template:
    """The template of a fast tokenizer for one text or two.

    Raises:
        SettingError: The tokenizer is not a fast one, or produces no subword for the probe.
    """
    if n_texts == 1:
        before, after = special_tokens(tokenizer)
        return Template(before, (), after, None)
    backend, probe = backend_of(tokenizer), tokenizer.unk_token or "a"
    with untruncated(backend):
        encoding = backend.encode(probe, probe)
    places = [[i for i, sequence in enumerate(encoding.sequence_ids) if sequence == own] for own in (0, 1)]
    if not all(places):
        raise SettingError("the tokenizer finds no subword for the probe word 'a'; give it an unk_token")
    (start, *_), (*_, end) = places[1], places[0]
    typed = next((i for i, kind in enumerate(encoding.type_ids) if kind == 1), None)
    has_types = typed is not None and "token_type_ids" in tokenizer.model_input_names
    return Template(
        before=tuple(encoding.ids[: places[0][0]]),
        between=tuple(encoding.ids[end + 1 : start]),
        after=tuple(encoding.ids[places[1][-1] + 1 :]),
        second=typed - end - 1 if has_types and typed is not None else None,
    )


@dataclass(frozen=True, eq=False, slots=True)
class WholeText:
    """One text or pair as the model reads it.

    Attributes:
        ids: int32 `[length]`, special tokens included.
        specials: Number of special tokens before and after the text.
        between: Start and end of those between two texts; equal for one.
        second: Where token type 1 begins; 0 if all have type 0.
        n_subwords: Subwords before truncation.
        is_truncated: Whether some were left out.
    """

    ids: NDArray[np.int32]
    specials: tuple[int, int]
    between: tuple[int, int]
    second: int
    n_subwords: int
    is_truncated: bool


def whole_texts(
    texts: Sequence[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, *, limit: int, token_types: bool = True
) -> list[WholeText]:
    """Every text or pair with its special tokens, at most `limit` long, in order.

    The ids are those of `tokenizer(*texts, truncation="longest_first", max_length=limit)`, except that text which spells a
    structural token (`</s>`, `[PAD]`) becomes `unk_token`, so that it cannot act as one. Of a pair, the longer text loses its
    last subwords until both are equally long, then both do.

    Args:
        texts: One or two each.
        tokenizer: A fast tokenizer; not changed.
        limit: Longest result, special tokens included.
        token_types: Whether the model tells the texts of a pair apart by token types.

    Raises:
        SettingError: The tokenizer is not a fast one, or the special tokens leave no room for a subword of each text.
    """
    templates = {n: template_of(tokenizer, n) for n in sorted({len(own) for own in texts})}
    for n, template in templates.items():
        if limit < template.n_tokens + n:
            raise SettingError(
                f"window of {limit} tokens: {template.n_tokens} special tokens leave no room for a subword of each text; raise "
                "max_length"
            )
    ids = _ids(dict.fromkeys(text for own in texts for text in own), tokenizer)
    found = []
    for own in texts:
        template, parts = templates[len(own)], [ids[text] for text in own]
        lengths = _shortened([len(part) for part in parts], limit - template.n_tokens)
        start = len(template.before) + lengths[0]
        middle = (start, start + len(template.between))
        pieces: list[Sequence[int] | NDArray[np.int32]] = [template.before, parts[0][: lengths[0]]]
        if len(parts) == 2:
            pieces += [template.between, parts[1][: lengths[1]]]
        n_subwords = sum(map(len, parts))
        found.append(
            WholeText(
                ids=np.concatenate([np.asarray(piece, dtype=np.int32) for piece in [*pieces, template.after]]),
                specials=(len(template.before), len(template.after)),
                between=middle,
                second=0 if template.second is None or not token_types else start + template.second,
                n_subwords=n_subwords,
                is_truncated=sum(lengths) < n_subwords,
            )
        )
    return found


def _shortened(lengths: Sequence[int], capacity: int) -> list[int]:
    """Lengths of one or two texts after truncation to a common capacity."""
    if len(lengths) == 1:
        return [min(lengths[0], capacity)]
    first, second = lengths
    shorter = min(first, second, capacity // 2)
    longer = min(max(first, second), capacity - shorter)
    return [longer, shorter] if first > second else [shorter, longer]


def _ids(texts: dict[str, None], tokenizer: PreTrainedTokenizerBase) -> dict[str, NDArray[np.int32]]:
    """Ids of each distinct text without special tokens."""
    backend, order = backend_of(tokenizer), list(texts)
    found: dict[str, NDArray[np.int32]] = {}
    with untruncated(backend):
        for start in range(0, len(order), _TEXTS_PER_CALL):
            chunk = order[start : start + _TEXTS_PER_CALL]
            for text, encoding in zip(chunk, backend.encode_batch(chunk, add_special_tokens=False), strict=True):
                found[text] = without_structure(np.array(encoding.ids, dtype=np.int32), tokenizer)
    return found
