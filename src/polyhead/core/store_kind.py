"""What a shared folder is: a file `store.json` that names its kind and schema, so that no other folder is taken for one."""

import logging
from pathlib import Path
from typing import Final

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic

logger = logging.getLogger(__name__)
_NAME: Final = "store.json"


def check_store(folder: Path, *, kind: str, schema: int) -> None:
    """Return if the folder is a store of this kind that this version can read.

    Args:
        folder: The folder.
        kind: Its kind, for example "polyhead study store".
        schema: The newest schema that this version knows.

    Raises:
        StoreError: It is missing, another folder, of a newer schema, or its `store.json` is damaged.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder}: not a folder; expected a {kind}: check the path")
    path = folder / _NAME
    if not path.is_file():
        raise StoreError(f"{folder}: not a {kind} (it has no {_NAME}): check the path")
    if _is_damaged(path):
        raise StoreError(f"{path}: damaged: run the study in {folder} again, which writes this file anew")
    found = read_json(path)
    if not isinstance(found, dict) or found.get("kind") != kind:
        raise StoreError(f"{path}: not of a {kind}: choose another folder")
    if not isinstance(found.get("schema"), int) or found["schema"] > schema:
        raise StoreError(f"{path}: schema {found.get('schema')!r}; this polyhead knows up to {schema}: update polyhead")


def open_store(folder: Path, *, kind: str, schema: int) -> None:
    """Make the folder a store of this kind, or check that it is one; a damaged `store.json` is written again.

    Several processes may do this at the same time.

    Raises:
        StoreError: It holds other files, or is a store that this version cannot use.
        WriteError: It cannot be written to.
    """
    path = folder / _NAME
    if path.is_file():
        if not _is_damaged(path):
            check_store(folder, kind=kind, schema=schema)
            return
        logger.warning("%s: damaged; written again", path)
    elif folder.exists() and (not folder.is_dir() or any(not child.name.startswith(".") for child in folder.iterdir())):
        if path.is_file():  # another process has just written it
            return
        raise StoreError(f"{folder}: is not a {kind} and not empty: choose a new or empty folder")
    write_json_atomic(path, {"schema": schema, "kind": kind})


def _is_damaged(path: Path) -> bool:
    try:
        read_json(path)
    except StoreError:
        return path.is_file()
    return False
