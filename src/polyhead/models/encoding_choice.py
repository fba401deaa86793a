"""How a tagger was trained: a small JSON file beside the model, read again at prediction and pruning."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr
from typing import Annotated, Final, get_type_hints

from pydantic import Field

from polyhead.core.errors import CheckpointError, SettingError
from polyhead.core.settings_file import Many, checked
from polyhead.core.specs import Anchor
from polyhead.data.conllu import Words
from polyhead.models.checks import read_object
from polyhead.models.devices import Precision
from polyhead.models.sources import own_file

CHOICE_FILE: Final = "polyhead.json"
SCHEMA: Final = 1
_REPAIR: Final = "save the model again, or delete the file and pass --anchor and --max-length"


@dataclass(frozen=True, kw_only=True)
class EncodingChoice:
    """How a model read text in training, and which heads were masked in it.

    Attributes:
        anchor: Subword at which a word is labelled.
        max_length: Longest window in subwords, special tokens included.
        precision: Of matrix products.
        words: Which words of a treebank were labelled.
        task: Name in the tasks table; `Tagger.load` takes it unless given one.
        nested: Heads in the order in which training under nested masks masked them; any number of them can be pruned.
    """

    anchor: Anchor
    max_length: Annotated[int, Field(ge=1)]
    precision: Precision
    words: Words
    task: Annotated[str, Field(min_length=1)]
    nested: Many[str] = ()


def write_choice(choice: EncodingChoice, folder: Path) -> None:
    """Write `polyhead.json` into an existing folder; `read_choice` reads it back."""
    facts = {name: value for name, value in asdict(choice).items() if value != ()}
    text = json.dumps({"schema": SCHEMA, **facts}, indent=1, ensure_ascii=False)
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
    found = read_object(path, do=_REPAIR)
    schema = found.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise CheckpointError(f"{path}: schema {repr(schema)}; this version reads {SCHEMA}; upgrade polyhead or save again")
    kinds = get_type_hints(EncodingChoice, include_extras=True)
    try:
        values = {name: checked(name, found.get(name), kind) for name, kind in kinds.items() if name in found or name != "nested"}
        return EncodingChoice(**values)
    except SettingError as error:
        raise CheckpointError(f"{path}: {error}; {_REPAIR}") from None
