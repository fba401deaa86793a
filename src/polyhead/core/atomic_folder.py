"""A folder that appears complete or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polyhead.core.errors import CheckpointError


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
