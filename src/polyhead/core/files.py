"""A file that a reader sees as it was or as it shall be, never half written."""

import contextlib
import os
import tempfile
from pathlib import Path

from polyhead.core.errors import StoreError


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
