"""Reads JSON whose spans count words: the tasks of Prodigy and the training data of GLiNER; spans become IOB2."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from polyhead.data.json_lines import is_json_object, json_list, json_objects
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile, is_blank, shown

NOT_ACCEPTED = "task whose answer is not accept left out"
Record = Mapping[str, Any]
WordSpan = tuple[int, int, str]  # first word, last word, type


def looks_like_prodigy(line: str) -> bool:
    """Whether a line is a task with tokens."""
    return is_json_object(line) and '"tokens"' in line and isinstance(_first(json.loads(line).get("tokens")), dict)


def looks_like_gliner(line: str) -> bool:
    """Whether a line begins a list of sentences, or is one."""
    return '"tokenized_text"' in line and line.startswith(("[", "{"))


def read_prodigy(file: TextFile) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2, from JSON Lines as `db-out` writes them. Streams: one task in memory at a time.

    A task is `{"tokens": [{"text"}], "spans": [{"token_start", "token_end", "label"}], "answer"}`; `token_end` is the last token
    of the span. Tasks whose answer is not `accept` are left out and counted.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    for number, task in json_objects(file):
        if task.get("answer", "accept") != "accept":
            file.repair(number, NOT_ACCEPTED, "an accepted task")
            continue
        yield _sentence(
            file, number, task, _prodigy, '"tokens" with "text", and "spans" with "token_start", "token_end", "label"'
        )


def read_gliner(file: TextFile) -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2, from one JSON list, which is read whole, or from JSON Lines.

    A sentence is `{"tokenized_text": ["Ann", "sings"], "ner": [[0, 0, "person"]]}`: first word, last word, type.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line or record, what was found and expected.
    """
    expected = '{"tokenized_text": [words], "ner": [[first word, last word, type]]}'
    lines = list(file.lines())
    is_list = next((line for _, line in lines if not is_blank(line)), "").lstrip().startswith("[")
    listed = ((f"record {number}", record) for number, record in enumerate(json_list(file, lines) if is_list else (), start=1))
    for where, record in listed if is_list else json_objects(file, lines):
        yield _sentence(file, where, record, _gliner, expected)


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _prodigy(task: Record) -> tuple[list[str], list[WordSpan]]:
    spans = [(span["token_start"], span["token_end"], span["label"]) for span in task.get("spans") or []]
    return [token["text"] for token in task["tokens"]], spans


def _gliner(record: Record) -> tuple[list[str], list[WordSpan]]:
    if not isinstance(record["tokenized_text"], list):
        raise TypeError
    return record["tokenized_text"], [(span[0], span[1], span[2]) for span in record["ner"]]


def _sentence(
    file: TextFile, where: int | str, record: Record, parts: Callable[[Record], tuple[list[str], list[WordSpan]]], expected: str
) -> Sentence:
    try:
        words, spans = parts(record)
        if not all(isinstance(word, str) and word.strip() for word in words) or not words:
            raise ValueError
    except (KeyError, IndexError, TypeError, ValueError):
        said = shown(json.dumps(record, ensure_ascii=True))
        raise file.error(where, f"no words and spans in {said}", f"{expected}, words not empty") from None
    labels = ["O"] * len(words)
    for first, last, span_type in spans:
        if type(first) is not int or type(last) is not int or not isinstance(span_type, str) or not span_type:
            raise file.error(
                where, f"span {shown(repr((first, last, span_type)))}", "numbers of the first and last word, and a type"
            )
        if not 0 <= first <= last < len(words):
            raise file.error(
                where, f"span {first} to {last} of {len(words)} words", f"0 to {len(words) - 1}, the last word included"
            )
        if any(label != "O" for label in labels[first : last + 1]):
            raise file.error(where, f"span {first} to {last}, {span_type}, overlaps another", "each word in one span at most")
        labels[first : last + 1] = [f"B-{span_type}", *[f"I-{span_type}"] * (last - first)]
    return file.sentence(words, labels, where)
