"""A file that a reader sees as it was or as it shall be, never half written."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polyhead.core.errors import CheckpointError, SettingError, StoreError
from polyhead.core.values import jsonable


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Put `content` in place of what the file held, on disk before it has the name, so that a crash leaves the old or the new.

    Parent folders are made. A link stays a link, to the new content; what is no file (a pipe, a device) is written to, not
    replaced.

    Raises:
        StoreError: The file cannot be written.
    """
    path = path.resolve()
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}): choose another folder or free some space"
        ) from None


@contextmanager
def new_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to write into, which becomes `folder` when the block ends and is removed if the block fails.

    Args:
        folder: Where it shall stand; parents are made. It may exist if it is empty.
        overwrite: Replace a folder that holds something; until the new one is complete the old one is left as it is.

    Raises:
        CheckpointError: `folder` is a file, or holds something and `overwrite` is not set, or cannot be written.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder}: is a file; expected a new or empty folder to write into")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise CheckpointError(f"{folder}: is not empty; choose another folder, or pass overwrite to replace it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # beside the target, so that the rename stays within one file system
        workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        fresh, old = workspace / "new", workspace / "old"
        fresh.mkdir()
        yield fresh
        if folder.is_dir():
            folder.rename(old)
        try:
            os.replace(fresh, folder)
        except OSError as error:
            if old.is_dir():
                old.rename(folder)
            raise CheckpointError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left of an unfinished `folder`; for a caller who alone may be writing it."""
    for workspace in folder.expanduser().absolute().parent.glob(f".{folder.name}.????????"):
        shutil.rmtree(workspace, ignore_errors=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes_atomic` writes bytes.

    Raises:
        StoreError: The file cannot be written.
    """
    write_bytes_atomic(path, text.encode())


def write_json_atomic(path: Path, obj: object) -> None:
    """Write indented JSON as `write_text_atomic` does, of what `jsonable` makes of the object.

    Raises:
        StoreError: The object has no JSON form, or the folder cannot be written to.
    """
    try:
        text = json.dumps(jsonable(obj), indent=1, ensure_ascii=False, allow_nan=False)
    except (SettingError, TypeError) as error:
        raise StoreError(f"{path}: {error}") from None
    write_text_atomic(path, text + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        StoreError: The file is missing, cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise StoreError(f"{path}:{error.lineno}: not JSON ({error.msg}): delete the file and run again") from None
    except UnicodeDecodeError as error:
        raise StoreError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}): delete the file and run again"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of too many digits, or nested too deep
        raise StoreError(f"{path}: not JSON that can be read ({error}): delete the file and run again") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from None
