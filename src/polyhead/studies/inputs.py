"""What all cells of a run share: corpora read once, labels, and every split encoded."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polyhead.core.values import fingerprint
from polyhead.data.conllu import Words
from polyhead.data.labels import label_set
from polyhead.data.references import DataReader, DataReference, one_word_choice
from polyhead.data.sentences import Dataset
from polyhead.data.suspicions import seen_before, suspicious_text
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task
from polyhead.learning.encoded import Encoded, join
from polyhead.learning.inference import Labelled
from polyhead.learning.text_encoder import TextEncoder, Unknown
from polyhead.models.loading import load_config, load_tokenizer
from polyhead.report.record import DataRecord, EncodingRecord
from polyhead.studies.run_data import facts_of, how_read, read_data
from polyhead.studies.settings import RunSettings
from polyhead.studies.text_memory import Texts

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


def open_inputs(settings: RunSettings, texts: Texts | None = None) -> Inputs:
    """Every corpus of a run, read and encoded once; with `texts` not again if it was read or encoded for other inputs.

    Raises:
        PolyheadError: A corpus cannot be read as declared, a name is unknown, or sources or targets are missing or named twice.
    """
    tokenizer = load_tokenizer(settings.encoder, revision=settings.revision)
    config = load_config(settings.encoder, revision=settings.revision, kind=find_task(settings.task).kind)
    texts = texts or Texts()
    data, train, rule = read_data(settings, texts), settings.train, settings.select_on
    for split in data.every:
        for what in suspicious_text(split):
            logger.info("note: %s %s: %s", split.name, split.split, what)
    for what in seen_before(data.seen, data.tests):
        logger.info("note: %s", what)
    encoder = TextEncoder.of(
        config,
        data.reader.task,
        tokenizer,
        labels=label_set(data.reader.task, data.trains),
        anchor=train.anchor,
        max_length=train.max_length,
    )
    read_by = [settings.encoder, settings.revision, list(encoder.labels), train.anchor, train.max_length, how_read(settings)]

    def encoded(split: Dataset) -> Labelled:
        unknown: Unknown = "error" if split.split == "train" else "ignore"
        drawn = [sentence.source for sentence in split]  # equally many sentences of one file may be other ones
        what = [read_by, unknown, facts_of(split, settings), drawn]
        return texts.labelled(what, encoder, split, unknown=unknown)

    read = {(split.name, split.split): encoded(split) for split in data.every}

    def named(splits: Sequence[Dataset]) -> dict[str, Labelled]:
        return {split.name: read[split.name, split.split] for split in splits}

    of_sources = data.devs if rule != "target-dev" else []
    of_targets = data.target_devs if rule in ("target-dev", "pooled") else []
    return Inputs(
        task=data.reader.task,
        reader=data.reader,
        sources=data.sources,
        targets=data.targets,
        encoder=encoder,
        train=join([read[split.name, split.split].encoded for split in data.trains]),
        source_dev=named(data.devs),
        ranking=named([dev for source, dev in zip(data.sources, data.devs, strict=True) if source.text in settings.ranked_on]),
        selection=named([*of_sources, *of_targets]),
        unlabelled=named(data.target_devs if rule == "agreement" else []),
        tests=named(data.tests),
        languages={split.name: split.language for split in data.every},
        records=tuple(_record(split, read[split.name, split.split].encoded) for split in data.every),
        words=one_word_choice([*data.sources, *data.targets]),
        train_hash=fingerprint([*(facts_of(split, settings) for split in data.trains), *_tenths(settings)]),
        dev_keys={split.name: fingerprint(facts_of(split, settings)) for split in (*data.devs, *data.target_devs)},
        test_keys={split.name: fingerprint(facts_of(split, settings)) for split in data.tests},
    )


def _tenths(settings: RunSettings) -> list[int]:
    """What tells samples apart that `train_limit` made equally long."""
    return [] if settings.target_tenths is None else [settings.target_tenths]


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
