"""Splits of one language out of a corpus's archive: only the members wanted are read, and no path in the archive is ever used."""

import gzip
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from polyhead.core.errors import DownloadError

Kind = Literal["massive", "wikiann"]
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, ValueError, KeyError, TypeError)
Pairs = Iterator[tuple[str, bytes]]  # split and a line of it


def unpack(kind: Kind, archive: Path, member: str, targets: Mapping[str, Path]) -> None:
    """Write the splits of one language, each atomically and all or none of them from a damaged archive.

    `massive`: rows of `1.1/data/LOCALE.jsonl` go to the split that their `partition` names, as they stand. `wikiann`: the files
    `train`, `dev` and `test` of `CODE.tar.gz`, with the language prefix of every word (`en:`) taken off.

    Args:
        kind: How the archive is laid out.
        archive: The file.
        member: Locale or language code.
        targets: Where each split goes.

    Raises:
        DownloadError: The archive is damaged, or has no such language or split.
    """
    parts = {split: path.with_name(path.name + ".part") for split, path in targets.items()}
    try:
        for path in parts.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        _write(_READERS[kind](archive, member), parts)
        empty = [split for split, path in parts.items() if not path.stat().st_size]
        if empty:
            raise DownloadError(f"{archive}: has no {empty[0]} split of {member}; expected {', '.join(targets)}")
        for split, path in parts.items():
            os.replace(path, targets[split])
    except _DAMAGE as error:
        raise DownloadError(f"{archive}: is damaged ({error}); delete it and fetch it again") from error
    finally:
        for path in parts.values():
            path.unlink(missing_ok=True)


def _write(pairs: Pairs, parts: Mapping[str, Path]) -> None:
    streams = {split: path.open("wb") for split, path in parts.items()}
    try:
        for split, line in pairs:
            if split in streams:
                streams[split].write(line.rstrip(b"\r\n") + b"\n")
        for stream in streams.values():
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        for stream in streams.values():
            stream.close()


def _massive(archive: Path, member: str) -> Pairs:
    with tarfile.open(archive, "r:gz") as tar:
        for info in tar:
            if info.isfile() and PurePosixPath(info.name).name == f"{member}.jsonl":
                for line in _member(tar, info):
                    yield str(json.loads(line)["partition"]), line
                return
    raise DownloadError(f"{archive}: has no {member}.jsonl; is it the archive of MASSIVE?")


def _wikiann(archive: Path, member: str) -> Pairs:
    with zipfile.ZipFile(archive) as outer:
        names = [name for name in outer.namelist() if PurePosixPath(name).name == f"{member}.tar.gz"]
        if not names:
            raise DownloadError(f"{archive}: has no {member}.tar.gz; is it the archive of WikiANN?")
        with outer.open(names[0]) as inner, tarfile.open(fileobj=inner, mode="r|gz") as tar:
            for info in tar:
                if info.isfile():
                    split = PurePosixPath(info.name).name
                    for line in _member(tar, info):
                        prefix, colon, rest = line.partition(b":")
                        yield split, rest if colon else prefix


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(info)
    assert stream is not None  # it is a file
    return stream


_READERS: Mapping[Kind, Callable[[Path, str], Pairs]] = {"massive": _massive, "wikiann": _wikiann}
