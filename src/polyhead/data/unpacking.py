"""Splits of one language out of the archive of a corpus in many languages."""

import gzip
import io
import json
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from polyhead.core.errors import DownloadError
from polyhead.core.files import cannot_write
from polyhead.data.download_urls import Archive, Kind, Remote
from polyhead.data.transfer import reason

_LARGEST_LANGUAGE = 1 << 26  # unpacked bytes of one language in WikiANN's archive


def unpack(archive: Archive, root: Path, *, check: Callable[[Remote, Path], None]) -> None:
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
                check(Remote(archive.remote.url, target), Path(workspace) / wanted)
            for wanted, target in archive.targets.items():
                os.replace(Path(workspace) / wanted, root / target)
    except DownloadError:
        raise
    except Exception as error:  # zipfile, tarfile, json and the decompressors raise many kinds for damaged content
        if isinstance(error, OSError) and error.errno is not None:
            raise DownloadError(str(cannot_write(folder, error))) from None
        raise DownloadError(f"{path}: is damaged ({reason(error)}); delete it and fetch it again") from error


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
