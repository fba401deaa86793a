"""One file over HTTP: whole, checked, and on the disk under its name only then; a transfer that was cut off goes on."""

import fcntl
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyhead.core.errors import DownloadError
from polyhead.core.progress import Progress, Silent

_CHUNK = 1 << 16
_TIMEOUT = 30.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_MEND = "check the network, or name a mirror with --home URL"


@dataclass(frozen=True)
class Patience:
    """How often a transfer that fails on the way is tried again.

    Attributes:
        retries: How many times in a row without a single new byte.
        pause: Seconds before the first of them; each later one waits twice as long.
    """

    retries: int = 4
    pause: float = 1.0


class _Cut(Exception):
    """The transfer failed in a way that may pass."""


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> str:
    """Sha-256 of the file that now lies at `target`.

    Bytes gather in `target` + `.part`, which is kept when the transfer is cut off or the process stopped, and continued by the
    next call if the server still has the same version (its ETag or date is kept in `.part.version`) or the checksum is known.
    The finished file is flushed to the disk before it gets its name.

    Args:
        url: `http:` or `https:`; redirects and the usual proxy variables are followed.
        target: Where it goes; its folder is made.
        sha256: What the bytes must be; None takes what comes.
        patience: How long to try.
        progress: Told of every kilobyte.

    Raises:
        DownloadError: There is no such file, no way to its server, no end to its failures, the bytes are others, or another
            process is fetching it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        return _fetched(url, target, sha256, patience or Patience(), progress or Silent())


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep other processes from writing the same part; a lock dies with the process that holds it."""
    lock = target.with_name(target.name + ".part.lock")
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError(f"{target}: another process is fetching it; wait until that is done") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _fetched(url: str, target: Path, sha256: str | None, patience: Patience, watch: Progress) -> str:
    part = _Part(target.with_name(target.name + ".part"), target.with_name(target.name + ".part.version"), sha256 is not None)
    failures = 0
    continued = part.size() > 0
    try:
        while True:
            before = part.size()
            try:
                _transfer(url, part, target.name, watch)
            except _Cut as cut:
                failures = 1 if part.size() > before else failures + 1
                if failures > patience.retries:
                    raise DownloadError(f"{url}: {cut}, {failures} times in a row; run the same command again to go on") from cut
                time.sleep(patience.pause * 2 ** (failures - 1))
                continue
            found = part.sha256()
            if sha256 is None or found == sha256:
                break
            part.remove()
            if not continued:
                raise DownloadError(f"{url}: sha256 {found[:16]}… is not that of the release, {sha256[:16]}…; nothing was kept")
            continued = False  # what lay there may have been the fault: once more, from the start
    finally:
        watch.stop()
    part.finish(target)
    return found


@dataclass(frozen=True)
class _Part:
    """What has come so far, and of which version of the file it is."""

    path: Path
    version: Path
    is_checked: bool

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str:
        return self.version.read_text(encoding="ascii", errors="replace") if self.version.exists() else ""

    def begin(self, validator: str) -> None:
        self.path.write_bytes(b"")
        self.version.write_text(validator, encoding="ascii", errors="replace")

    def sha256(self) -> str:
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(self.path, target)
        self.version.unlink(missing_ok=True)
        flush_folder(target.parent)


def flush_folder(folder: Path) -> None:
    """Make sure that names given in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _transfer(url: str, part: _Part, name: str, progress: Progress) -> None:
    """Add what is missing to the part, from its end or from the start."""
    have = part.size()
    validator = part.validator()
    if have and not (part.is_checked or validator):
        have = 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "polyhead"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    with _opened(url, headers) as answer:
        if answer.status == 416:  # nothing lies beyond what we have: it is whole, or not of this version
            part.remove()
            raise _Cut("the server has no more than what came before")
        start, total = _extent(answer, have)
        if start is None:
            raise DownloadError(f"{url}: the server answered with another part than was asked for; {_MEND}")
        if not start:
            part.begin(_version(answer))
        progress.start(-(-total // 1024) if total else 0, f"{name} (kB)")
        progress.advance(start // 1024)
        _copy(answer, part.path, lambda size: progress.advance(size // 1024))
    if total and part.size() != total:
        if part.size() > total:
            part.remove()
        raise _Cut(f"{part.size():,} of {total:,} bytes came")


def _version(answer: Any) -> str:
    """What names this version of the file strongly enough to go on from it; empty if nothing does."""
    tag: str = answer.headers.get("ETag") or ""
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified") or ""


def _extent(answer: Any, have: int) -> tuple[int | None, int]:
    """Where the body begins in the file (None if nowhere of use), and the whole file's size, 0 if that is not said."""
    if answer.status != 206:
        return 0, int(answer.headers.get("Content-Length") or 0)
    match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != have:
        return None, 0
    return have, 0 if match[2] == "*" else int(match[2])


def _copy(answer: Any, path: Path, advance: Callable[[int], None]) -> None:
    with path.open("ab") as stream:
        while True:
            try:
                block = answer.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Cut(f"the transfer broke off ({_reason(error)})") from error
            if not block:
                return
            stream.write(block)
            advance(len(block))


def _opened(url: str, headers: dict[str, str]) -> Any:
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error
        error.close()
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Cut(f"the server answers {error.code} ({error.reason})") from error
        raise DownloadError(
            f"{url}: the server answers {error.code} ({error.reason}); the file may have moved: {_MEND}"
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
            raise _Cut(f"the server broke off ({_reason(error.reason)})") from error
        raise DownloadError(f"{url}: no way to the server ({_reason(error.reason)}); {_MEND}") from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _Cut(f"the server broke off ({_reason(error)})") from error
    except ValueError as error:
        raise DownloadError(f"{url}: no address ({error}); expected one that begins with https://") from error


def _reason(error: object) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
