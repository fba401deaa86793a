"""The tasks: kind of labels, main metric, and how other label sets map onto the task's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from polyhead.core.arguments import require
from polyhead.core.errors import UnknownNameError, allowed_names

UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
"""The 17 universal part-of-speech tags, in alphabetical order (universaldependencies.org/u/pos)."""

NLI = ("entailment", "neutral", "contradiction")
"""The labels of natural language inference, as XNLI writes them (Conneau et al. 2018)."""

LabelKind = Literal["tag", "span", "sentence", "masked"]
TEXT_KINDS: tuple[LabelKind, ...] = ("sentence", "masked")
"""Kinds whose data are whole texts, not words with labels."""


@dataclass(frozen=True)
class Task:
    """A task; nothing in polyhead branches on a task's name.

    Attributes:
        name: Name in `TASKS`.
        kind: `tag`: one independent label per word; `span`: IOB2 labels that mark spans; `sentence`: one label per sentence, or
            per pair of sentences; `masked`: the subwords of raw text themselves, each masked once.
        metric: The main metric, a key of `metrics.score(...)`.
        summary: One sentence for people.
        labels: The fixed label set in order; empty where the labels come from the training data.
        renamed_types: For merging: span types with another name, and this task's name for them.
        kept_types: For merging: types that are kept.
        other_type: For merging: the type that replaces all others; None keeps them.
        n_texts: For `sentence`: texts that a label belongs to, 1 or 2; None leaves it to the file.
    """

    name: str
    kind: LabelKind
    metric: str
    summary: str
    labels: tuple[str, ...] = ()
    renamed_types: Mapping[str, str] = field(default_factory=dict, hash=False)
    kept_types: tuple[str, ...] = ()
    other_type: str | None = None
    n_texts: int | None = None

    @property
    def unit(self) -> str:
        """What has a label.

        >>> TASKS["pos"].unit, TASKS["nli"].unit, TASKS["mlm"].unit
        ('word', 'sentence', 'subword')
        """
        return {"sentence": "sentence", "masked": "subword"}.get(self.kind, "word")

    def map_type(self, span_type: str) -> str:
        """The type that a span type is merged into.

        >>> TASKS["ner"].map_type("NEP"), TASKS["ner"].map_type("DATE"), TASKS["slots"].map_type("datetime")
        ('PER', 'MISC', 'datetime')
        """
        renamed = self.renamed_types.get(span_type, span_type)
        return renamed if self.other_type is None or renamed in self.kept_types else self.other_type


TASKS: dict[str, Task] = {
    "pos": Task("pos", "tag", "accuracy", "part of speech: one of the 17 UPOS tags for every word", labels=UPOS),
    "ner": Task(
        "ner",
        "span",
        "span_f1",
        "named entities; the types are those of the training data",
        renamed_types={"NEP": "PER", "NEO": "ORG", "NEL": "LOC", "MIS": "MISC"},
        kept_types=("PER", "ORG", "LOC", "MISC"),
        other_type="MISC",
    ),
    "slots": Task("slots", "span", "span_f1", "slots of an utterance; the types are those of the training data"),
    "nli": Task(
        "nli",
        "sentence",
        "accuracy",
        "natural language inference: whether a premise entails a hypothesis, contradicts it, or neither",
        labels=NLI,
        n_texts=2,
    ),
    "classification": Task(
        "classification",
        "sentence",
        "accuracy",
        "one label for every sentence, or pair of sentences; the labels are those of the training data",
    ),
    "mlm": Task(
        "mlm",
        "masked",
        "accuracy",
        "masked subwords of raw text, by the model's own masked-LM head; for scoring heads, nothing is fine-tuned",
    ),
}


def task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownNameError: No task has this name.

    >>> task("pos").metric
    'accuracy'
    """
    require(name=(name, str))
    try:
        return TASKS[name]
    except KeyError:
        raise UnknownNameError(f"task {name!r}: {allowed_names(name, TASKS)}") from None
