"""`polyhead-data.json` beside the data: which files were fetched from where, under which licence, and what they then were."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from polyhead.core.errors import DownloadError

LEDGER = "polyhead-data.json"
_SCHEMA = 1


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
