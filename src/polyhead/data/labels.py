"""From span types and tags to the ordered label set that a classifier predicts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from polyhead.core.arguments import require
from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task

# prefix of the descriptions of merged types
MERGED = "span of type "


@dataclass(frozen=True)
class LabelSet:
    """The labels of a classifier, in the order of its outputs.

    >>> labels = LabelSet(("O", "B-PER", "I-PER"))
    >>> len(labels), labels.index("B-PER"), "B-LOC" in labels
    (3, 1, False)
    """

    names: tuple[str, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {name: position for position, name in enumerate(self.names)}
        if len(index) != len(self.names) or not self.names:
            raise SettingError(f"labels {list(self.names)}: expected at least one name and no duplicates")
        object.__setattr__(self, "_index", index)

    def index(self, label: str) -> int:
        """Position of `label`.

        Raises:
            UnknownNameError: There is no such label; `label in labels` tests it.
        """
        try:
            return self._index[label]
        except KeyError:
            raise UnknownNameError(f"label {label!r}: this model predicts {', '.join(self.names)}") from None

    def __contains__(self, label: object) -> bool:
        return label in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def label_set(task: Task, training: Iterable[Dataset]) -> LabelSet:
    """The labels to predict: the task's fixed set, else those in `training`, sorted; for spans `O`, then B- and I- of every type.

    Args:
        task: A row of `TASKS`.
        training: The training splits of all source languages. Labels that occur only in target data cannot be learnt: they are
            not in the set, and count as missed when they are gold.

    Raises:
        SettingError: The training data of a span task have no span, or those of a sentence task have fewer than two labels.

    >>> from polyhead.data.sentences import Sentence
    >>> from polyhead.data.tasks import TASKS
    >>> data = Dataset("x", "en", "train", (Sentence(("Ann",), ("B-PER",), "en", "x:1"),))
    >>> label_set(TASKS["ner"], [data]).names
    ('O', 'B-PER', 'I-PER')
    """
    require(task=(task, Task), training=(training, Iterable))
    if task.labels:
        return LabelSet(task.labels)
    training = list(training)
    for data in training:
        require(training=(data, Dataset))
    names = ", ".join(data.name for data in training) or "none"
    if task.kind == "sentence":
        found = sorted({label for data in training for one in data for label in one.labels if label is not None})
        if len(found) < 2:
            only = f"only the label {found[0]!r}" if found else "no label"
            raise SettingError(
                f"task {task.name}: {only} in the training data ({names}); expected two or more; check the label column"
            )
        return LabelSet(tuple(found))
    types = sorted({label[2:] for data in training for one in data for label in one.labels if label and label != "O"})
    if not types:
        raise SettingError(f"task {task.name}: no span in the training data ({names}); check the tag column")
    return LabelSet(("O", *(f"{prefix}-{span_type}" for span_type in types for prefix in "BI")))


def unshared_labels(predicted: Iterable[str], dataset: Dataset) -> str:
    """What a model predicts and what the text is labelled with, if no label but `O` is common to both; else empty.

    >>> from polyhead.data.sentences import Sentence
    >>> unshared_labels(("O", "B-PER"), Dataset("x", "en", "dev", (Sentence(("Bonn",), ("B-LOC",), "en", "x:1"),)))
    'the model predicts B-PER, but x is labelled B-LOC: they share no label'
    """
    sides = [set(predicted) - {"O"}, {label for sentence in dataset for label in sentence.labels if label not in (None, "O")}]
    if sides[0] & sides[1] or not sides[1]:
        return ""
    ours, theirs = (", ".join(sorted(map(str, labels))[:6]) for labels in sides)
    return f"the model predicts {ours}, but {dataset.name} is labelled {theirs}: they share no label"


def without_labels(dataset: Dataset, labels: Iterable[str]) -> Dataset:
    """`dataset` with these labels dropped, and counted in `merged`: those of spans read as `O`, those of sentences as no label.

    >>> from polyhead.data.sentences import Sentence
    >>> data = Dataset("x", "en", "test", (Sentence(("May", "Ann"), ("B-DATE", "B-PER"), "en", "x:1"),))
    >>> found = without_labels(data, ["B-DATE"])
    >>> found.sentences[0].labels, found.merged
    (('O', 'B-PER'), {'span of type DATE read as O': 1})
    """
    dropped = frozenset(labels)
    if any(one.texts for one in dataset):
        found = Counter(label for one in dataset for label in one.labels if label in dropped)
        counts = {f"label {label} read as none": n for label, n in sorted(found.items(), key=str)}
        sentences = [replace(one, labels=tuple(None if label in dropped else label for label in one.labels)) for one in dataset]
        return replace(dataset, sentences=tuple(sentences), merged={**dataset.merged, **counts})
    spans = Counter(label for one in dataset for label in one.labels if label in dropped and label[0] == "B")
    counts = {f"{MERGED}{label[2:]} read as O": n for label, n in sorted(spans.items())}
    sentences = [replace(one, labels=tuple("O" if label in dropped else label for label in one.labels)) for one in dataset]
    return replace(dataset, sentences=tuple(sentences), merged={**dataset.merged, **counts})


def harmonise(dataset: Dataset, task: Task, *, kept: frozenset[str] = frozenset()) -> Dataset:
    """`dataset` with span types merged into the task's own (`Task.map_type`), counted in `merged`; boundaries do not change.

    Args:
        dataset: As read; returned unchanged unless the task marks spans.
        task: A row of `TASKS`.
        kept: Types that are not merged, because the model predicts them.

    >>> from polyhead.data.sentences import Sentence
    >>> from polyhead.data.tasks import TASKS
    >>> data = Dataset("x", "hi", "train", (Sentence(("a", "b"), ("B-NEP", "I-NEP"), "hi", "x:1"),))
    >>> harmonise(data, TASKS["ner"]).sentences[0].labels
    ('B-PER', 'I-PER')
    """
    if task.kind != "span":
        return dataset
    counts = Counter(label for sentence in dataset for label in sentence.labels if label not in (None, "O"))
    types = {label: task.map_type(label[2:]) for label in counts if label and label[2:] not in kept}
    mapped = {label: label[:2] + new for label, new in types.items() if label[2:] != new}
    if not mapped:
        return dataset
    merged = {f"{MERGED}{label[2:]} read as {new[2:]}": counts[label] for label, new in mapped.items() if label[0] == "B"}
    sentences = [replace(one, labels=tuple(mapped.get(label or "", label) for label in one.labels)) for one in dataset]
    return replace(dataset, sentences=tuple(sentences), merged=dict(sorted(merged.items())))
