"""What all cells of a run share: corpora read once, labels, and every split encoded."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polyhead.core.errors import SettingError
from polyhead.core.values import fingerprint
from polyhead.data.conllu import Words
from polyhead.data.labels import LabelSet, label_set, without_labels
from polyhead.data.references import DataReader, DataReference, one_word_choice, references
from polyhead.data.sampling import first_tenths, sample
from polyhead.data.sentences import Dataset
from polyhead.data.suspicions import seen_before, suspicious_text
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task
from polyhead.learning.encoding import Encoded, join, model_limit
from polyhead.learning.inference import Labelled
from polyhead.learning.text_encoder import TextEncoder
from polyhead.models.loading import load_config, load_tokenizer
from polyhead.report.record import DataRecord, EncodingRecord
from polyhead.studies.settings import FitSettings, RunSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """Everything a cell reads; test splits are only in `tests`, which ranking and selection never touch.

    Attributes:
        task: Row of the tasks table.
        reader: Opens the data.
        sources: What is trained on.
        targets: What is tested on.
        encoder: How the model reads text: the pre-trained encoder's tokenizer, and the labels of the classifier's outputs.
        train: All sources' training sentences, joined.
        source_dev: Dev sentences by source name.
        ranking: Those of the sources that heads are ranked on.
        selection: What k is chosen on: the sources' dev sets, those of the targets, or both.
        unlabelled: Dev text of the targets by name, whose labels are not read; empty unless k is chosen by agreement.
        tests: Test sentences by target name.
        languages: BCP-47 code of every name.
        records: One entry per split for the result file.
        words: `surface` tokens or `syntactic` words, the same in all corpora.
        train_hash: Hash of the training data.
        dev_keys: Hash of every dev set by name: of the sources, and of the targets that are read.
        test_keys: Hash of every test set by name.
    """

    task: Task
    reader: DataReader
    sources: Sequence[DataReference]
    targets: Sequence[DataReference]
    encoder: TextEncoder
    train: Encoded
    source_dev: Mapping[str, Labelled]
    ranking: Mapping[str, Labelled]
    selection: Mapping[str, Labelled]
    unlabelled: Mapping[str, Labelled]
    tests: Mapping[str, Labelled]
    languages: Mapping[str, str]
    records: tuple[DataRecord, ...]
    words: Words
    train_hash: str
    dev_keys: Mapping[str, str]
    test_keys: Mapping[str, str]

    def sha256_of(self, name: str, split: str) -> str:
        """Hash of the file behind a split; of a held-out dev set, that of the file it was held out of."""
        return next(record.sha256 for record in self.records if (record.name, record.split) == (name, split))


def open_inputs(settings: RunSettings) -> Inputs:
    """Every corpus of a run, read and encoded once.

    Raises:
        PolyheadError: A corpus cannot be read as declared, a name is unknown, or sources or targets are missing or named twice.
    """
    task = find_task(settings.task)
    sources, targets = references(settings.sources, "source"), references(settings.targets, "target")
    words = one_word_choice([*sources, *targets])
    tokenizer = load_tokenizer(settings.model, revision=settings.revision)
    longest = model_limit(load_config(settings.model, revision=settings.revision))
    reader = reader_of(settings, task, merge=settings.rules.merge_types)
    pairs = [reader.train_and_dev(reference, seed=settings.sample_seed) for reference in sources]
    trains = [
        limit(train, settings, tenths=settings.target_tenths if source.text in settings.targets else None)
        for source, (train, _) in zip(sources, pairs, strict=True)
    ]
    devs = [dev for _, dev in pairs]
    rule = settings.select_on
    target_devs = [] if rule == "source-dev" else [reader.open(r, "dev", labelled=rule != "agreement") for r in targets]
    tests = [reader.open(reference, "test") for reference in targets]
    labels = label_set(task, trains)
    target_devs, tests = ([known_labels(data, labels, settings) for data in own] for own in (target_devs, tests))
    seen = [*trains, *devs, *target_devs]
    _check_unseen(seen, tests)
    for data in (*seen, *tests):
        for what in suspicious_text(data):
            logger.info("note: %s %s: %s", data.name, data.split, what)
    for what in seen_before(seen, tests):
        logger.info("note: %s", what)

    encoder = TextEncoder(
        tokenizer=tokenizer,
        labels=labels,
        anchor=settings.train.anchor,
        max_length=settings.train.max_length,
        model_limit=longest,
    )
    read = {
        (data.name, data.split): encoder.labelled(data, unknown="error" if data.split == "train" else "ignore")
        for data in (*seen, *tests)
    }

    def named(datasets: Sequence[Dataset]) -> dict[str, Labelled]:
        return {data.name: read[data.name, data.split] for data in datasets}

    return Inputs(
        task=task,
        reader=reader,
        sources=sources,
        targets=targets,
        encoder=encoder,
        train=join([read[data.name, data.split].encoded for data in trains]),
        source_dev=named(devs),
        ranking=named([dev for source, dev in zip(sources, devs, strict=True) if source.text in settings.ranked_on]),
        selection=named([*(devs if rule != "target-dev" else []), *(target_devs if rule in ("target-dev", "pooled") else [])]),
        unlabelled=named(target_devs if rule == "agreement" else []),
        tests=named(tests),
        languages={data.name: data.language for data in (*seen, *tests)},
        records=tuple(_record(data, read[data.name, data.split].encoded) for data in (*seen, *tests)),
        words=words,
        train_hash=fingerprint([_facts(data) for data in trains]),
        dev_keys={data.name: fingerprint(_facts(data)) for data in (*devs, *target_devs)},
        test_keys={data.name: fingerprint(_facts(data)) for data in tests},
    )


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
    protocol's first rows."""
    train = train if tenths is None else first_tenths(train, tenths, seed=settings.sample_seed)
    n = settings.train_limit
    if n is None or n >= len(train.sentences):
        return train
    if settings.rules.first_rows:
        return replace(train, sentences=train.sentences[:n])
    return sample(train, n, seed=settings.sample_seed)


def _check_unseen(seen: Sequence[Dataset], tests: Sequence[Dataset]) -> None:
    """A test file must not be one that is trained on, ranked on or selected on.

    Raises:
        SettingError: One is, byte for byte.
    """
    hashes = {data.sha256: data for data in seen}
    for test in tests:
        if test.sha256 in hashes:
            other = hashes[test.sha256]
            raise SettingError(
                f"target {test.name!r}: its test file is the {other.split} file of {other.name!r}; a test score needs "
                "text not used in training, ranking or selection; give another file"
            )


def known_labels(data: Dataset, labels: LabelSet, settings: RunSettings) -> Dataset:
    """A target's data; spans of types that no source has are refused, kept (they count as missed) or read as O.

    Raises:
        SettingError: There are some, and `unseen_labels` is `error`.
    """
    unseen = sorted({label for one in data for label in one.labels if label is not None and label not in labels})
    if not unseen or settings.unseen_labels == "keep":
        return data
    if settings.unseen_labels == "drop":
        return without_labels(data, unseen)
    raise SettingError(
        f"target {data.name!r}: its {data.split} split has labels that no source has: {', '.join(unseen[:6])}"
        f"{', …' if len(unseen) > 6 else ''}; give --unseen-labels keep to count them as missed, or drop to read them as O"
    )


def _facts(data: Dataset) -> tuple[object, ...]:
    return data.name, data.split, data.sha256, len(data.sentences), dict(data.notes)


def _record(data: Dataset, encoded: Encoded) -> DataRecord:
    counts = {name: getattr(encoded.counts, name) for name in EncodingRecord.model_fields}
    return DataRecord(
        name=data.name,
        language=data.language,
        split=data.split,
        sentences=len(data.sentences),
        words=data.n_words,
        sha256=data.sha256,
        repairs=dict(data.notes),
        encoding=EncodingRecord(**counts),
    )
