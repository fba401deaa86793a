"""Ledger of a fine-tuning's folder: the sha256 of every file, twice, so that damaged files are found and made again."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.files import read_json, sha256_of, write_json_atomic
from polyhead.core.store import MODEL, RECORD
from polyhead.core.values import fingerprint

logger = logging.getLogger(__name__)

LEDGER: Final = "kept.json"
COPY: Final = "kept.copy.json"
_SCHEMA: Final = 1


def remember(folder: Path, *names: str) -> None:
    """Record the hashes of these files, and of all files in these folders.

    A file without a hash counts as half written. A hash stays after its file is deleted: an equal file elsewhere can then
    replace it.
    """
    paths = [path for name in names for path in (folder / name, *(folder / name).rglob("*")) if path.is_file()]
    found = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
    _write(folder, {**noted(folder), **found})


def _write(folder: Path, hashes: Mapping[str, str]) -> None:
    for name in (LEDGER, COPY):
        write_json_atomic(folder / name, {"schema": _SCHEMA, "sha256": hashes, "fingerprint": fingerprint(hashes)})


def noted(folder: Path) -> Mapping[str, str]:
    """The hashes by file name, from the ledger or, where that is damaged, from its copy; empty if there is neither."""
    return next((hashes for name in (LEDGER, COPY) if (hashes := _read(folder / name)) is not None), {})


def _read(path: Path) -> dict[str, str] | None:
    """The hashes in a ledger; None if it is missing or damaged."""
    try:
        found = read_json(path)
        hashes = found.get("sha256") if isinstance(found, dict) and found.get("schema") == _SCHEMA else None
        whole = isinstance(hashes, dict) and found.get("fingerprint") == fingerprint(hashes)
    except (StoreError, SettingError):
        return None
    return hashes if whole else None


def model_files(folder: Path) -> Mapping[str, str]:
    """Hashes of a folder's weights and config by file name, whether or not the files still exist."""
    files = {name.removeprefix(f"{MODEL}/"): sha for name, sha in noted(folder).items() if name.startswith(f"{MODEL}/")}
    return {name: sha for name, sha in files.items() if name == "config.json" or name.endswith(".safetensors")}


def drop_damaged(fits: Path) -> None:
    """Delete half-written and damaged files in every fine-tuning's folder; damage is logged."""
    for folder in sorted(filter(Path.is_dir, fits.glob("*"))):
        drop_damaged_in(folder)


def drop_damaged_in(folder: Path) -> None:
    """Delete half-written and damaged files in a fine-tuning's folder; damage is logged. A missing folder has none."""
    if not folder.is_dir():
        return
    hashes, model = _repaired(folder), folder / MODEL
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not _is_ledgered(path, name):
            continue
        if name in hashes:
            if sha256_of(path) == hashes[name]:
                continue
            logger.warning("%s: was damaged after it was written (its sha256 differs): that step is repeated", path)
        if path.is_relative_to(model):
            shutil.rmtree(model, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_whole(folder: Path) -> bool:
    """Whether every file beside the weights is as it was written; writes nothing, and may be asked while others work there."""
    hashes = noted(folder)
    for path in folder.iterdir():
        if path.name in hashes and path.is_file() and sha256_of(path) != hashes[path.name]:
            return False
    return RECORD in hashes or not (folder / RECORD).is_file()


def _is_ledgered(path: Path, name: str) -> bool:
    """Whether a file should have its hash in the ledger; unfinished work is checked by the code that continues it."""
    unfinished = name.startswith("state/") or path.suffix == ".partial"
    return path.is_file() and not unfinished and path.name not in (LEDGER, COPY)


def _repaired(folder: Path) -> Mapping[str, str]:
    """The hashes of a folder, whose ledger and copy are made equal again; where both are lost, a line says what that costs."""
    ledger, copy = _read(folder / LEDGER), _read(folder / COPY)
    if ledger is not None and ledger == copy:
        return ledger
    hashes = noted(folder)
    if ledger is not None or copy is not None:
        _write(folder, hashes)
    elif any((folder / name).is_file() for name in (LEDGER, COPY, RECORD)):
        logger.warning(
            "%s: damaged or missing, and so is %s: this fine-tuning cannot be checked, so its weights, scores and figures are "
            "discarded and computed again",
            folder / LEDGER,
            COPY,
        )
        for name in (LEDGER, COPY):
            (folder / name).unlink(missing_ok=True)
    return hashes
