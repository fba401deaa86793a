"""Fetch a corpus by name into the data folder with pooch: existing files are checked and kept, missing ones downloaded.

A file gets its final name only when it is complete, checked and readable.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import BinaryIO, Literal
from urllib.parse import urljoin, urlsplit

import pooch
import requests

from polyhead.core.errors import DataFormatError, DownloadError, SettingError
from polyhead.core.files import cannot_write, sha256_of
from polyhead.core.progress import Progress, Silent
from polyhead.data.checksums import Entry, add_entries, read_ledger
from polyhead.data.corpora import corpus
from polyhead.data.download_urls import Archive, Kind, Remote, Source, source, split_layouts
from polyhead.data.layouts import read_layout
from polyhead.data.textfile import TextFile, find_file, read_lines, shown

MIRROR_VARIABLE = "POLYHEAD_DATA_MIRROR"
Status = Literal["fetched", "there", "not ours", "failed"]
_RETRIES = 2
_LARGEST = 1 << 30  # bytes of a file
_LARGEST_LANGUAGE = 1 << 26  # unpacked bytes of one language in WikiANN's archive
_SLOWEST = 1000  # bytes per second on average since the connection was begun, checked after _GRACE seconds
_GRACE = 60.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NEXT = "check the network, or name a mirror with --mirror URL"


@dataclass(frozen=True)
class Got:
    """The outcome for one file.

    Attributes:
        path: Below the data root.
        status: `fetched`; `there`: already present, checksum right; `not ours`: already present, checksum unknown; `failed`: not
            fetched (licence texts only).
        pinned: Whether polyhead holds its checksum (or its archive's), so that it does not only come from the first download.
    """

    path: str
    status: Status
    pinned: bool


def known_source(name: str) -> Source:
    """The source of the corpus of that name.

    Raises:
        UnknownNameError: There is no corpus of that name.
        DownloadError: Its source is not known, or it is generated and needs none.
    """
    if corpus(name).made:
        raise DownloadError(f"corpus {name}: polyhead generates it, so there is nothing to fetch; just name it")
    found = source(name.partition("@")[0])
    if found is None:
        raise DownloadError(f"corpus {name}: no public source of its files is known; put them below the data folder yourself")
    return found


def get_corpus(name: str, root: Path, *, mirror: str | None = None, progress: Progress | None = None) -> Iterator[Got]:
    """Fetches every file of a corpus and yields each as soon as it is complete.

    Existing files, compressed or not, are kept; their checksums are verified if known. A checksum not pinned here is recorded in
    `polyhead-data.json` at the first download and must match in later ones.

    Args:
        name: A key of `CORPORA`.
        root: The data folder; made if it is missing.
        mirror: URL that replaces the scheme and host of every source; by default `POLYHEAD_DATA_MIRROR`, if set.
        progress: Updated after every kilobyte.

    Raises:
        UnknownNameError: There is no corpus of that name.
        SettingError: `mirror` is not a URL.
        DownloadError: The source is not known, a file cannot be fetched, or a fetched or existing file is not the expected one.
    """
    found = known_source(name)
    mirror = mirror if mirror is not None else os.environ.get(MIRROR_VARIABLE) or None
    if mirror is not None and (fault := _fault(mirror)):
        raise SettingError(f"mirror {mirror!r}: {fault}; expected a URL such as https://mirror.example.org/corpora")
    fetcher = _Fetcher(name, root, found.licence, mirror, progress or Silent())
    for remote in found.files:
        yield fetcher.file(remote)
    if found.archive is not None:
        yield from fetcher.unpacked(found.archive)


@dataclass(frozen=True)
class _Fetcher:
    """What all files of one corpus share."""

    name: str
    root: Path
    licence: str
    mirror: str | None
    progress: Progress

    def file(self, remote: Remote) -> Got:
        known = read_ledger(self.root).get(remote.path)
        expected = remote.sha256 or (known.sha256 if known else None)
        status = _status(self.root / remote.path, expected)
        if status is None:
            try:
                self._fetch(remote, expected)
                status = "fetched"
            except DownloadError:
                if not remote.is_licence:
                    raise
                status = "failed"
        return Got(remote.path, status, remote.sha256 is not None)

    def unpacked(self, archive: Archive) -> Iterator[Got]:
        """The splits of one language; the archive is fetched only if a split is missing, and kept for other languages."""
        entries = read_ledger(self.root)
        paths = list(archive.targets.values())
        found = [_status(self.root / path, entries[path].sha256 if path in entries else None) for path in paths]
        if None in found:
            if "not ours" in found:
                foreign = self.root / paths[found.index("not ours")]
                raise DownloadError(f"{foreign}: exists, but other splits are missing; move it away to fetch them all")
            yield self.file(archive.remote)
            unpack(archive, self.name, self.root)
            self._record(archive.remote, *paths)
            found = ["fetched"] * len(paths)
        for path, status in zip(paths, found, strict=True):
            yield Got(path, status or "there", archive.remote.sha256 is not None)

    def _at(self, remote: Remote) -> str:
        return remote.url if self.mirror is None else self.mirror.rstrip("/") + urlsplit(remote.url).path

    def _record(self, remote: Remote, *paths: str) -> None:
        url = self._at(remote)
        add_entries(self.root, {path: Entry(url, sha256_of(self.root / path), self.licence) for path in paths})

    def _fetch(self, remote: Remote, sha256: str | None) -> None:
        url, target = self._at(remote), self.root / remote.path
        check = None if sha256 else partial(_check, self.name, remote)
        pooch.get_logger().setLevel("ERROR")
        registry = pooch.Pooch(self.root.absolute(), "", {remote.path: sha256}, {remote.path: url}, retry_if_failed=_RETRIES)
        try:
            registry.fetch(remote.path, downloader=partial(_download, check=check, what=target.name, progress=self.progress))
        except requests.RequestException as error:
            tries = f"{_RETRIES + 1} times in a row; {_NEXT}, or run the same command again later"
            raise DownloadError(f"{url}: {_reason(error)}, {tries}") from error
        except ValueError as error:
            raise DownloadError(f"{url}: is not the released file (sha256 {(sha256 or '')[:16]}…); nothing was kept") from error
        except OSError as error:
            raise DownloadError(str(cannot_write(target, error))) from None
        finally:
            self.progress.stop()
        self._record(remote, remote.path)


def _status(path: Path, expected: str | None) -> Status | None:
    """Status of an existing file, its checksum verified if known; None if there is no file."""
    found = find_file(path)
    if found is None:
        return None
    if not found.is_file():
        raise DownloadError(f"{found}: is a folder; expected a file of the corpus; move it away")
    if expected is None:
        return "not ours"
    digest = hashlib.sha256()
    if found.name != path.name:  # compressed: hash the decompressed bytes
        for _ in read_lines(found, digest=digest):
            pass
    if expected != (sha256_of(found) if found.name == path.name else digest.hexdigest()):
        raise DownloadError(f"{found}: is not the released file (sha256 {expected[:16]}…); move it away, or keep it")
    return "there"


def _check(name: str, remote: Remote, path: Path) -> None:
    """Refuse a file that cannot be read as the one expected at `remote.path`."""
    layouts = split_layouts(name)
    try:
        if remote.path in layouts:
            for _ in read_layout(TextFile(path, corpus(name).language), layouts[remote.path], words="syntactic"):
                pass
            return
    except DataFormatError as error:
        said = str(error).replace(str(path), remote.path)
        raise DownloadError(f"{said}; the download is not this corpus; nothing was kept; {_NEXT}") from None
    with path.open("rb") as file:
        head = file.read(1000).lower().strip()
    is_text = head and b"<html" not in head and b"<!doctype" not in head
    if not (is_text if remote.is_licence else zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        kind = "the text of a licence" if remote.is_licence else "an archive"
        raise DownloadError(f"{remote.url}: the download is not {kind} (a web page?); nothing was kept; {_NEXT}")


def _download(url: str, output: str, _: object, *, check: Callable[[Path], None] | None, what: str, progress: Progress) -> None:
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
                    raise DownloadError(f"{url}: {said}; {_NEXT}")
                lengths.append(length or 0)
                for block in answer.iter_content(1 << 12):
                    file.write(block)  # an error once the file is closed, which ends the thread
        except Exception as error:
            errors.append(error)

    with open(output, "wb", buffering=0) as file:
        began, size, length = time.monotonic(), 0, 0
        thread = Thread(target=transfer, args=(file,), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
            if lengths:
                length = lengths.pop()
                progress.start(-(-length // 1024), f"{what} (kB)")
            before, size = size, file.tell()
            progress.advance(size // 1024 - before // 1024)
            seconds = time.monotonic() - began
            is_slow = thread.is_alive() and seconds > _GRACE and size < _SLOWEST * seconds
            if is_slow or max(size, length) > _LARGEST:
                said = f"less than {_SLOWEST:,} bytes a second" if is_slow else f"more than {_LARGEST:,} bytes"
                raise DownloadError(f"{url}: sends {said}; nothing was kept; {_NEXT}")
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
        if fault := _fault(target, answer.url):
            raise DownloadError(f"{answer.url}: redirects to {shown(target)}: {fault}; {_NEXT}")
    elif answer.status_code != 200:
        said = f"the server answers {answer.status_code} ({shown(answer.reason or '')})"
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            raise requests.HTTPError(said)
        raise DownloadError(f"{answer.url}: {said}; the file may have moved: {_NEXT}")


def _fault(url: str, base: str = "") -> str:
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


def _reason(error: BaseException) -> str:
    """The root cause of an error, in one line."""
    while (inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text) if str(text).isprintable() else shown(str(text))


def unpack(archive: Archive, name: str, root: Path) -> None:
    """Write the splits of one language, all or none; paths in the archive are never used as targets.

    `massive`: each row of `1.1/data/LOCALE.jsonl` goes unchanged to the split named by its `partition`. `wikiann`: the files
    `train`, `dev` and `test` of `CODE.tar.gz`, without the language prefix of every word (`en:`).

    Raises:
        DownloadError: The archive is damaged, has no such language or split, or does not hold the corpus.
    """
    path = root / archive.remote.path
    folder = (root / next(iter(archive.targets.values()))).parent
    parts: dict[str, bytearray] = {split: bytearray() for split in archive.targets}
    try:
        for split, line in _READERS[archive.kind](path, archive.member):
            if split in parts:
                parts[split] += line.rstrip(b"\r\n") + b"\n"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=folder) as workspace:
            for wanted, target in archive.targets.items():
                if not parts[wanted]:
                    raise DownloadError(f"{path}: has no {wanted} split of {archive.member}; expected {', '.join(parts)}")
                (Path(workspace) / wanted).write_bytes(parts[wanted])
                _check(name, Remote(archive.remote.url, target), Path(workspace) / wanted)
            for wanted, target in archive.targets.items():
                os.replace(Path(workspace) / wanted, root / target)
    except DownloadError:
        raise
    except Exception as error:  # zipfile, tarfile, json and the decompressors raise many kinds for damaged content
        if isinstance(error, OSError) and error.errno is not None:
            raise DownloadError(str(cannot_write(folder, error))) from None
        raise DownloadError(f"{path}: is damaged ({_reason(error)}); delete it and fetch it again") from error


def _massive(archive: Path, member: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive, "r:gz") as tar:
        for info in tar:
            if info.isfile() and PurePosixPath(info.name).name == f"{member}.jsonl":
                for line in tar.extractfile(info) or ():
                    yield str(json.loads(line)["partition"]), line
                return
    raise DownloadError(f"{archive}: has no {member}.jsonl; is it the archive of MASSIVE?")


def _wikiann(archive: Path, member: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as outer:
        names = [name for name in outer.namelist() if PurePosixPath(name).name == f"{member}.tar.gz"]
        if not names:
            raise DownloadError(f"{archive}: has no {member}.tar.gz; is it the archive of WikiANN?")
        with outer.open(names[0]) as packed, gzip.open(packed) as stream:
            content = stream.read(_LARGEST_LANGUAGE + 1)
    if len(content) > _LARGEST_LANGUAGE:
        raise ValueError(f"{member}.tar.gz unpacks to more than {_LARGEST_LANGUAGE:,} bytes")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for info in tar:
            for line in (tar.extractfile(info) or ()) if info.isfile() else ():
                prefix, colon, rest = line.partition(b":")
                yield PurePosixPath(info.name).name, rest if colon else prefix


_READERS: Mapping[Kind, Callable[[Path, str], Iterator[tuple[str, bytes]]]] = {"massive": _massive, "wikiann": _wikiann}
