"""What a run reads, before anything is encoded: its splits, limited and checked against one another."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from polyhead.core.errors import PolyheadError, SettingError
from polyhead.data.corpus_table import Split
from polyhead.data.labels import LabelSet, label_set, without_labels
from polyhead.data.references import DataReader, DataReference, one_word_choice, references
from polyhead.data.sampling import first_tenths, sample
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task
from polyhead.studies.settings import FitSettings, RunSettings
from polyhead.studies.text_memory import Texts

T = TypeVar("T")


@dataclass(frozen=True)
class RunData:
    """The splits of a run.

    Attributes:
        reader: Opens the data.
        sources: What is trained on.
        targets: What is tested on.
        trains: Training sentences of each source, limited as the settings say.
        devs: Dev sentences of each source.
        target_devs: Those of each target; empty where k is chosen on the sources alone.
        tests: Test sentences of each target.
    """

    reader: DataReader
    sources: Sequence[DataReference]
    targets: Sequence[DataReference]
    trains: Sequence[Dataset]
    devs: Sequence[Dataset]
    target_devs: Sequence[Dataset]
    tests: Sequence[Dataset]

    @property
    def seen(self) -> list[Dataset]:
        """What is trained on, ranked on or selected on."""
        return [*self.trains, *self.devs, *self.target_devs]

    @property
    def every(self) -> list[Dataset]:
        """All splits."""
        return [*self.seen, *self.tests]


@dataclass(frozen=True)
class DataFault:
    """One thing that is wrong with the data of a run.

    Attributes:
        key: The setting that it is about: `sources`, `targets` or `train_limit`.
        reference: The source or target, as the user wrote it.
        error: What is wrong.
    """

    key: str
    reference: str
    error: PolyheadError


def read_data(settings: RunSettings, texts: Texts) -> RunData:
    """Every split of a run, read once; `texts` keeps what was read.

    Raises:
        PolyheadError: A corpus cannot be read as declared, a name is unknown, sources or targets are missing or named twice, a
            dev or test file is also trained on, `train_limit` is less than the tenths asked for, or a target has labels that
            no source has.
    """
    found = checked_data(settings, texts)
    if isinstance(found, RunData):
        return found
    raise found[0].error


def checked_data(settings: RunSettings, texts: Texts) -> RunData | list[DataFault]:
    """As `read_data`, or everything that is wrong: what cannot be read, else what does not go together.

    Raises:
        PolyheadError: A name is unknown, or sources or targets are missing or named twice.
    """
    task = find_task(settings.task)
    sources = references(settings.sources, "source", folder=settings.folder)
    targets = references(settings.targets, "target", folder=settings.folder)
    one_word_choice([*sources, *targets])
    reader, how = reader_of(settings, task, merge=settings.rules.merge_types), how_read(settings)
    faults: list[DataFault] = []

    def attempt(key: str, reference: DataReference, make: Callable[[], T]) -> list[T]:
        try:
            return [make()]
        except PolyheadError as error:
            faults.append(DataFault(key, reference.text, error))
            return []

    def opened(reference: DataReference, split: Split, *, labelled: bool = True) -> Dataset:
        what = [how, reference.text, split, labelled]
        return texts.once(what, lambda: reader.open(reference, split, labelled=labelled))

    def train_and_dev(source: DataReference) -> tuple[Dataset, Dataset]:
        seed = settings.sample_seed
        return texts.once([how, source.text, seed], lambda: reader.train_and_dev(source, seed=seed))

    def limited(source: DataReference, train: Dataset) -> Dataset:
        return limit(train, settings, tenths=settings.target_tenths if source.text in settings.targets else None)

    rule = settings.select_on
    pairs = [own for source in sources for own in attempt("sources", source, partial(train_and_dev, source))]
    target_devs = [
        own
        for target in targets
        if rule != "source-dev"
        for own in attempt("targets", target, partial(opened, target, "dev", labelled=rule != "agreement"))
    ]
    tests = [own for target in targets for own in attempt("targets", target, partial(opened, target, "test"))]
    if faults:
        return faults

    trained = {train.sha256: train for train, _ in pairs}
    for source, (_, dev) in zip(sources, pairs, strict=True):
        if source.has("dev"):
            attempt("sources", source, partial(_check_dev, dev, trained))
    trains = [
        own
        for source, (train, _) in zip(sources, pairs, strict=True)
        for own in attempt("train_limit", source, partial(limited, source, train))
    ]
    if faults:
        return faults

    labels = label_set(task, trains)
    target_devs, tests = (
        [
            own
            for target, data in zip(targets, read, strict=False)
            for own in attempt("targets", target, partial(known_labels, data, labels, settings))
        ]
        for read in (target_devs, tests)
    )
    if faults:
        return faults

    found = RunData(reader, sources, targets, trains, [dev for _, dev in pairs], target_devs, tests)
    seen = {data.sha256: data for data in found.seen}
    for target, test in zip(targets, tests, strict=True):
        attempt("targets", target, partial(_check_unseen, test, seen))
    return faults or found


def how_read(settings: RunSettings) -> list[Any]:
    """The settings that decide how a reference is read."""
    return [
        settings.task,
        settings.folder,
        settings.data,
        settings.scheme,
        settings.columns,
        settings.strict,
        settings.rules.merge_types,
    ]


def reader_of(settings: FitSettings, task: Task, *, merge: bool = False) -> DataReader:
    """How a run or a fine-tuning opens its data; `merge` joins entity types as the protocols of the paper do."""
    return DataReader(
        task=task,
        root=None if settings.data is None else Path(settings.data),
        scheme=settings.scheme,
        columns=settings.columns,
        strict=settings.strict,
        merge=merge,
    )


def limit(train: Dataset, settings: RunSettings, *, tenths: int | None = None) -> Dataset:
    """The training set limited to its first `tenths`, and to `train_limit` sentences: a seeded sample in file order, or the
    protocol's first rows.

    Raises:
        SettingError: Both are given, and `train_limit` would leave less than the tenths.
    """
    whole, n = len(train.sentences), settings.train_limit
    train = train if tenths is None else first_tenths(train, tenths, seed=settings.sample_seed)
    if n is None or n >= len(train.sentences):
        return train
    if tenths is not None:
        raise SettingError(
            f"target {train.name!r}: train_limit {n:,} is less than the tenths of its {whole:,} training sentences that are "
            f"asked for, so other tenths would train on as many; give {whole:,} or more, or leave train_limit out"
        )
    if settings.rules.first_rows:
        return replace(train, sentences=train.sentences[:n])
    return sample(train, n, seed=settings.sample_seed)


def _check_dev(dev: Dataset, trained: Mapping[str, Dataset]) -> None:
    """A dev file must not be one that is trained on; `trained` has those by hash.

    Raises:
        SettingError: It is, byte for byte.
    """
    if dev.sha256 in trained:
        other = trained[dev.sha256].name
        raise SettingError(
            f"source {dev.name!r}: its dev file is {'its' if other == dev.name else 'the'} train file"
            f"{'' if other == dev.name else f' of {other!r}'}; heads are ranked and k is chosen on dev, which needs other "
            "text: give another file, or none, and a tenth of train is held out"
        )


def _check_unseen(test: Dataset, seen: Mapping[str, Dataset]) -> None:
    """A test file must not be one that is trained on, ranked on or selected on; `seen` has those by hash.

    Raises:
        SettingError: It is, byte for byte.
    """
    if test.sha256 in seen:
        other = seen[test.sha256]
        raise SettingError(
            f"target {test.name!r}: its test file is the {other.split} file of {other.name!r}; a test score needs "
            "text not used in training, ranking or selection; give another file"
        )


def known_labels(data: Dataset, labels: LabelSet, settings: RunSettings) -> Dataset:
    """A target's data; labels that no source has are refused, kept (they count as missed) or dropped (`without_labels`).

    Raises:
        SettingError: There are some, and `unseen_labels` is `error`.
    """
    unseen = sorted({label for one in data for label in one.labels if label is not None and label not in labels})
    if not unseen or settings.unseen_labels == "keep":
        return data
    if settings.unseen_labels == "drop":
        return without_labels(data, unseen)
    read = "none" if data.sentences[0].texts else "O"
    listed = ", ".join(f"{label}{_nearest(label, labels)}" for label in unseen[:6]) + ", …" * (len(unseen) > 6)
    raise SettingError(
        f"target {data.name!r}: its {data.split} split has labels that no source has: {listed}; with unseen_labels keep "
        f"(--unseen-labels keep) they count as missed, with drop they are read as {read}"
    )


def _nearest(label: str, labels: LabelSet) -> str:
    prefix = label[: label.find("-") + 1]  # B-, I- and the like say where a span begins
    near = difflib.get_close_matches(label, [name for name in labels if name.startswith(prefix)], n=1, cutoff=0.75)
    return f" (did you mean {near[0]}?)" if near else ""


def facts_of(data: Dataset, settings: FitSettings) -> list[object]:
    """What tells a split from another one: name, split, hash of the file, number of sentences, repairs and merged types; and
    the layout and scheme if they were given, for one file may hold several layers of labels."""
    layer = [settings.columns, settings.scheme]
    return [data.name, data.split, data.sha256, len(data.sentences), dict(data.notes), *(layer if any(layer) else [])]
