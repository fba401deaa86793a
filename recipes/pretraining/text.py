"""The training text: groups of lines that are translations of one another, one per language."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pretraining.settings import TextSpec

from polyhead.core.errors import DataFormatError
from polyhead.data.phrases.files import running_text
from polyhead.data.phrases.generate import pretraining
from polyhead.data.phrases.grammar import grammar
from polyhead.data.phrases.inventory import inventory

Group = tuple[str, ...]


def read_groups(spec: TextSpec) -> Iterator[Group]:
    """Every group of lines that the settings name, phrases first; a line of monolingual text is its own group.

    Raises:
        DataFormatError: A file cannot be read, is not UTF-8, or a line of a parallel file has only one text.
    """
    if spec.phrases:
        languages = spec.languages or inventory().languages
        tables = [grammar(language) for language in languages]
        for translations in pretraining(languages, spec.phrases, seed=spec.seed):
            yield tuple(
                " ".join(phrase.words) if spec.spaced else running_text(phrase.words, table)
                for phrase, table in zip(translations, tables, strict=True)
            )
    for name in spec.lines:
        yield from ((line,) for _, line in _lines(name))
    for name in spec.parallel:
        for number, line in _lines(name):
            group = tuple(text for part in line.split("\t") if (text := part.strip()))
            if len(group) < 2:
                raise DataFormatError(f"{name}:{number}: only one text; expected two or more translations, separated by tabs")
            yield group


def _lines(name: str) -> Iterator[tuple[int, str]]:
    """Non-empty lines and their numbers."""
    try:
        with Path(name).open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if text := line.strip(" \r\n"):
                    yield number, text
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{name}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise DataFormatError(f"{name}: cannot be read ({error.strerror or error}); check the path") from None


def each_line(groups: Iterable[Group]) -> Iterator[str]:
    """The lines of all groups, one after the other."""
    for group in groups:
        yield from group
