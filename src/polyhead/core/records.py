"""Many small records in one folder: JSON files with a checksum, listed at once and parsed only when asked for."""

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.values import jsonable

logger = logging.getLogger(__name__)
_ENDING: Final = ".json"
_HEAD = re.compile(rb'\{\s*"schema": (\d{1,9}),')
_TAIL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n')
_TAIL_BYTES: Final = len(',\n "sha256": ""\n}\n') + 64
_SECOND_LOOK: Final = 0.2  # seconds: another process may be writing the file where there are no hard links


def record_bytes(content: Mapping[str, object], *, schema: int) -> bytes:
    """A record as indented JSON: `schema` is its first value, its last is `sha256`, the checksum of all before it.

    Raises:
        StoreError: The content has no JSON form.
    """
    try:
        whole = json.dumps(jsonable({"schema": schema, **content}), indent=1, ensure_ascii=False, allow_nan=False)
    except (SettingError, TypeError) as error:
        raise StoreError(f"a record has no JSON form: {error}") from None
    body = whole.removesuffix("\n}").encode()
    return body + f',\n "sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


@dataclass(frozen=True)
class StoredRecord:
    """A record whose checksum is right.

    Attributes:
        path: Its file.
        raw: The file's content.
    """

    path: Path
    raw: bytes

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.name.removesuffix(_ENDING)

    @cached_property
    def content(self) -> dict[str, Any]:
        """Its values, without schema and checksum; parsed at the first call."""
        content: dict[str, Any] = json.loads(self.raw)
        return {name: value for name, value in content.items() if name not in ("schema", "sha256")}


@dataclass(frozen=True)
class Records:
    """What is in a folder of records.

    Attributes:
        good: The records, ordered by name.
        damaged: Files that are half written, changed or not records.
    """

    good: tuple[StoredRecord, ...]
    damaged: tuple[Path, ...]


def record_names(folder: Path) -> set[str]:
    """Names of the records in a folder, from one listing and without a look at any file; none if it is missing.

    Raises:
        StoreError: The folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be listed ({error.strerror or error})") from None
    return {name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING) and not name.startswith(".")}


def read_record(path: Path, *, schema: int) -> StoredRecord | None:
    """One record; None if there is none.

    Raises:
        StoreError: It is damaged, cannot be read, or is of another schema.
    """
    record = _read(path, schema)
    if record is _DAMAGED:
        raise StoreError(f"{path}: damaged (half written, or changed since): delete it and run again")
    return record


def read_records(folder: Path, *, schema: int, names: Iterable[str] | None = None) -> Records:
    """All records of a folder, or those of these names that exist; reads each file once and parses none.

    Raises:
        StoreError: A file cannot be read, or is of another schema.
    """
    found = {
        path: _read(path, schema)
        for path in (folder / f"{name}{_ENDING}" for name in sorted(record_names(folder) if names is None else set(names)))
    }
    if suspects := [path for path, record in found.items() if record is _DAMAGED]:
        time.sleep(_SECOND_LOOK)
        found |= {path: _read(path, schema) for path in suspects}
    good = tuple(record for record in found.values() if record is not None and record is not _DAMAGED)
    return Records(good, tuple(path for path, record in found.items() if record is _DAMAGED))


def set_aside(damaged: Iterable[Path]) -> list[str]:
    """Rename damaged files to `NAME.damaged`, so that their work is done again; logs and returns a line for each.

    Raises:
        StoreError: A file cannot be renamed.
    """
    lines = [
        f"{path}: damaged (half written, or changed since): set aside as {aside.name}; its work is done again"
        for path, aside in retired(damaged, "damaged").items()
    ]
    for line in lines:
        logger.warning("%s", line)
    return lines


def retired(records: Iterable[Path], ending: str) -> dict[Path, Path]:
    """The new name of every record that was renamed, so that its work is done again: its own with `.ENDING`.

    Raises:
        StoreError: A file cannot be renamed.
    """
    found = {}
    for path in records:
        aside = path.with_name(f"{path.name}.{ending}")
        try:
            os.replace(path, aside)
        except FileNotFoundError:  # another worker was faster
            continue
        except OSError as error:
            raise StoreError(f"{path}: {ending}, and cannot be set aside ({error.strerror}): delete it and run again") from None
        found[path] = aside
    return found


_DAMAGED: Final = StoredRecord(Path(), b"")


def _read(path: Path, schema: int) -> StoredRecord | None:
    """The record, `_DAMAGED`, or None if there is no such file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from None
    head, tail = _HEAD.match(raw), _TAIL.fullmatch(raw, max(0, len(raw) - _TAIL_BYTES))
    if head is None or tail is None or hashlib.sha256(raw[: tail.start()]).hexdigest().encode() != tail[1]:
        return _DAMAGED
    if int(head[1]) != schema:
        do = "update polyhead" if int(head[1]) > schema else "read it with the polyhead that wrote it, or choose another folder"
        raise StoreError(f"{path}: a record of schema {int(head[1])}; this polyhead reads schema {schema}: {do}")
    return StoredRecord(path, raw)
