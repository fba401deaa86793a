"""Texts with masked subwords, so that a masked language model's pseudo-log-likelihood is the loss of heads' scores."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from polyhead.core.errors import SettingError
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Sentence
from polyhead.learning.encoded import IGNORED_LABEL, Encoded, EncodingCounts, Window
from polyhead.learning.whole_texts import whole_texts

COPIES = 7  # one subword in seven is masked in each copy, about as many as in pre-training (Devlin et al. 2019: 15 %)
_SEED = 42


def encode_masked(
    sentences: Sequence[Sentence], tokenizer: PreTrainedTokenizerBase, *, limit: int, token_types: bool = True
) -> Encoded:
    """Every text as up to seven copies, each a window with other subwords masked: each subword is masked once, in one copy.

    The label of a masked subword is its own id. A sentence's loss, the mean cross-entropy over its labels, is then minus the mean
    pseudo-log-likelihood of its subwords (Salazar et al. 2020), which masks one subword at a time; here up to a seventh of the
    subwords are masked together, so seven passes serve a sentence of any length, and a text of at most seven subwords is scored
    exactly as there. Which subwords share a copy is drawn by a fixed seed and the text alone, so a text is masked in the same way
    in every call. Unknown tokens are masked but have no label.

    Args:
        sentences: With `texts`.
        tokenizer: A fast one with a mask token.
        limit: Longest window, special tokens included; longer texts are truncated.
        token_types: Whether the model tells the texts of a pair apart.

    Raises:
        SettingError: The tokenizer has no mask token.

    Source: Salazar et al. 2020, "Masked language model scoring".
    """
    if tokenizer.mask_token_id is None:
        raise SettingError("the tokenizer has no mask token, so nothing can be masked: use that of a masked language model")
    found = whole_texts([sentence.texts for sentence in sentences], tokenizer, limit=limit, token_types=token_types)
    windows, words = [], []
    for index, own in enumerate(found):
        (before, after), (start, end) = own.specials, own.between
        places = np.array([*range(before, start), *range(end, len(own.ids) - after)], dtype=np.int32)
        drawn = np.random.default_rng((_SEED, crc32(own.ids.tobytes()))).permutation(len(places))
        for group in np.array_split(drawn, min(COPIES, max(len(places), 1))):
            if not len(group):
                continue
            masked = np.sort(group)
            ids, positions = own.ids.copy(), places[masked]
            labels = np.where(ids[positions] == tokenizer.unk_token_id, np.int32(IGNORED_LABEL), ids[positions])
            ids[positions] = tokenizer.mask_token_id
            windows.append(Window(index, ids, positions, masked.astype(np.int32), labels, own.specials, own.between, own.second))
        words.append(len(places))
    counts = EncodingCounts(
        words=sum(len(sentence.words) for sentence in sentences),
        subwords=sum(own.n_subwords for own in found),
        unk_words=sum(own.n_subwords == 0 for own in found),
        truncated_words=sum(own.is_truncated for own in found),
    )
    return Encoded(tuple(windows), tuple(words), counts, int(tokenizer.pad_token_id or 0))


def subword_names(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> tuple[str, ...]:
    """The subwords as labels, one for each output of a masked language model, in the order of their ids."""
    known = {number: subword for subword, number in tokenizer.get_vocab().items()}
    return tuple(known.get(number, f"<no subword {number}>") for number in range(config.vocab_size))


def masked_gold(encoded: Encoded, labels: LabelSet) -> list[list[str | None]]:
    """The subwords of every sentence of `encode_masked`, None for unknown tokens."""
    gold: list[list[str | None]] = [[None] * n for n in encoded.words_per_sentence]
    for window in encoded.windows:
        for word, label in zip(window.anchor_words.tolist(), window.label_ids.tolist(), strict=True):
            gold[window.sentence][word] = None if label == IGNORED_LABEL else labels.names[label]
    return gold
