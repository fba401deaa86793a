"""A file that is written once: of several processes that write it, exactly one succeeds."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from polyhead.core.files import cannot_write

# What systems answer that have no hard links, or none between these two folders.
_NO_LINKS = frozenset((errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.EACCES))


def write_exclusively(path: Path, content: bytes, *, temporary: Path) -> bool:
    """Write a file that must not exist yet; it appears whole, and no other process can write it too.

    Args:
        path: The file; missing parent folders are made.
        content: Its content.
        temporary: Where to write it first: a path on the same disk that no other process uses; removed afterwards.

    Returns:
        Whether this call wrote it; False if it was there, and then nothing has changed.

    Raises:
        WriteError: It cannot be written, for example because the disk is full; then it does not exist.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, content, os.O_TRUNC)
        try:
            os.link(temporary, path)
        except FileExistsError:
            # A network file system may repeat a call whose answer was lost: then the file that is there is this one.
            return path.exists() and os.path.samefile(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _created(path, content)
        return True
    except OSError as error:
        raise cannot_write(path, error, n_bytes=len(content)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _created(path: Path, content: bytes) -> bool:
    try:
        _write(path, content, os.O_EXCL)
    except FileExistsError:
        return False
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
    return True


def _write(path: Path, content: bytes, flag: int) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | flag, 0o666), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
