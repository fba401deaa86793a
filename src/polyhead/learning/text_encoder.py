"""How one model reads text, in one object: from sentences or data sets to what training, scoring and evaluation take."""

import logging
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from polyhead.core.errors import SettingError
from polyhead.core.specs import Anchor
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import Task
from polyhead.learning.encoded import Encoded, join
from polyhead.learning.encoding import encode, model_limit, token_types
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_texts import encode_masked, masked_gold

_LOG = logging.getLogger(__name__)
Text = Dataset | Encoded | Labelled
Unknown = Literal["error", "ignore"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TextEncoder:
    """How a model reads text.

    Attributes:
        tokenizer: A fast one.
        labels: What the model's outputs mean, in order.
        anchor: The subword of a word that carries its label.
        max_length: Longest window in subwords, special tokens included.
        model_limit: The architecture's own limit, from `model_limit`; None without one.
        token_types: Whether the model tells the texts of a pair apart, from `token_types`.
        masked: Whether subwords are masked and are themselves the labels (`encode_masked`).
    """

    tokenizer: PreTrainedTokenizerBase
    labels: LabelSet
    anchor: Anchor
    max_length: int
    model_limit: int | None
    token_types: bool = True
    masked: bool = False

    @classmethod
    def of(
        cls,
        config: PretrainedConfig,
        task: Task,
        tokenizer: PreTrainedTokenizerBase,
        *,
        labels: LabelSet,
        anchor: Anchor,
        max_length: int,
    ) -> Self:
        """How a model with this config reads the text of a task.

        Raises:
            ArchitectureError: The family has no row.
        """
        return cls(
            tokenizer=tokenizer,
            labels=labels,
            anchor=anchor,
            max_length=max_length,
            model_limit=model_limit(config),
            token_types=token_types(config),
            masked=task.kind == "masked",
        )

    def encode(self, sentences: Dataset | Sequence[Sentence], *, unknown: Unknown = "ignore") -> Encoded:
        """The sentences as windows of subwords; by default gold labels that the model lacks do not count in losses.

        Raises:
            DataFormatError: A gold label is not one of the model's and `unknown="error"`.
        """
        given = sentences.sentences if isinstance(sentences, Dataset) else sentences
        if self.masked:
            limit = min(n for n in (self.max_length, self.tokenizer.model_max_length, self.model_limit) if n is not None)
            return encode_masked([one.whole for one in given], self.tokenizer, limit=limit, token_types=self.token_types)
        return encode(
            given,
            self.tokenizer,
            self.labels,
            max_length=self.max_length,
            model_limit=self.model_limit,
            anchor=self.anchor,
            unknown=unknown,
            token_types=self.token_types,
        )

    def labelled(self, data: Dataset, *, unknown: Unknown = "ignore") -> Labelled:
        """The sentences with all their gold labels; see `encode`.

        Raises:
            TypeError: It is not one data set.
            DataFormatError: A gold label is not one of the model's and `unknown="error"`.
        """
        if not isinstance(data, Dataset):
            raise _not_data(data)
        encoded = self.encode(data, unknown=unknown)
        return Labelled(encoded, self.gold(data, encoded))

    def gold(self, data: Dataset, encoded: Encoded) -> Sequence[Sequence[str | None]]:
        """The gold labels of sentences that `encode` has encoded: those of the data, or of masked text its subwords."""
        return masked_gold(encoded, self.labels) if self.masked else [sentence.labels for sentence in data.sentences]

    def together(self, text: Text | Sequence[Text], *, unknown: Unknown) -> Encoded:
        """All sentences of one or several texts; what is encoded already is taken as it is.

        Raises:
            TypeError: Something else is given.
            DataFormatError: A gold label is not one of the model's and `unknown="error"`.
        """
        found = [part.encoded if isinstance(part, Labelled) else part for part in parts(text)]
        return join([part if isinstance(part, Encoded) else self.encode(part, unknown=unknown) for part in found])


def parts(text: Text | Sequence[Text]) -> Sequence[Text]:
    """One or several texts as several.

    Raises:
        TypeError: Something else is given.
    """
    found = [text] if isinstance(text, Text) else text
    if not isinstance(found, Sequence) or not all(isinstance(part, Text) for part in found):
        raise _not_data(text, ", or a list of that")
    return found


def scored_sets(text: Text | Sequence[Text]) -> list[Dataset]:
    """The data sets among the texts that heads are scored on, after a warning for each of a test split."""
    found = [part for part in parts(text) if isinstance(part, Dataset)]
    for part in found:
        if part.split == "test":
            _LOG.warning("note: %s: heads are scored on a test split; results on it will be too good; score on dev", part.name)
    return found


def _not_data(given: object, more: str = "") -> TypeError:
    return TypeError(f"data: {reprlib.repr(given)}: expected what open_corpus or open_file returns{more}")


def as_sentence(words: Sentence | Sequence[str], number: int, *, whole: bool = False) -> Sentence:
    """An unlabelled sentence of these words, or if `whole` of this text or pair; `number`, from 1, names it in messages.

    Raises:
        SettingError: It is not a list of words; or not a text or a pair of texts.
    """
    if isinstance(words, Sentence):
        return words
    if whole:
        texts = (words,) if isinstance(words, str) else tuple(words)
        if len(texts) not in (1, 2) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise SettingError(
                f"sentence {number}: {reprlib.repr(words)}: expected a text, or a pair of texts (premise, hypothesis)"
            )
        return Sentence(tuple(word for text in texts for word in text.split()), (None,), "und", f"sentence:{number}", texts)
    if isinstance(words, str):
        raise SettingError(f"sentence {number}: {words[:40]!r} is a string; expected a list of words, so split it first")
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise SettingError(f"sentence {number}: {reprlib.repr(words)}: expected a list of words")
    if not all(word.strip(" ") for word in words):
        raise SettingError(f"sentence {number}: {reprlib.repr(words)}: has an empty word; leave it out")
    return Sentence(tuple(words), (None,) * len(words), "und", f"sentence:{number}")
