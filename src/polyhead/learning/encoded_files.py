"""Encoded text on disk, so that the processes of a study encode each split once."""

import hashlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.values import fingerprint
from polyhead.data.sentences import Dataset
from polyhead.learning.encoded import Encoded, EncodingCounts, Window
from polyhead.learning.inference import Labelled
from polyhead.learning.resumable import Partial, State
from polyhead.learning.text_encoder import TextEncoder, Unknown

# every field of a window, by the form of its value
_ARRAYS: Final = ("input_ids", "anchor_positions", "anchor_words", "label_ids")
_PAIRS: Final = ("specials", "between")
_NUMBERS: Final = ("sentence", "second")


class EncodedFiles:
    """A folder of encoded splits, which any number of processes read and write.

    A file is named by its content: the words and labels of the sentences, the tokenizer, the label set and the settings of the
    encoder; where the text lay does not count. A damaged file is logged and made again.

    Args:
        folder: Made when the first file is written.
        version: Of the code that encodes; other versions use other files.
    """

    def __init__(self, folder: Path, *, version: int) -> None:
        self._folder, self._version = folder, version
        self._tokenizers: dict[int, tuple[object, str]] = {}  # the object too, so that its id stays its own

    def labelled(self, encoder: TextEncoder, data: Dataset, *, unknown: Unknown) -> Labelled:
        """As `TextEncoder.labelled`, from the file if there is one.

        Raises:
            DataFormatError: A gold label is not one of the encoder's and `unknown="error"`.
            WriteError: The file cannot be written.
        """
        settings = {field.name: getattr(encoder, field.name) for field in fields(encoder)}
        facts = {
            **settings,
            "version": self._version,
            "tokenizer": self._hash(encoder.tokenizer),
            "labels": list(encoder.labels),
            "unknown": unknown,
            "text": _hash_of_text(data),
        }
        kept = Partial(self._folder / f"{fingerprint(facts)}.safetensors", facts)
        if (state := kept.load()) is not None:
            encoded = _encoded(state)
            return Labelled(encoded, encoder.gold(data, encoded))
        found = encoder.labelled(data, unknown=unknown)
        kept.save(_state(found.encoded))
        return found

    def _hash(self, tokenizer: Any) -> str:
        if id(tokenizer) not in self._tokenizers:
            whole = [tokenizer.backend_tokenizer.to_str(), tokenizer.model_max_length, tokenizer.pad_token_id]
            self._tokenizers[id(tokenizer)] = tokenizer, fingerprint(whole)
        return self._tokenizers[id(tokenizer)][1]


def _hash_of_text(data: Dataset) -> str:
    digest = hashlib.sha256()
    for sentence in data.sentences:
        parts = (*sentence.words, "", *sentence.texts, "", *(label or "" for label in sentence.labels), "\n")
        digest.update("\0".join(parts).encode())
    return digest.hexdigest()


def _state(encoded: Encoded) -> State:
    windows, empty = encoded.windows, np.zeros(0, dtype=np.int32)
    flat: dict[str, NDArray[np.int32]] = {
        name: np.concatenate([empty, *(getattr(window, name) for window in windows)]) for name in _ARRAYS
    }
    ends = {f"{name}.ends": np.cumsum([len(getattr(window, name)) for window in windows], dtype=np.int64) for name in _ARRAYS}
    return {
        **flat,
        **ends,
        **{name: np.array([getattr(window, name) for window in windows], dtype=np.int64) for name in _NUMBERS},
        **{name: np.array([getattr(window, name) for window in windows], dtype=np.int64).reshape(-1, 2) for name in _PAIRS},
        "words_per_sentence": np.array(encoded.words_per_sentence, dtype=np.int64),
        "counts": asdict(encoded.counts),
        "pad_id": encoded.pad_id,
    }


def _encoded(state: dict[str, Any]) -> Encoded:
    arrays = {name: np.split(state[name], state[f"{name}.ends"][:-1]) for name in _ARRAYS}
    pairs = {name: [(int(first), int(last)) for first, last in state[name]] for name in _PAIRS}
    numbers = {name: [int(number) for number in state[name]] for name in _NUMBERS}
    columns: dict[str, list[Any]] = {**arrays, **pairs, **numbers}
    windows = tuple(Window(**{name: column[i] for name, column in columns.items()}) for i in range(len(numbers["sentence"])))
    words = tuple(int(n) for n in state["words_per_sentence"])
    return Encoded(windows, words, EncodingCounts(**state["counts"]), state["pad_id"])
