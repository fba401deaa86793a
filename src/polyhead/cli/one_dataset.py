"""The one data set that a command on a model reads: a labelled file, or a split of a corpus, whole or a sample of it."""

from pathlib import Path

from polyhead.core.errors import SettingError
from polyhead.data.references import DataReader, DataReference, Split, sample
from polyhead.data.sentences import Dataset


def one_reference(data: Path | None, *, corpus: str | None, language: str) -> DataReference:
    """What `--data` and `--corpus` name; nothing is opened.

    Raises:
        SettingError: Neither is given, or a folder without `--corpus`, or a corpus's name that cannot be read.
    """
    if corpus is not None:
        return DataReference.parse(corpus)
    if data is None:
        raise SettingError(
            "no text: give a labelled file by --data FILE, or a corpus by --corpus NAME (phrases/en needs no --data)"
        )
    if data.is_dir():
        raise SettingError(f"--data {data}: a folder; name a labelled file, or add --corpus NAME to read one of its corpora")
    # a plain file serves as dev, the only role that it needs
    return DataReference(str(data), language, files={"dev": data})


FEW = 100
"""Below so many sentences a command says that its figures rest on few."""


def few_sentences(data: Dataset) -> str:
    """A note where scores or curves would rest on few sentences; else empty."""
    n = len(data.sentences)
    if n >= FEW:
        return ""
    return f"note: {n} sentence{'' if n == 1 else 's'} only: with so few, figures and orders depend on which sentences they are"


def one_dataset(
    reader: DataReader, reference: DataReference, split: Split, *, labelled: bool, limit: int | None, seed: int
) -> Dataset:
    """The file, or that split of the corpus; a seeded sample of `limit` sentences where one is given."""
    data = reader.open(reference, split if reference.files is None else "dev", labelled=labelled)
    return data if limit is None else sample(data, limit, seed=seed)
