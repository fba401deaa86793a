"""Reads TSV files with a header and one sentence per row: words joined by spaces in one column, their labels in another.

This is the format of MultiATIS++ (LDC2021T04), which has two possible headers.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from polyhead.core.values import counted
from polyhead.data.schemes import LabelError, to_iob2
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile, shown

UNEVEN = "row with different numbers of words and labels, skipped"
_RELEASED = ["id", "utterance", "slot_labels", "intent"]
# The internal naming that the data's own code reads, without its unused third column.
_INTERNAL = ["u_id", "utterance", "slot-labels", "intent"]


def looks_like_token_rows(line: str) -> bool:
    """Whether a line is the header of such a file."""
    fields = line.split("\t")
    return "utterance" in fields and ("slot_labels" in fields or "slot-labels" in fields)


def read_token_rows(file: TextFile, *, uneven: Literal["error", "skip"] = "error") -> Iterator[Sentence]:
    """Sentences in file order, spans in IOB2. Streams: one row in memory at a time; quotes are characters like any other.

    Args:
        file: A file with one of the two headers.
        uneven: What to do with a row whose words and labels differ in number: `error`, or `skip` it and count a repair.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    header: list[str] = []
    for number, line in file.lines():
        fields = line.split("\t")
        if not header:
            header = fields
            if fields != _RELEASED and fields[:2] + fields[3:] != _INTERNAL:
                known = "\t".join(_RELEASED), "\t".join([*_INTERNAL[:2], "?", *_INTERNAL[2:]])
                raise file.error(number, f"header {shown(line)}", f"{known[0]!r} or {known[1]!r} (? stands for any name)")
            continue
        if len(fields) != len(header):
            found = f"{counted(len(fields), 'column')} in {shown(line)}"
            raise file.error(number, found, f"{len(header)} columns separated by TAB, as in the header")
        # the label column is the last but one in both headers
        words, tags = fields[1].split(" "), fields[-2].split(" ")
        if len(words) == len(tags) and all(words):
            yield file.sentence(words, _labels(file, number, tags), number)
        elif uneven == "skip" and not file.strict:
            file.repairs[UNEVEN] += 1
        else:
            empty = "" if all(words) else ", one of them empty (two spaces in a row?)"
            found = f"{counted(len(words), 'word')}{empty} but {counted(len(tags), 'label')}"
            raise file.error(number, found, "one label per word, each joined by one space; correct the row or delete it")


def _labels(file: TextFile, number: int, tags: Sequence[str]) -> tuple[str, ...]:
    def on_repair(position: int, description: str) -> None:
        if file.strict:
            description = f"word {position + 1}: {description}"
        file.repair(number, description, "tags in iob2")

    try:
        return to_iob2(tags, "iob2", on_repair=on_repair)
    except LabelError as error:
        raise file.error(number, f"word {error.position + 1}: {error.found}", error.expected) from error
