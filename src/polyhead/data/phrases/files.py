"""The phrases as files and datasets: CoNLL-U for parts of speech, column files for entities and slots, with checksums."""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from polyhead.core.errors import DataFormatError
from polyhead.data.corpus_table import Split
from polyhead.data.phrases.generate import SEED, phrases
from polyhead.data.phrases.grammar import Grammar, grammar
from polyhead.data.phrases.inventory import inventory, read_table
from polyhead.data.phrases.realise import Phrase
from polyhead.data.sentences import Dataset, Sentence

SIZES: Final[Mapping[Split, int]] = {"train": 2400, "dev": 400, "test": 600}
"""Sentences per split, the same in every language."""
SUFFIXES: Final[Mapping[str, str]] = {"pos": ".conllu", "ner": ".ner.tsv", "slots": ".slots.tsv"}
"""File suffix of each task."""


@cache
def split_phrases(language: str, split: Split, seed: int = SEED) -> tuple[Phrase, ...]:
    """The sentences of a split; those at the same index are translations of each other."""
    return tuple(phrases(language, split, SIZES[split], seed=seed))


def labels_of(phrase: Phrase, task: str) -> tuple[str, ...]:
    """The phrase's labels for that task, one per word."""
    return {"pos": phrase.upos, "ner": phrase.entities, "slots": phrase.slots}[task]


def running_text(words: Sequence[str], table: Grammar) -> str:
    """The sentence as running text, with the spaces of its language.

    >>> running_text(("Hello", ",", "world", "."), grammar("en")), running_text(("我", "走", "。"), grammar("zh"))
    ('Hello, world.', '我走。')
    """
    text = ""
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        glued = word in table.closing or (before != "" and before in table.opening)
        text += word if not place or glued else table.space + word
    return text


def file_text(found: Sequence[Phrase], language: str, split: Split, task: str) -> str:
    """The content of a split's file; translations share their `sent_id`."""
    lines = []
    for sentence, phrase in enumerate(found, 1):
        lines += [f"# sent_id = {split}-{sentence}", f"# text = {running_text(phrase.words, grammar(language))}"]
        for number, (word, label) in enumerate(zip(phrase.words, labels_of(phrase, task), strict=True), 1):
            lines.append(f"{number}\t{word}\t_\t{label}" + "\t_" * 6 if task == "pos" else f"{number}\t{word}\t{label}")
        lines.append("")
    return "\n".join([*lines, ""])


@cache
def phrase_dataset(name: str, language: str, task: str, split: Split) -> Dataset:
    """A split as a dataset generated in memory, equal to the one read from its written file, hash included.

    Args:
        name: Name of the dataset.
        language: Name of a table, for example `zh`.
        task: `pos`, `ner` or `slots`.
        split: `train`, `dev` or `test`.

    Raises:
        DataFormatError: Its checksum differs from the package's, for example because the tables were changed.
    """
    found = split_phrases(language, split)
    digest = sha256(file_text(found, language, split, task).encode()).hexdigest()
    file = f"{language}/{split}{SUFFIXES[task]}"
    if checksums().get(file) != digest:
        raise DataFormatError(f"phrases/{file}: sha256 {digest[:12]}..., not that of checksums.toml; install polyhead again")
    sentences, line = [], 3
    for phrase in found:
        source = f"phrases/{file}:{line}"
        sentences.append(Sentence(phrase.words, labels_of(phrase, task), grammar(language).language, source))
        line += len(phrase.words) + 3
    return Dataset(name, grammar(language).language, split, tuple(sentences), {}, digest)


@cache
def checksums() -> Mapping[str, str]:
    """SHA-256 of every file that `write_phrases` writes, by path in the folder."""
    return dict(read_table("checksums")["sha256"])


def write_phrases(folder: Path, *, languages: Sequence[str] = (), seed: int = SEED) -> dict[str, str]:
    """Write all splits for all tasks and return the checksum of each file by path in `folder`.

    Args:
        folder: Made if it is missing; existing files are overwritten.
        languages: Names of tables; empty means all.
        seed: Another seed gives other sentences, for which the package has no checksums.
    """
    written = {}
    for language in languages or inventory().languages:
        (folder / language).mkdir(parents=True, exist_ok=True)
        for split in SIZES:
            found = split_phrases(language, split, seed)
            for task, suffix in SUFFIXES.items():
                data = file_text(found, language, split, task).encode()
                (folder / language / f"{split}{suffix}").write_bytes(data)
                written[f"{language}/{split}{suffix}"] = sha256(data).hexdigest()
    return written
