"""Fetch a corpus by name into the data folder with pooch: existing files are checked and kept, missing ones downloaded.

A file gets its final name only when it is complete, checked and readable.
"""

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pooch
import requests

from polyhead.core.errors import DataFormatError, DownloadError, SettingError
from polyhead.core.files import cannot_write, sha256_of
from polyhead.core.progress import Progress, Silent
from polyhead.data.checksums import Entry, add_entries, read_ledger
from polyhead.data.corpora import corpus
from polyhead.data.download_urls import Archive, Remote, Source, source, split_layouts
from polyhead.data.layouts import read_layout
from polyhead.data.textfile import TextFile, find_file, read_lines
from polyhead.data.transfer import NEXT, download, reason, url_fault
from polyhead.data.unpacking import unpack

MIRROR_VARIABLE = "POLYHEAD_DATA_MIRROR"
Status = Literal["fetched", "there", "not ours", "failed"]
_RETRIES = 2


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
    if mirror is not None and (fault := url_fault(mirror)):
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
            unpack(archive, self.root, check=partial(_check, self.name))
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
            registry.fetch(remote.path, downloader=partial(download, check=check, what=target.name, progress=self.progress))
        except requests.RequestException as error:
            tries = f"{_RETRIES + 1} times in a row; {NEXT}, or run the same command again later"
            raise DownloadError(f"{url}: {reason(error)}, {tries}") from error
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
        raise DownloadError(f"{said}; the download is not this corpus; nothing was kept; {NEXT}") from None
    with path.open("rb") as file:
        head = file.read(1000).lower().strip()
    is_text = head and b"<html" not in head and b"<!doctype" not in head
    if not (is_text if remote.is_licence else zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        kind = "the text of a licence" if remote.is_licence else "an archive"
        raise DownloadError(f"{remote.url}: the download is not {kind} (a web page?); nothing was kept; {NEXT}")
