"""Transfer of one file over HTTPS, with limits on its size and on how slowly it may come."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Final
from urllib.parse import urljoin, urlsplit

import requests

from polyhead.core.errors import DownloadError
from polyhead.core.progress import Progress
from polyhead.data.textfile import shown

NEXT: Final = "check the network, or name a mirror with --mirror URL"
_LARGEST = 1 << 30  # bytes of a file
_SLOWEST = 1000  # bytes per second on average since the connection was begun, checked after _GRACE seconds
_GRACE = 60.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def download(url: str, output: str, _: object, *, check: Callable[[Path], None] | None, what: str, progress: Progress) -> None:
    """Download `url` to the new file `output`; on a `RequestException` pooch tries again.

    A thread transfers and this one watches: a server that sends a byte now and then never exceeds the time limit of a read.
    """
    lengths: list[int] = []
    errors: list[Exception] = []

    def transfer(file: BinaryIO) -> None:
        headers = {"Accept-Encoding": "identity", "User-Agent": "polyhead"}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=30, hooks={"response": _check_answer}) as answer:
                length = answer.raw.length_remaining  # None also if the header is not a number
                if length is None and check and not answer.raw.chunked:
                    said = "the server gives no file length, so a broken transfer would go unnoticed"
                    raise DownloadError(f"{url}: {said}; {NEXT}")
                lengths.append(length or 0)
                for block in answer.iter_content(1 << 12):
                    file.write(block)  # an error once the file is closed, which ends the thread
        except Exception as error:
            errors.append(error)

    with open(output, "wb", buffering=0) as file:
        began, size, length, is_over = time.monotonic(), 0, 0, False
        thread = Thread(target=transfer, args=(file,), daemon=True)
        thread.start()
        while not is_over:  # once more after its end: a small file may be there before the first look
            thread.join(0.1)
            is_over = not thread.is_alive()
            if lengths:
                length = lengths.pop()
                progress.start(-(-length // 1024), f"{what} (kB)")
            before, size = size, file.tell()
            progress.advance(size // 1024 - before // 1024)
            seconds = time.monotonic() - began
            is_slow = not is_over and seconds > _GRACE and size < _SLOWEST * seconds
            if is_slow or max(size, length) > _LARGEST:
                said = f"less than {_SLOWEST:,} bytes a second" if is_slow else f"more than {_LARGEST:,} bytes"
                raise DownloadError(f"{url}: sends {said}; nothing was kept; {NEXT}")
        if errors:
            raise errors[0]
        os.fsync(file.fileno())
    os.chmod(output, Path(output).parent.stat().st_mode & 0o666)  # pooch's temporary file is for its owner only
    if check:
        check(Path(output))


def _check_answer(answer: requests.Response, *_: object, **__: object) -> None:
    """Refuse a response that cannot be the file, before its body is read or its redirect followed."""
    if answer.is_redirect:
        target = answer.headers["Location"]
        if fault := url_fault(target, answer.url):
            raise DownloadError(f"{answer.url}: redirects to {shown(target)}: {fault}; {NEXT}")
    elif answer.status_code != 200:
        said = f"the server answers {answer.status_code} ({shown(answer.reason or '')})"
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            raise requests.HTTPError(said)
        raise DownloadError(f"{answer.url}: {said}; the file may have moved: {NEXT}")


def url_fault(url: str, base: str = "") -> str:
    """Why this URL is refused; empty if it is allowed."""
    try:
        parts = urlsplit(urljoin(base, url))
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"not a URL ({error})"
    if not host or parts.scheme not in ("http", "https"):
        return "not a URL that begins with https://"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "http is for this machine only (localhost); use https"
    return ""


def reason(error: BaseException) -> str:
    """The root cause of an error, in one line."""
    while (inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text) if str(text).isprintable() else shown(str(text))
