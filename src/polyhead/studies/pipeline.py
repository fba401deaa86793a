"""A Transformers pipeline that reads text as training did, so that it labels each word as `predict` does."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.pipelines.base import ChunkPipeline

from polyhead.core.arguments import PATH, require
from polyhead.core.errors import SettingError
from polyhead.data.sentences import Sentence
from polyhead.learning.text_encoder import as_sentence
from polyhead.models.devices import attention_kernel, autocast
from polyhead.models.named_masks import check_names
from polyhead.studies.tagger import Tagger
from polyhead.studies.tagger_facts import warn_of_all_heads


def pipeline(
    model: Tagger | str | Path,
    *,
    mask_name: str | None = None,
    device: str | torch.device = "auto",
    revision: str | None = None,
) -> "WordPipeline":
    """A pipeline of Transformers, to call with text: a list of one dict per word, or a list of such lists for several texts.

    Stock `pipeline("token-classification")` reads a word at its first subword and truncates long texts. This one uses the window,
    the anchor and the precision of the training, as `Tagger.predict` does. A text is a string, whose words are split at white
    space, or a list of words; several are given in a list. The dicts have `word`, `entity`, `score` (0 to 1), `index` (from 0),
    and `start` and `end` in the string (None for a list of words).

    Args:
        model: Folder or hub id of a tagger that records its task, or a tagger.
        mask_name: For a model with several masks, the one that all texts are read under. Without it such a model reads with
            all heads, and a warning says so.
        device: Where to compute; a tagger stays where it is.
        revision: Branch, tag or commit on the Hub.

    Raises:
        CheckpointError: There is no such checkpoint, or it has no classifier.
        SettingError: The checkpoint does not record its task, does not label words, or has no such mask.

    >>> from polyhead.studies.tagger import Tagger
    >>> tag = pipeline(Tagger.load("polyhead/tiny", task="pos", seed=42))
    >>> [found["word"] for found in tag("Where is the station ?")]
    ['Where', 'is', 'the', 'station', '?']
    """
    require(model=(model, Tagger | PATH))
    tagger = model if isinstance(model, Tagger) else Tagger.load(model, device=device, revision=revision)
    if tagger.task.unit != "word":
        wrong = f"{tagger.name}: task {tagger.task.name} has no labels of words, but of each {tagger.task.unit}"
        raise SettingError(f"{wrong}; call Tagger.predict, or a stock pipeline of Transformers")
    if mask_name is not None:
        check_names(tagger.model, [mask_name])
    else:
        warn_of_all_heads(tagger.model, "mask_name")
    return WordPipeline(tagger, mask_name)


class WordPipeline(ChunkPipeline):  # type: ignore[misc]
    """What `pipeline` returns; `device`, `batch_size` and data sets work as in other pipelines of Transformers."""

    def __init__(self, tagger: Tagger, mask_name: str | None = None) -> None:
        super().__init__(model=tagger.model, tokenizer=tagger.tokenizer, task="token-classification", device=tagger.device)
        self.tagger, self.mask_name = tagger, mask_name

    def __call__(self, texts: str | Sequence[str] | Sequence[Sequence[str]] | Any, **options: Any) -> Any:
        """The words of one text, or of each of several, with their labels."""
        if isinstance(texts, str):
            return self([texts], **options)[0]
        if not isinstance(texts, list | tuple):
            return super().__call__(texts, **options)
        # a text without words has no window, by which the results are counted
        full = [text for text in texts if (text.split() if isinstance(text, str) else text)]
        found = iter(super().__call__(full, **options) if full else ())
        return [next(found) if (text.split() if isinstance(text, str) else text) else [] for text in texts]

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, {}

    def preprocess(self, text: str | Sequence[str] | Sentence) -> Iterator[dict[str, Any]]:
        """The windows of one text."""
        places = [(found.start(), found.end()) for found in re.finditer(r"\S+", text)] if isinstance(text, str) else None
        words = [text[start:end] for start, end in places] if isinstance(text, str) and places is not None else text
        sentence = as_sentence(words, 1)
        windows = self.tagger.encode([sentence]).windows if sentence.words else ()
        for number, window in enumerate(windows, start=1):
            ids = torch.from_numpy(window.input_ids.astype("int64"))[None]
            yield {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
                "words": sentence.words,
                "places": places,
                "anchors": window.anchor_positions.tolist(),
                "owned": window.anchor_words.tolist(),
                "is_last": number == len(windows),
            }

    def _forward(self, window: dict[str, Any]) -> dict[str, Any]:
        ids, mask = window.pop("input_ids"), window.pop("attention_mask")
        precision = self.tagger.precision
        kernel = attention_kernel(ids.device, ids.shape[1], precision, work="predict")
        names = {} if self.mask_name is None else {"mask_names": [self.mask_name] * len(ids)}
        with kernel, autocast(ids.device, precision):
            return {"logits": self.model(input_ids=ids, attention_mask=mask, **names).logits, **window}

    def postprocess(self, windows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The label of every word."""
        found: dict[int, dict[str, Any]] = {}
        for window in windows:
            shares = window["logits"][0].float().softmax(-1)
            for anchor, word in zip(window["anchors"], window["owned"], strict=True):
                best = int(window["logits"][0, anchor].argmax())
                start, end = window["places"][word] if window["places"] else (None, None)
                found[word] = {
                    "entity": self.tagger.labels.names[best],
                    "score": float(shares[anchor, best]),
                    "index": word,
                    "word": window["words"][word],
                    "start": start,
                    "end": end,
                }
        return [found[word] for word in sorted(found)]
