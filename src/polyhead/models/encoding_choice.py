"""How a tagger was trained to read text: a small JSON file beside the model, read again at prediction."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from reprlib import repr
from typing import Any, Final, get_args

from polyhead.core.errors import CheckpointError
from polyhead.core.specs import Anchor
from polyhead.data.conllu import Words
from polyhead.models.checks import read_object
from polyhead.models.devices import Precision
from polyhead.models.sources import own_file

CHOICE_FILE: Final = "polyhead.json"
SCHEMA: Final = 1


@dataclass(frozen=True, kw_only=True)
class EncodingChoice:
    """How a model read text in training.

    Attributes:
        anchor: Subword at which a word is labelled.
        max_length: Longest window in subwords, special tokens included.
        precision: Of matrix products.
        words: Which words of a treebank were labelled.
        task: Name in the tasks table, for human readers.
    """

    anchor: Anchor
    max_length: int
    precision: Precision
    words: Words
    task: str


_ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "anchor": get_args(Anchor),
    "precision": get_args(Precision),
    "words": get_args(Words),
}


def write_choice(choice: EncodingChoice, folder: Path) -> None:
    """Write `polyhead.json` into an existing folder; `read_choice` reads it back."""
    text = json.dumps({"schema": SCHEMA, **asdict(choice)}, indent=1, ensure_ascii=False)
    (folder / CHOICE_FILE).write_text(f"{text}\n", encoding="utf-8")


def read_choice(name: str | Path, *, revision: str | None = None) -> EncodingChoice | None:
    """The recorded encoding of a checkpoint; None without a record.

    Args:
        name: Folder, or hub id (None if it is not reachable).
        revision: Branch, tag or commit on the Hub.

    Raises:
        CheckpointError: The record cannot be read, has another schema, or holds an invalid value.
    """
    path = own_file(name, CHOICE_FILE, revision=revision)
    if path is None or not path.exists():
        return None
    try:
        found = read_object(path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_REPAIR}") from None
    schema = found.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise CheckpointError(f"{path}: schema {repr(schema)}; this version reads {SCHEMA}; upgrade polyhead or save again")
    return EncodingChoice(**{field.name: _checked(field.name, found.get(field.name), path) for field in fields(EncodingChoice)})


_REPAIR = "save the model again, or delete the file and pass --anchor and --max-length"


def _checked(name: str, value: object, path: Path) -> Any:
    if name == "max_length":
        fits, expected = type(value) is int and value >= 1, "a whole number of at least 1"
    elif name in _ALLOWED:
        fits, expected = value in _ALLOWED[name], " or ".join(_ALLOWED[name])
    else:
        fits, expected = isinstance(value, str) and bool(value), "the name of a task"
    if not fits:
        raise CheckpointError(f"{path}: {name} is {repr(value)}; expected {expected}; {_REPAIR}")
    return value
