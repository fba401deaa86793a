"""A JSON file of polyhead's own in a model's folder: written from a frozen dataclass, read back and checked."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr
from typing import ClassVar, Self

from pydantic import TypeAdapter, ValidationError

from polyhead.core.errors import CheckpointError
from polyhead.core.settings_file import said
from polyhead.core.values import jsonable
from polyhead.models.checks import read_object
from polyhead.models.names import is_local, model_folder
from polyhead.models.sources import checkpoint_folder

SCHEMA = 1


@dataclass(frozen=True)
class OwnFile:
    """What the file holds, besides `"schema": 1`.

    Attributes:
        FILE: Its name.
        REPAIR: What a user does about a file that cannot be read.
    """

    FILE: ClassVar[str]
    REPAIR: ClassVar[str]

    def write(self, folder: Path) -> None:
        """Write the file into an existing folder; `read` reads it back."""
        text = json.dumps(jsonable({"schema": SCHEMA, **asdict(self)}), indent=1, ensure_ascii=False)
        (folder / self.FILE).write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def read(cls, name: str | Path, *, revision: str | None = None) -> Self | None:
        """What a model's file holds; None if there is no such file, or the model cannot be reached.

        Args:
            name: Folder, or hub id.
            revision: Branch, tag or commit on the Hub.

        Raises:
            CheckpointError: The file cannot be read, has another schema, or holds a value that is not allowed.
        """
        try:
            local = is_local(str(name))
            path = (model_folder(name) if local else checkpoint_folder(name, revision=revision, weights=False)) / cls.FILE
        except CheckpointError:  # loading the model reports why
            return None
        if not path.exists():
            return None
        found = read_object(path, do=cls.REPAIR)
        if type(schema := found.pop("schema", None)) is not int or schema != SCHEMA:
            raise CheckpointError(f"{path}: schema {repr(schema)}; this version reads {SCHEMA}; {cls.REPAIR}")
        try:
            return TypeAdapter(cls).validate_json(json.dumps(found), strict=True)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise CheckpointError(f"{path}: {said('.'.join(map(str, fault['loc'])), fault)}; {cls.REPAIR}") from None
