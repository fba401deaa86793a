"""SHA-256 of uncompressed corpus files, by path below the data root: pinned in checksums.txt, or recorded at first download."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from filelock import FileLock

from polyhead.core.errors import DownloadError, StoreError
from polyhead.core.files import write_text_atomic

LEDGER = "polyhead-data.json"
_SCHEMA = 1
# In the format of sha256sum, so that `sha256sum -c` checks a data folder.
_LINES = files("polyhead.data").joinpath("checksums.txt").read_text(encoding="utf-8").splitlines()
PINNED: Final[dict[str, str]] = {path: sha256 for sha256, path in map(str.split, _LINES)}


@dataclass(frozen=True)
class Entry:
    """The ledger's entry for one fetched file.

    Attributes:
        url: Its URL; for a file from an archive, the archive's.
        sha256: Hash of its bytes.
        licence: As its source states it.
    """

    url: str
    sha256: str
    licence: str


def read_ledger(root: Path) -> dict[str, Entry]:
    """Entries by path below `root`; empty if there is no ledger yet.

    Raises:
        DownloadError: The ledger cannot be read.
    """
    path = root / LEDGER
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != _SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        entries = {name: Entry(**fields) for name, fields in document["files"].items()}
        if not all(type(value) is str for entry in entries.values() for value in asdict(entry).values()):
            raise ValueError("a value that is not a string")
        return entries
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        expected = f'one JSON object with "schema": {_SCHEMA} and "files"; repair it, or move it away to start again'
        raise DownloadError(f"{path}: not a record of fetched files ({error}); expected {expected}") from None


def add_entries(root: Path, entries: Mapping[str, Entry]) -> None:
    """Read, extend and replace the ledger, under a lock.

    Raises:
        DownloadError: The ledger cannot be read or written, or another process recorded another hash of the same file.
    """
    try:
        with FileLock(root / f".{LEDGER}.lock"):
            found = read_ledger(root)
            for path, entry in entries.items():
                if path in found and found[path].sha256 != entry.sha256:
                    raise DownloadError(f"{root / path}: another process fetched other bytes; move it away and fetch it again")
            files = {path: asdict(entry) for path, entry in sorted((found | dict(entries)).items())}
            text = json.dumps({"schema": _SCHEMA, "files": files}, indent=1, ensure_ascii=False) + "\n"
            write_text_atomic(root / LEDGER, text)
    except (OSError, StoreError) as error:
        raise DownloadError(f"{root / LEDGER}: cannot be written ({error})") from error
