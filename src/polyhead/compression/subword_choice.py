"""Which subwords the texts of several languages need: counted in each, and chosen by coverage, count or size."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from polyhead.compression.scripts import is_worth_keeping, scripts_of
from polyhead.compression.trimmed_tokenizer import Vocabulary
from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress, tracking
from polyhead.data.plain_text import Line, raw_text, words_of
from polyhead.data.references import is_language_code
from polyhead.learning.subwords import subwords

TENTH = 10
_LINES_PER_CALL = 1_000

Characters = Literal["scripts", "seen"]


class NothingToTrimError(SettingError):
    """Texts and limits keep every subword."""


Counts = NDArray[np.int64]
"""How often each subword occurs, `[ids]`."""


@dataclass(frozen=True, eq=False)
class TextCounts:
    """What a language's text uses.

    Attributes:
        words: Its words, in all lines but every tenth.
        tenth: Those of every tenth line.
        subwords: Its subwords, in all lines.
        without_tenth: Its subwords, in all lines but every tenth.
    """

    words: Counter[str]
    tenth: Counter[str]
    subwords: Counts
    without_tenth: Counts


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many subwords to keep.

    Attributes:
        coverage: Least share of a language's subword occurrences that stays, most frequent first; 1 keeps all that were seen.
        min_count: Occurrences in the text of one language that a subword needs.
        max_size: Largest vocabulary, special tokens included; None for no limit.
        characters: Single characters kept beside those seen: those of the texts' scripts, or none.
    """

    coverage: float = 1.0
    min_count: int = 1
    max_size: int | None = None
    characters: Characters = "scripts"

    def __post_init__(self) -> None:
        if not isinstance(self.coverage, float | int) or not 0 < self.coverage <= 1:
            raise SettingError(f"coverage = {self.coverage!r}: expected a share above 0 and up to 1, such as 0.9999")
        for name, value in (("min_count", self.min_count), ("max_size", self.max_size)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise SettingError(f"{name} = {value!r}: expected a whole number of at least 1")
        if self.characters not in ("scripts", "seen"):
            raise SettingError(f"characters = {self.characters!r}: expected scripts or seen")


def count_texts(
    texts: Mapping[str, Iterable[Line]], tokenizer: PreTrainedTokenizerBase, *, progress: Progress | None = None
) -> dict[str, TextCounts]:
    """What each language's text uses, by language.

    Text is read twice over, as taggers do, word by word, and as raw lines; a subword counts as often as in the reading that has
    more of it. Texts are iterated once; memory grows with distinct words.

    Args:
        texts: Lines of raw text, or of words, by BCP-47 code.
        tokenizer: A fast one; not changed.
        progress: Updated after every language.

    Raises:
        SettingError: There is no text, a language has no word, or a key is not a language code.
    """
    if not isinstance(texts, Mapping) or not texts:
        raise SettingError("no text: give the text of at least one language")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    n_ids = 1 + max(backend.get_vocab().values())
    with tracking(progress, len(texts), "count subwords") as advance:
        found = {}
        for language, lines in texts.items():
            found[language] = _count(language, lines, tokenizer, backend, n_ids)
            advance(1)
    return found


def _count(
    language: str, lines: Iterable[Line], tokenizer: PreTrainedTokenizerBase, backend: Tokenizer, n_ids: int
) -> TextCounts:
    if not isinstance(language, str) or not is_language_code(language):
        raise SettingError(f"text of {language!r}: expected a BCP-47 code (de, hau, zh-Hant) for its language")
    if isinstance(lines, str):
        raise SettingError(f"text of {language}: is a string; expected lines, so split it first")
    words: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    raw = np.zeros((2, n_ids), dtype=np.int64)
    numbered = enumerate(lines)
    while some := list(islice(numbered, _LINES_PER_CALL)):
        encodings = backend.encode_batch([raw_text(line) for _, line in some], add_special_tokens=False)
        for (number, line), encoding in zip(some, encodings, strict=True):
            part = int(number % TENTH == TENTH - 1)
            words[part].update(words_of(line))
            np.add.at(raw[part], encoding.ids, 1)
    if not words[0]:
        raise SettingError(f"text of {language}: has no word; check the file")
    read = np.stack([_of_words(part, tokenizer, n_ids) for part in words])
    return TextCounts(*words, np.maximum(read.sum(0), raw.sum(0)), np.maximum(read[0], raw[0]))


def _of_words(words: Counter[str], tokenizer: PreTrainedTokenizerBase, n_ids: int) -> Counts:
    distinct = list(words)
    found = subwords(distinct, tokenizer)
    often = np.repeat(np.fromiter((words[word] for word in distinct), np.int64, len(distinct)), found.lengths)
    counts = np.zeros(n_ids, dtype=np.int64)
    np.add.at(counts, found.ids, often)
    return counts


def choose_subwords(
    counts: Mapping[str, Counts], vocabulary: Vocabulary, limits: Limits, *, needed: Iterable[int] = ()
) -> set[int]:
    """Ids of the subwords to keep: what any language needs, what the tokenizer cannot do without, and the parts of all of them.

    A largest size is filled in the order of a subword's largest share in any language, so that a language with little text
    is served as well as one with much.

    Args:
        counts: By language.
        vocabulary: Of the tokenizer that counted.
        limits: How many to keep.
        needed: More ids that must stay.

    Raises:
        SettingError: `max_size` has no room for special tokens, bytes and characters, or nothing would go.
    """
    always = vocabulary.with_parts({*vocabulary.needed, *needed, *_characters(counts.values(), vocabulary, limits.characters)})
    wanted: dict[int, float] = {}
    for own in counts.values():
        total = own.sum()
        for number in _covering(own, limits):
            wanted[int(number)] = max(wanted.get(int(number), 0.0), float(own[number] / total))
    if limits.max_size is not None and limits.max_size < len(always):
        least = f"special tokens, bytes and single characters alone are {len(always):,} subwords"
        raise SettingError(f"max_size = {limits.max_size}: {least}; give at least that many")
    kept = set(always)
    for number in sorted(wanted, key=lambda number: (-wanted[number], number)):
        with_parts = vocabulary.with_parts([number]) - kept
        if limits.max_size is not None and len(kept) + len(with_parts) > limits.max_size:
            break
        kept |= with_parts
    if len(kept) == len(vocabulary.subwords):
        raise NothingToTrimError(f"nothing to trim: the texts and limits keep all {len(kept):,} subwords")
    return kept


def _covering(counts: Counts, limits: Limits) -> NDArray[np.int64]:
    """The most frequent subwords that together reach the coverage, without rare ones."""
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    # a sum that rounding puts a hair below the total must not lose the last subword
    reached = before < limits.coverage * counts.sum() if limits.coverage < 1 else counts[order] > 0
    return order[reached & (counts[order] >= limits.min_count)]


def _characters(counts: Iterable[Counts], vocabulary: Vocabulary, which: Characters) -> Iterator[int]:
    """Subwords of one character that was seen, or that belongs to the scripts seen."""
    seen: set[str] = set()
    scripts: set[str] = set()
    for own in counts:
        characters = _seen(own, vocabulary.subwords)
        seen |= characters.keys()
        scripts |= scripts_of(characters)
    for number, character in vocabulary.characters.items():
        if character in seen or (which == "scripts" and is_worth_keeping(character, scripts)):
            yield number


def _seen(counts: Counts, names: Mapping[int, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in np.flatnonzero(counts):
        for character in names[int(number)]:
            found[character] += int(counts[number])
    return found
