"""A guess at which lists of a file of records are the words and the tags."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from polyhead.data.guess_tags import are_bare, are_spans, are_upos, guess_scheme
from polyhead.data.records import CONTAINERS
from polyhead.data.schemes import Scheme
from polyhead.data.textfile import TextFile, data_error, shown

_RECORDS = 2000
_WORDS = ("tokens", "words", "token", "word", "text")
_TAGS = ("ner_tags", "upos", "pos_tags", "tags", "labels")


def guess_records(path: Path, container: str) -> tuple[str, str, str, Scheme | None]:
    """Format in words, task, value for `--columns`, and scheme (None where none is needed), from the first 2,000 records.

    Raises:
        SettingError: The file needs a library that is not installed.
        DataFormatError: It cannot be read, is empty, or has no list of words with a list of as many tags.
    """
    opened = CONTAINERS[container].open(TextFile(path, ""), None)
    rows = list(islice(opened.rows, _RECORDS))
    if not rows:
        raise data_error(path, 0, "not one record", "labelled sentences")
    records = [record for _, record in rows]
    where, first = rows[0]
    lists = [name for name in first if all(isinstance(record.get(name), list) for record in records)]
    texts = [name for name in lists if all(isinstance(one, str) for record in records for one in record[name])]
    pairs = {word: [tag for tag in lists if tag != word and _match(records, word, tag)] for word in texts}
    tags = {tag: _named(records, tag, opened.names.get(tag)) for tag in {tag for found in pairs.values() for tag in found}}
    kinds = {tag: kind for tag, one in tags.items() if one is not None and (kind := _kind(one)) is not None}
    for word in sorted(pairs, key=lambda name: _rank(name, _WORDS)):
        fits = sorted((tag for tag in pairs[word] if tag in kinds), key=lambda tag: (kinds[tag][0] == "pos", _rank(tag, _TAGS)))
        if word in kinds or not fits:
            continue
        task, scheme = kinds[fits[0]]
        others = f"; tags in {fits[0]}, others in {', '.join(fits[1:])}" if len(fits) > 1 else ""
        return f"{CONTAINERS[container].summary}{others}", task, f"{container}:token={word},tag={fits[0]}", scheme
    if numbers := [(word, tag) for word in pairs for tag in pairs[word] if tags[tag] is None]:
        word, tag = numbers[0]
        step = f"their names in order: --columns '{container}:token={word},tag={tag},names=O B-PER I-PER'"
        found = sorted({one for record in records for one in record[tag]}, key=str)
        raise data_error(path, where, f"{tag} holds numbers ({', '.join(map(str, found[:6]))}) and nothing names them", step)
    summary = f"{CONTAINERS[container].summary} with {', '.join(map(str, first)) or 'nothing'}"
    expected = f"a list of words and a list of as many tags; --columns {container}:token=NAME,tag=NAME names them"
    step = "; for characters of a text see the docs, Files from annotation tools" if "text" in first else ""
    raise data_error(path, where, f"no tags found in {summary}: {shown(repr(dict(first)))}", f"{expected}{step}")


def _rank(name: str, known: Sequence[str]) -> int:
    return known.index(name) if name in known else len(known)


def _match(records: Sequence[Mapping[str, Any]], word: str, tag: str) -> bool:
    same = all(len(record[word]) == len(record[tag]) for record in records)
    return same and all(isinstance(one, str | int) for record in records for one in record[tag])


def _named(records: Sequence[Mapping[str, Any]], tag: str, names: Sequence[str] | None) -> list[list[str]] | None:
    """The tags as text; None where they are numbers without a name."""
    found = [record[tag] for record in records]
    if all(isinstance(one, str) for row in found for one in row):
        return found
    if names is None or not all(type(one) is int and -1 <= one < len(names) for row in found for one in row):
        return None
    return [["_" if one < 0 else names[one] for one in row] for row in found]


def _kind(tags: Sequence[Sequence[str]]) -> tuple[str, Scheme | None] | None:
    flat = [tag for row in tags for tag in row]
    if are_spans(flat):
        return "ner", guess_scheme(tags)
    if are_upos(flat) and set(flat) != {"_"}:
        return "pos", None
    return ("ner", "bare") if are_bare(flat) else None
