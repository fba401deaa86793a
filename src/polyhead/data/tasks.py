"""A task is a row: what a label means, which figure counts, and how other label sets are mapped onto its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from polyhead.core.errors import UnknownNameError, allowed_names

UPOS = (
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
)
"""The 17 universal part-of-speech tags, in alphabetical order (universaldependencies.org/u/pos)."""

LabelKind = Literal["tag", "span"]


@dataclass(frozen=True)
class Task:
    """What a sequence-labelling task is; nothing in polyhead branches on a task's name.

    Attributes:
        name: Name in `TASKS`.
        kind: `tag`: every word's label stands alone; `span`: labels are IOB2 and mark spans.
        metric: The main figure, a key of `metrics.score(...)`.
        summary: One sentence for people.
        labels: The fixed label set in order; empty where the labels come from the training data.
        renamed_types: Where a corpus or protocol merges types: those that are written differently, and this task's name for them.
        kept_types: Those that stay as they are; empty means all.
        other_type: What every other one is merged into; None where there is no merging.
    """

    name: str
    kind: LabelKind
    metric: str
    summary: str
    labels: tuple[str, ...] = ()
    renamed_types: Mapping[str, str] = field(default_factory=dict, hash=False)
    kept_types: tuple[str, ...] = ()
    other_type: str | None = None

    def map_type(self, span_type: str) -> str:
        """What a span type of a corpus that merges types is read as.

        >>> TASKS["ner"].map_type("NEP"), TASKS["ner"].map_type("DATE"), TASKS["slots"].map_type("datetime")
        ('PER', 'MISC', 'datetime')
        """
        renamed = self.renamed_types.get(span_type, span_type)
        return renamed if self.other_type is None or renamed in self.kept_types else self.other_type


TASKS: dict[str, Task] = {
    "pos": Task("pos", "tag", "accuracy", "part of speech: one of UPOS's 17 tags for every word", labels=UPOS),
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
}


def task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownNameError: No row has this name.

    >>> task("pos").metric
    'accuracy'
    """
    try:
        return TASKS[name]
    except KeyError:
        raise UnknownNameError(f"task {name!r}: {allowed_names(name, TASKS)}") from None
