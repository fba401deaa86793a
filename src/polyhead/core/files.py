"""Atomic writes for all of polyhead: a reader sees a file before or after the change, never half written."""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from polyhead.core.errors import CheckpointError, SettingError, StoreError, WriteError
from polyhead.core.values import jsonable

_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
# Errors of the disk, a quota, a limit or a permission while a block writes; any other OSError is not about writing.
_CANNOT_WRITE = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
)


@contextmanager
def replacing(path: Path, *, n_bytes: int | None = None) -> Iterator[Path]:
    """A temporary file beside `path` to write into; at the end of the block it is synced to disk and replaces `path`.

    If the block fails, `path` stays unchanged and no other file is left. Missing parent folders are made. A link stays a link.
    An existing file keeps its mode; a new one gets its mode from the umask.

    Args:
        path: The file; it may be missing.
        n_bytes: Size of the content, for the message if the disk is full.

    Raises:
        WriteError: The file cannot be written, for example because the disk is full.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if path.exists():
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error, n_bytes=n_bytes) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Replace the content of a file, as `replacing` does; a pipe or a device is written to, not replaced.

    Raises:
        WriteError: The file cannot be written.
    """
    if path.exists() and not path.is_file():
        try:
            path.write_bytes(content)
        except OSError as error:
            raise cannot_write(path, error) from None
        return
    with replacing(path, n_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def cannot_write(path: Path, error: OSError | SafetensorError, *, n_bytes: int | None = None) -> WriteError:
    """The error for a failed write: where, why and what to do; on a full disk also how much is needed and free."""
    # safetensors reports the system's error only in its text
    code = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) else int(code[1]) if code else None
    why, do = str(error) if number is None else os.strerror(number), "choose another folder"
    if number in (errno.ENOSPC, errno.EDQUOT):
        needed = "" if n_bytes is None else f"{_size(n_bytes)} needed, "
        why, do = f"{why}: {needed}{_size(_free(path))} free", "free some space or choose another folder"
    elif number == errno.EFBIG:
        why += "" if n_bytes is None else f": {_size(n_bytes)} needed"
        do = "raise the limit on file sizes (ulimit -f) or choose another folder"
    return WriteError(f"{path}: cannot be written ({why}); {do}")


def require_space(path: Path, n_bytes: int, what: str) -> None:
    """Check before long work that its result will fit on the disk.

    Args:
        path: The file to be written; it and its parents may be missing.
        n_bytes: Its size.
        what: What it is, for the message.

    Raises:
        StoreError: Less space is free.
    """
    if (free := _free(path)) < n_bytes:
        raise StoreError(
            f"{path}: {what} takes {_size(n_bytes)}, and only {_size(free)} are free there; free some space or choose another "
            "folder"
        )


def _free(path: Path) -> int:
    return shutil.disk_usage(next(parent for parent in path.absolute().parents if parent.is_dir())).free


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"


@contextmanager
def new_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to write into; it becomes `folder` when the block ends and is removed if the block fails.

    Args:
        folder: The final path; parents are made. It may exist if it is empty.
        overwrite: Replace a folder that is not empty, once the new one is complete.

    Raises:
        CheckpointError: `folder` is a file, or is not empty and `overwrite` is not set.
        WriteError: It cannot be written.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder}: is a file; expected a new or empty folder to write into")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise CheckpointError(f"{folder}: is not empty; choose another folder, or pass overwrite to replace it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # beside the target, so that the rename stays within one file system
        workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        fresh, old = workspace / "new", workspace / "old"
        fresh.mkdir()
        yield fresh
        if folder.is_dir():
            folder.rename(old)
        try:
            os.replace(fresh, folder)
        except OSError:
            if old.is_dir():
                old.rename(folder)
            raise
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno not in _CANNOT_WRITE:
            raise
        raise cannot_write(folder, error) from None
    finally:
        _close(workspace, folder)


def _close(workspace: Path, folder: Path) -> None:
    """Delete the workspace of `new_folder`; if it holds the only copies of `folder`, put one back first."""
    fresh, old = workspace / "new", workspace / "old"
    if old.is_dir() and not folder.exists():  # the old one is moved away only when the new one is complete
        with contextlib.suppress(OSError):
            os.replace(fresh if fresh.is_dir() else old, folder)
        if not folder.exists():
            return  # nothing is deleted that has no copy
    shutil.rmtree(workspace, ignore_errors=True)


def remove_leftovers(target: Path) -> None:
    """Delete unfinished files that killed processes left for `target` and below it; only for the one writer of `target`.

    A folder that was being replaced stays: a process killed between moving the old one away and the new one in left both.
    """
    target = target.expanduser().absolute()
    for left in (*target.parent.glob(f".{escape(target.name)}.*.tmp"), *target.rglob(".*.tmp")):
        if not _UNFINISHED.fullmatch(left.name):
            continue
        if left.is_dir() and not left.is_symlink():
            _close(left, left.with_name(left.name[1:].rsplit(".", 2)[0]))
        else:
            with contextlib.suppress(OSError):
                left.unlink()


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes_atomic` writes bytes.

    Raises:
        WriteError: The file cannot be written.
    """
    write_bytes_atomic(path, text.encode())


def write_json_atomic(path: Path, obj: object) -> None:
    """Write `jsonable(obj)` as indented JSON, as `write_text_atomic` does.

    Raises:
        StoreError: The object has no JSON form.
        WriteError: The file cannot be written.
    """
    write_text_atomic(path, json_text(path, obj))


def json_text(path: Path, obj: object) -> str:
    """`jsonable(obj)` as indented JSON, for the file at `path`.

    Raises:
        StoreError: The object has no JSON form.
    """
    try:
        return json.dumps(jsonable(obj), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (SettingError, TypeError) as error:
        raise StoreError(f"{path}: {error}") from None


def sha256_of(path: Path) -> str:
    """Hash of a file in hex digits; about two seconds per gigabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        StoreError: The file is missing, cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:  # also not UTF-8, a number with too many digits, or nested too deeply
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise StoreError(f"{path}{line}: not JSON ({error}): delete the file and run again") from None
