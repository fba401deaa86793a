"""References to data: a corpus (`ud/en_ewt`, `ud/en_ewt@words`) or files of one language (`en=TRAIN:DEV:TEST`)."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.core.settings_file import path_in
from polyhead.data.arrow_tables import saved_splits
from polyhead.data.conllu import Words
from polyhead.data.corpora import corpus, open_corpus, open_file
from polyhead.data.corpus_table import CORPORA, SPLITS, Split
from polyhead.data.labels import harmonise
from polyhead.data.layouts import declared_layout
from polyhead.data.sampling import holdout
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task
from polyhead.data.textfile import find_file

# One sample for all seeds of a study, so that they differ only in head initialisation, order and dropout.
SAMPLE_SEED = 42
Role = Literal["source", "target", "dev"]
_FILES: Mapping[Role, str] = {
    "source": "LANGUAGE=TRAIN, LANGUAGE=TRAIN:DEV or LANGUAGE=TRAIN:DEV:TEST (parts may be left empty)",
    "target": "LANGUAGE=TEST, LANGUAGE=DEV:TEST or LANGUAGE=TRAIN:DEV:TEST (parts may be left empty)",
    "dev": "LANGUAGE=DEV or LANGUAGE=TRAIN:DEV:TEST (parts may be left empty)",
}
_SAVED: Mapping[Split, tuple[str, ...]] = {"train": ("train",), "dev": ("validation", "dev", "valid"), "test": ("test",)}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def is_language_code(text: str) -> bool:
    """Whether a text has the form of a BCP-47 code.

    >>> is_language_code("zh-Hant"), is_language_code("German")
    (True, False)
    """
    return _LANGUAGE.fullmatch(text) is not None


@dataclass(frozen=True)
class DataReference:
    """A parsed reference to data.

    Attributes:
        text: What the user wrote.
        name: Corpus name without suffix, or the language of the files.
        words: Surface tokens or, with the suffix `@words`, syntactic words.
        files: Path of each split given; None for a corpus.
        serves_all: Whether its single file also opens as any other split.
    """

    text: str
    name: str
    words: Words = "surface"
    files: Mapping[Split, Path] | None = field(default=None, hash=False)
    serves_all: bool = False

    @classmethod
    def parse(cls, text: str, role: Role = "target", *, folder: str | Path | None = None) -> Self:
        """The reference in `text`; opens nothing. Relative paths start from `folder`, else from the current one.

        With fewer than three files, the first of a source is train, and the last of a target is test. Of dev text, two files are
        dev and test. A single file also opens as any other split that a command reads (`evaluate --split dev`).

        Raises:
            SettingError: It is not `CORPUS`, `CORPUS@words` or `LANGUAGE=FILES`, or the language does not look like BCP-47.

        >>> DataReference.parse("ud/en_ewt@words").words
        'syntactic'
        >>> sorted(DataReference.parse("de=dev.conllu:test.conllu").files)
        ['dev', 'test']
        >>> sorted(DataReference.parse("de=train.conllu:dev.conllu", "source").files)
        ['dev', 'train']

        A folder that `save_to_disk` of a `DatasetDict` wrote stands for its splits, `validation` being dev.
        """
        name, equals, paths = text.partition("=")
        name, at, suffix = name.partition("@")
        if at and suffix not in ("words", "surface"):
            raise SettingError(f"data {text!r}: {'@' + suffix!r} after the name; expected @words (syntactic words) or @surface")
        words: Words = "syntactic" if suffix == "words" else "surface"
        if not equals:
            if "/" not in name or path_in(folder, text).is_file():
                raise SettingError(f"data {text!r}: expected a corpus such as ud/en_ewt, or {_FILES[role]}")
            return cls(text, name, words)
        parts = paths.split(":")
        if not name or len(parts) > len(SPLITS) or not any(parts):
            raise SettingError(f"data {text!r}: expected {_FILES[role]}; paths cannot hold ':'")
        if not is_language_code(name):
            raise SettingError(f"data {text!r}: {name!r} is not a language code; expected BCP-47 (de, hau, zh-Hant), or und")
        if len(parts) == 1 and (saved := _saved(path_in(folder, paths))):
            return cls(text, name, words, saved)
        splits = SPLITS[: len(parts)] if role == "source" else SPLITS[-len(parts) :]
        named = zip(splits, parts, strict=True)
        return cls(text, name, words, {split: path_in(folder, part) for split, part in named if part}, len(parts) == 1)

    def has(self, split: Split) -> bool:
        """Whether the reference has this split.

        Raises:
            UnknownNameError: There is no corpus of this name.
        """
        return split in (corpus(self.name).splits if self.files is None else self.files)


def _saved(path: Path) -> dict[Split, Path]:
    """The splits of a folder that `save_to_disk` of a `DatasetDict` wrote; empty for everything else."""
    folders = saved_splits(path)
    named = {split: [folders[name] for name in _SAVED[split] if name in folders] for split in SPLITS}
    return {split: found[0] for split, found in named.items() if found}


@dataclass(frozen=True, kw_only=True)
class DataReader:
    """Opens references, with the same options for all data of a command.

    Attributes:
        task: Tag tasks read `.conllu` files as CoNLL-U; span tasks read columns; sentence tasks read named columns.
        root: Folder of the corpora.
        scheme: Scheme of the span tags in the user's own files; a corpus has its own.
        columns: Layout of the user's own files, see `declared_layout`; a corpus has its own.
        strict: Raise where a repair would be counted.
        merge: Merge the span types of all data into those of the task (`Task.map_type`), not only where a corpus declares it.
        kept: Types that are never merged, because the model predicts them.
    """

    task: Task
    root: Path | None = None
    scheme: str | None = None
    columns: str | None = None
    strict: bool = False
    merge: bool = False
    kept: frozenset[str] = frozenset()

    def open(self, reference: DataReference, split: Split, *, labelled: bool = True) -> Dataset:
        """One split; the user's own files are named as the user wrote them, and a single file is any split that is asked for.

        Raises:
            SettingError: The reference has no such split, or no folder is given for a corpus.
            DataFormatError: No word (in sentence tasks, no sentence) has a label, and `labelled` is set.
            PolyheadError: The corpus is unknown, or a file cannot be read as declared.
        """
        found = self._corpus(reference, split) if reference.files is None else self._files(reference, split, labelled)
        if self.merge and not found.merged:
            found = harmonise(found, self.task, kept=self.kept)
        if (
            labelled
            and self.task.kind != "masked"
            and all(label is None for sentence in found.sentences for label in sentence.labels)
        ):
            where = found.sentences[0].source if found.sentences else found.name
            said = f"no {self.task.unit} of the {split} split has a label; expected a filled column of labels"
            raise DataFormatError(f"{where}: {said}")
        return found

    def train_and_dev(self, reference: DataReference, *, seed: int) -> tuple[Dataset, Dataset]:
        """Train and dev of a source; without a dev split, a seeded tenth of train is held out."""
        train = self.open(reference, "train")
        return (train, self.open(reference, "dev")) if reference.has("dev") else holdout(train, seed=seed)

    def _corpus(self, reference: DataReference, split: Split) -> Dataset:
        row = corpus(reference.name)
        if self.root is not None and not self.root.is_dir():
            wrong = f"--data {self.root}: is not a folder, but {reference.text} names a corpus in one"
            raise SettingError(f"{wrong}; name the folder, or give either the file or the corpus")
        if row.task != self.task.name and self.task.kind != "masked":
            there = ", ".join(labelled_for(self.task.name, reference.name)) or "no corpus that polyhead knows by name"
            wrong = f"data {reference.text!r}: this corpus is labelled for the task {row.task}, not {self.task.name}"
            raise SettingError(f"{wrong}; for {self.task.name} its language has {there}; or give --task {row.task}")
        read = open_corpus(reference.name, split, root=self.root, words=reference.words, kept=self.kept, strict=self.strict)
        return replace(read, sentences=tuple(one.whole for one in read), merged={}) if self.task.kind == "masked" else read

    def _files(self, reference: DataReference, split: Split, labelled: bool) -> Dataset:
        files = reference.files or {}
        path = next(iter(files.values())) if reference.serves_all else files.get(split)
        if path is None:
            step = "write LANGUAGE=TRAIN:DEV:TEST (parts may be left empty)"
            raise SettingError(f"data {reference.text!r}: no {split} file; its files are read as {', '.join(files)}; {step}")
        if ":" in reference.text and find_file(path) is None:
            raise SettingError(f"data {reference.text!r}: no {split} file {path}; check the path, which cannot hold ':'")
        try:
            dataset = open_file(
                path,
                self.task,
                split,
                language=reference.name,
                words=reference.words,
                columns=None if self.columns is None else declared_layout(self.columns, scheme=self.scheme, kind=self.task.kind),
                scheme=self.scheme,
                strict=self.strict,
                labelled=labelled,
            )
        except DataFormatError as error:
            raise see_check(error, path) from None
        return replace(dataset, name=reference.text)


def check_command(path: Path) -> str:
    """The command that reports on a file."""
    return f"polyhead data check {shlex.quote(str(path))}"


def see_check(error: DataFormatError, path: Path, advice: str = "") -> DataFormatError:
    """The error with advice and the command that reports on the file, if it is there to be reported on."""
    if find_file(path) is None:
        return error
    return DataFormatError(f"{error}{'' if str(error).endswith('?') else ';'} {advice}see {check_command(path)}")


def labelled_for(task: str, name: str) -> list[str]:
    """At most three corpora in the language of `name` that are labelled for `task`, those of its family first."""
    language, family = corpus(name).language, re.split("[/-]", name)[0]
    found = [other for other, row in CORPORA.items() if (row.task, row.language) == (task, language)]
    return sorted(found, key=lambda other: not other.startswith(family))[:3]


def references(texts: Sequence[str], role: Role, *, folder: str | Path | None = None) -> list[DataReference]:
    """The references of a run's sources or targets; opens nothing. Relative paths start from `folder`, else from the current one.

    Raises:
        SettingError: There is none, one is given twice, or one cannot be parsed.
    """
    if not texts:
        raise SettingError(f"no {role}: give at least one, for example --{role} ud/en_ewt")
    repeated = [text for text in texts if texts.count(text) > 1]
    if repeated:
        raise SettingError(f"{role} {repeated[0]!r}: given {texts.count(repeated[0])} times; give each once")
    return [DataReference.parse(text, role, folder=folder) for text in texts]


def one_word_choice(references: Sequence[DataReference]) -> Words:
    """The kind of words that all references share.

    Raises:
        SettingError: Some ask for syntactic words and some for surface tokens.
    """
    if odd := [reference.text for reference in references if reference.words != references[0].words]:
        step = "one run uses one kind of words; put @words on all of them or on none"
        raise SettingError(f"data {references[0].text!r} and {odd[0]!r}: {step}")
    return references[0].words if references else "surface"
