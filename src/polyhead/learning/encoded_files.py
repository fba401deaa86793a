"""Encoded text on disk, so that the processes of a study encode each split once."""

import hashlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.values import fingerprint
from polyhead.data.sentences import Dataset
from polyhead.learning.encoding import Encoded, EncodingCounts, Window
from polyhead.learning.inference import Labelled
from polyhead.learning.resumable import Partial, State
from polyhead.learning.text_encoder import TextEncoder, Unknown

_ARRAYS: Final = tuple(field.name for field in fields(Window) if field.name not in ("sentence", "specials"))


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
        facts = {
            "version": self._version,
            "tokenizer": self._hash(encoder.tokenizer),
            "labels": list(encoder.labels),
            "anchor": encoder.anchor,
            "max_length": encoder.max_length,
            "model_limit": encoder.model_limit,
            "unknown": unknown,
            "text": _hash_of_text(data),
        }
        kept = Partial(self._folder / f"{fingerprint(facts)}.safetensors", facts)
        if (state := kept.load()) is not None:
            return Labelled(_encoded(state), [sentence.labels for sentence in data.sentences])
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
        digest.update("\0".join((*sentence.words, "", *(label or "" for label in sentence.labels), "\n")).encode())
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
        "sentence": np.array([window.sentence for window in windows], dtype=np.int64),
        "specials": np.array([window.specials for window in windows], dtype=np.int64).reshape(-1, 2),
        "words_per_sentence": np.array(encoded.words_per_sentence, dtype=np.int64),
        "counts": asdict(encoded.counts),
        "pad_id": encoded.pad_id,
    }


def _encoded(state: dict[str, Any]) -> Encoded:
    parts = {name: np.split(state[name], state[f"{name}.ends"][:-1]) for name in _ARRAYS}
    windows = tuple(
        Window(sentence=int(sentence), specials=(int(before), int(after)), **{name: parts[name][i] for name in _ARRAYS})
        for i, (sentence, (before, after)) in enumerate(zip(state["sentence"], state["specials"], strict=True))
    )
    words = tuple(int(n) for n in state["words_per_sentence"])
    return Encoded(windows, words, EncodingCounts(**state["counts"]), state["pad_id"])
