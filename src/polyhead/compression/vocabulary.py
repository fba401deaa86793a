"""A model and its tokenizer with the subwords that some languages need, and what that changes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polyhead.compression.embedding_rows import check_rows, config_ids, keep_rows
from polyhead.compression.segmentation import Segmentation, segmentation
from polyhead.compression.subword_choice import Characters, Limits, TextCounts, choose_subwords, count_texts
from polyhead.compression.trimmed_tokenizer import Vocabulary, trimmed_tokenizer
from polyhead.core.arguments import require
from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress
from polyhead.data.plain_text import Line, words_of
from polyhead.models.checks import check_vocabulary


@dataclass(frozen=True, eq=False)
class TrimmedTokenizer:
    """A tokenizer with fewer subwords.

    Attributes:
        tokenizer: The new one, as stock `AutoTokenizer` loads it.
        rows: Old id of each new one, int64 `[rows]`, rising but for added tokens.
        seen: By language, how the words of its text are segmented, compared with before.
        held_out: The same for held-out text; None where there is none.
    """

    tokenizer: PreTrainedTokenizerBase
    rows: NDArray[np.int64]
    seen: Mapping[str, Segmentation]
    held_out: Mapping[str, Segmentation | None]


@dataclass(frozen=True, eq=False)
class Trimmed:
    """A model with a smaller vocabulary.

    Attributes:
        model: The model given, changed in place.
        tokenizer: Its new tokenizer.
        rows: Old id of each new one, int64 `[rows]`.
        rows_before: Rows of the embedding before.
        bytes_before: Weights of the whole model before, in bytes.
        bytes_after: The same after.
        seen: By language, how the words of its text are segmented, compared with before.
        held_out: The same for held-out text; None where there is none.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    rows: NDArray[np.int64]
    rows_before: int
    bytes_before: int
    bytes_after: int
    seen: Mapping[str, Segmentation]
    held_out: Mapping[str, Segmentation | None]


def trim(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Mapping[str, Iterable[Line]],
    *,
    coverage: float = 1.0,
    min_count: int = 1,
    max_size: int | None = None,
    characters: Characters = "scripts",
    held_out: Mapping[str, Iterable[Line]] | None = None,
    progress: Progress | None = None,
) -> Trimmed:
    """The same model, changed in place, with the subwords that the texts of all these languages need, and a tokenizer for it.

    By default every subword that occurs in the texts stays, so their words are segmented as before. Special and added tokens,
    bytes, digits, punctuation and the single characters of the texts' scripts always stay. A sentence whose subwords all stay
    gets exactly the same hidden states and label logits. Save both with `save_pruned(model, folder, tokenizer=tokenizer)`; the
    folder loads with stock `from_pretrained`, and a pruned model keeps its record of heads.

    Costs a pass of the tokenizer over the texts; no model runs.

    Args:
        model: In memory, with any head or none, pruned or not.
        tokenizer: Its fast tokenizer: WordPiece, Unigram or BPE. Not changed.
        texts: By BCP-47 code, lines of raw text, or of words; what `open_corpus` returns will do. Iterated once.
        coverage: Share of a language's subword occurrences that stays, most frequent first.
        min_count: Occurrences in the text of one language that a subword needs.
        max_size: Largest number of subwords, special tokens included.
        characters: `scripts` keeps single characters of the texts' scripts, `seen` those seen only.
        held_out: Other text of the same languages, on which to count the words that are segmented otherwise. Unless given, every
            tenth line of each text stands for it: these words are segmented by a vocabulary chosen without them.
        progress: Updated after every language.

    Raises:
        SettingError: The tokenizer is not a fast one or of another type; a limit is not allowed; there is no text, or none in a
            language; `max_size` has no room for special tokens and characters; or nothing would go.
        CheckpointError: Model and tokenizer do not belong together.
        ArchitectureError: The family has no row, or the weights are not in memory.

    >>> import polyhead as ph
    >>> model = ph.load_tagger("polyhead/tiny", labels=ph.LabelSet(("O", "B-PER", "I-PER")), seed=42)
    >>> texts = {"de": ph.open_corpus("phrases/de", "dev"), "en": ["This is a line of text."]}
    >>> trimmed = trim(model, ph.load_tokenizer("polyhead/tiny"), texts)
    >>> trimmed.rows_before, len(trimmed.rows) == model.config.vocab_size < 2000, trimmed.seen["de"].changed
    (4000, True, 0)
    """
    require(model=(model, nn.Module), tokenizer=(tokenizer, PreTrainedTokenizerBase), texts=(texts, Mapping))
    model = cast(PreTrainedModel, getattr(model, "_orig_mod", model))
    limits = Limits(coverage=coverage, min_count=min_count, max_size=max_size, characters=characters)
    check_vocabulary(tokenizer.get_vocab(), model.config)
    smaller = trim_tokenizer(tokenizer, texts, limits, needed=config_ids(model.config), held_out=held_out, progress=progress)
    return trim_model(model, smaller)


def check_trimmable(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Return if the vocabulary of a model can be trimmed: tried with the fewest subwords that the tokenizer can have.

    No text is read and no weight is copied. It takes a second or two, to write and read a tokenizer.

    Args:
        model: In memory; not changed.
        tokenizer: Its own; not changed.

    Raises:
        SettingError: The tokenizer is not a fast one, of another type, or segments at random.
        CheckpointError: Its class cannot be loaded with another vocabulary.
        ArchitectureError: The family has no row, the weights are not in memory, or one depends on the vocabulary in another way.
    """
    vocabulary = Vocabulary.read(tokenizer)
    needed = {*vocabulary.needed, *(config_ids(model.config) & vocabulary.subwords.keys())}
    _, rows = trimmed_tokenizer(tokenizer, vocabulary, vocabulary.with_parts(needed))
    check_rows(model, torch.from_numpy(rows))


def trim_model(model: PreTrainedModel, smaller: TrimmedTokenizer) -> Trimmed:
    """The same model, changed in place, with the rows of a trimmed tokenizer.

    Raises:
        ArchitectureError: The weights are not in memory.
    """
    rows_before, before = model.get_input_embeddings().num_embeddings, _n_bytes(model)
    keep_rows(model, torch.from_numpy(smaller.rows))
    found = (smaller.seen, smaller.held_out)
    return Trimmed(model, smaller.tokenizer, smaller.rows, rows_before, before, _n_bytes(model), *found)


def trim_tokenizer(
    tokenizer: PreTrainedTokenizerBase,
    texts: Mapping[str, Iterable[Line]],
    limits: Limits,
    *,
    needed: Iterable[int] = (),
    held_out: Mapping[str, Iterable[Line]] | None = None,
    progress: Progress | None = None,
) -> TrimmedTokenizer:
    """A tokenizer with the subwords that the texts need; see `trim`.

    Args:
        tokenizer: Not changed.
        texts: Lines of text by language.
        limits: How many subwords to keep.
        needed: More ids that must stay, such as those in the model's config.
        held_out: Other text, by language.
        progress: Updated after every language.

    Raises:
        SettingError: As `trim`.
    """
    vocabulary = Vocabulary.read(tokenizer)
    needed = {number for number in needed if number in vocabulary.subwords}
    counts = count_texts(texts, tokenizer, progress=progress)
    if unknown := sorted(set(held_out or {}) - set(counts)):
        raise SettingError(f"held-out text of {unknown[0]}: no text of it to trim by; it is in {', '.join(counts)}")
    kept = choose_subwords({name: own.subwords for name, own in counts.items()}, vocabulary, limits, needed=needed)
    made, rows = trimmed_tokenizer(tokenizer, vocabulary, kept)
    seen = {name: segmentation(own.words + own.tenth, tokenizer, made, rows) for name, own in counts.items()}
    if held_out is None:
        others = _without_tenth(tokenizer, vocabulary, counts, limits, needed)
    else:
        words = {name: _words(lines) for name, lines in held_out.items()}
        others = {name: segmentation(words[name], tokenizer, made, rows) if name in words else None for name in counts}
    return TrimmedTokenizer(made, rows, {name: own for name, own in seen.items() if own is not None}, others)


def _without_tenth(
    tokenizer: PreTrainedTokenizerBase,
    vocabulary: Vocabulary,
    counts: Mapping[str, TextCounts],
    limits: Limits,
    needed: Iterable[int],
) -> Mapping[str, Segmentation | None]:
    """How every tenth line is segmented by a vocabulary chosen, in the same way, without it."""
    if not any(own.tenth for own in counts.values()):
        return dict.fromkeys(counts)
    fewer = {name: own.without_tenth for name, own in counts.items()}
    made, rows = trimmed_tokenizer(tokenizer, vocabulary, choose_subwords(fewer, vocabulary, limits, needed=needed))
    return {name: segmentation(own.tenth, tokenizer, made, rows) for name, own in counts.items()}


def _words(lines: Iterable[Line]) -> Counter[str]:
    return Counter(word for line in lines for word in words_of(line))


def _n_bytes(model: PreTrainedModel) -> int:
    return sum(parameter.nbytes for parameter in model.parameters())
