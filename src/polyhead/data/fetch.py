"""Fetch a corpus by name into the data folder: what is there already is checked and left, what is missing comes from its home."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from polyhead.core.errors import DownloadError, SettingError
from polyhead.core.progress import Progress
from polyhead.data.corpora import corpus
from polyhead.data.download import Patience, fetch
from polyhead.data.download_urls import Archive, Home, Remote, home
from polyhead.data.textfile import find_file, read_lines
from polyhead.data.unpacking import unpack

MIRROR_VARIABLE = "POLYHEAD_DATA_HOME"
Status = Literal["fetched", "there", "not ours", "failed"]


@dataclass(frozen=True)
class Entry:
    """What is known of one fetched file.

    Attributes:
        url: Where it came from; for a file taken out of an archive, the archive's.
        sha256: Of its bytes.
        licence: As its home states it.
    """

    url: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class Got:
    """What became of one file.

    Attributes:
        path: Below the data root.
        status: `fetched`; `there`: it was, with the right bytes; `not ours`: it was, and nothing is known of what it should be;
            `failed`: it could not be had, which the text of a licence alone may be.
        pinned: Whether its checksum (or that of the archive it is from) is part of polyhead, and not of the first download alone.
    """

    path: str
    status: Status
    pinned: bool


def known_home(name: str) -> Home:
    """Where the corpus of that name is published.

    Raises:
        UnknownNameError: There is no corpus of that name.
        DownloadError: No home of it is known, or it is made and needs none.
    """
    if corpus(name).made:
        raise DownloadError(f"corpus {name}: polyhead makes it itself, so nothing is fetched; just name it")
    found = home(name.partition("@")[0])
    if found is None:
        raise DownloadError(f"corpus {name}: no public home of its files is known; put them below the data folder yourself")
    return found


def get_corpus(
    name: str,
    root: Path,
    *,
    mirror: str | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Iterator[Got]:
    """Every file of a corpus, one after the other, each as soon as it is in its place.

    A file that is there is left alone, also where it is compressed; if its checksum is known it is held to it. Checksums of files
    that have none here are taken at the first download and kept in `polyhead-data.json`, to which later ones must agree.

    Args:
        name: A key of `CORPORA`.
        root: The data folder; made if need be.
        mirror: Address that stands in for the scheme and host of every home; else `POLYHEAD_DATA_HOME`, if that is set.
        patience: How long to try (`fetch`).
        progress: Told of every kilobyte.

    Raises:
        UnknownNameError: There is no corpus of that name.
        SettingError: `mirror` is no address.
        DownloadError: No home is known, a file cannot be fetched, or one that is there has other bytes than it should.
    """
    found = known_home(name)
    mirror = _checked_mirror(mirror if mirror is not None else os.environ.get(MIRROR_VARIABLE) or None)
    fetcher = _Fetcher(root, found.licence, mirror, patience, progress)
    for remote in found.files:
        yield fetcher.file(remote)
    if found.archive is not None:
        yield from fetcher.unpacked(found.archive)


@dataclass(frozen=True)
class _Fetcher:
    """What all files of one corpus share."""

    root: Path
    licence: str
    mirror: str | None
    patience: Patience | None
    progress: Progress | None

    def file(self, remote: Remote) -> Got:
        """One file, fetched unless it is there."""
        known = read_ledger(self.root).get(remote.path)
        expected = remote.sha256 or (known.sha256 if known else None)
        status = self.there(remote.path, expected)
        if status is None:
            url = _at(remote.url, self.mirror)
            target = self.root / remote.path
            try:
                sha256 = fetch(url, target, sha256=expected, patience=self.patience, progress=self.progress)
            except DownloadError:
                if not remote.is_licence:
                    raise
                return Got(remote.path, "failed", remote.sha256 is not None)
            self.record({remote.path: Entry(url, sha256, self.licence)})
            status = "fetched"
        return Got(remote.path, status, remote.sha256 is not None)

    def unpacked(self, archive: Archive) -> Iterator[Got]:
        """The splits of one language; the archive is fetched only if one of them is missing, and kept for other languages."""
        entries = read_ledger(self.root)
        pinned = archive.remote.sha256 is not None
        paths = list(archive.targets.values())
        found = [self.there(path, entries[path].sha256 if path in entries else None) for path in paths]
        if all(found):
            yield from (Got(path, status, pinned) for path, status in zip(paths, found, strict=True) if status)
            return
        foreign = [path for path, status in zip(paths, found, strict=True) if status == "not ours"]
        if foreign:
            raise DownloadError(f"{self.root / foreign[0]}: is there, but not all of its splits; move it away to fetch them all")
        yield self.file(archive.remote)
        targets = {split: self.root / path for split, path in archive.targets.items()}
        unpack(archive.kind, self.root / archive.remote.path, archive.member, dict(targets.items()))
        url = _at(archive.remote.url, self.mirror)
        self.record({path: Entry(url, _sha256(self.root / path), self.licence) for path in paths})
        yield from (Got(path, "fetched", pinned) for path in paths)

    def there(self, path: str, expected: str | None) -> Status | None:
        """Whether a file is in its place, held to its checksum if there is one; None if it is not there."""
        found = find_file(self.root / path)
        if found is None:
            return None
        if expected is None:
            return "not ours"
        if _sha256(found, compressed=found.name != Path(path).name) != expected:
            raise DownloadError(
                f"{found}: is not the released file (sha256 {expected[:16]}…); move it away to fetch that, or keep it"
            )
        return "there"

    def record(self, entries: dict[str, Entry]) -> None:
        """Add to the ledger, which is read again: another process may have written it."""
        write_ledger(self.root, read_ledger(self.root) | entries)


def _sha256(path: Path, *, compressed: bool = False) -> str:
    """Of the file's bytes, or of what they decompress to."""
    if compressed:
        digest = hashlib.sha256()
        for _ in read_lines(path, digest=digest):
            pass
        return digest.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checked_mirror(mirror: str | None) -> str | None:
    if mirror is None:
        return None
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingError(f"home {mirror!r}: no address; expected one such as https://mirror.example.org/corpora")
    return mirror.rstrip("/")


def _at(url: str, mirror: str | None) -> str:
    return url if mirror is None else mirror + urlsplit(url).path


LEDGER = "polyhead-data.json"
_SCHEMA = 1


def read_ledger(root: Path) -> dict[str, Entry]:
    """Entries by path below `root`; none where there is no ledger yet.

    Raises:
        DownloadError: The ledger cannot be read.
    """
    path = root / LEDGER
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != _SCHEMA:
            raise ValueError(f"schema {document['schema']}")
        return {name: Entry(**fields) for name, fields in document["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        expected = f'one JSON object with "schema": {_SCHEMA} and "files"; mend it, or move it away to begin anew'
        raise DownloadError(f"{path}: not a record of fetched files ({error}); expected {expected}") from None


def write_ledger(root: Path, entries: Mapping[str, Entry]) -> None:
    """Write all entries, in order of their paths; the old ledger stands until the new one is complete."""
    files = {name: asdict(entries[name]) for name in sorted(entries)}
    text = json.dumps({"schema": _SCHEMA, "files": files}, indent=1, ensure_ascii=False) + "\n"
    path = root / LEDGER
    workspace = path.with_name(f".{LEDGER}.part")
    with workspace.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(workspace, path)
