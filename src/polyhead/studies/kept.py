"""Ledger of a fine-tuning's folder: the sha256 of every file, so that damaged files are found and made again."""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic

logger = logging.getLogger(__name__)

LEDGER: Final = "kept.json"
MODEL: Final = "model"
_SCHEMA: Final = 1
# Unfinished work; the code that continues it checks it.
_HALF_DONE: Final = ("state", ".partial")


def sha256_of(path: Path) -> str:
    """Hash of a file in hex digits; about two seconds per gigabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remember(folder: Path, *names: str) -> None:
    """Record the hashes of these files, and of all files in these folders.

    A file without a hash counts as half written. A hash stays after its file is deleted: an equal file elsewhere can then
    replace it.
    """
    paths = [path for name in names for path in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))]
    found = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths if path.is_file()}
    write_json_atomic(folder / LEDGER, {"schema": _SCHEMA, "sha256": {**noted(folder), **found}})


def noted(folder: Path) -> Mapping[str, str]:
    """The hashes by file name; empty if there are none, or (with a warning) if the ledger is damaged."""
    path = folder / LEDGER
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
    except StoreError as error:
        logger.warning("%s", error)
        return {}
    hashes = found.get("sha256") if isinstance(found, dict) and found.get("schema") == _SCHEMA else None
    return hashes if isinstance(hashes, dict) else {}


def model_files(folder: Path) -> Mapping[str, str]:
    """Hashes of a folder's weights and config by file name, whether or not the files still exist."""
    files = {name.removeprefix(f"{MODEL}/"): sha for name, sha in noted(folder).items() if name.startswith(f"{MODEL}/")}
    return {name: sha for name, sha in files.items() if name == "config.json" or name.endswith(".safetensors")}


def drop_damaged(fits: Path) -> None:
    """Delete half-written and damaged files in every fine-tuning's folder; damage is logged."""
    for folder in sorted(path for path in fits.glob("*") if path.is_dir()):
        hashes = noted(folder)
        for path in _files(folder):
            name = path.relative_to(folder).as_posix()
            if name not in hashes:
                _drop(folder, path)
            elif path.is_file() and sha256_of(path) != hashes[name]:
                logger.warning("%s: was damaged after it was written (its sha256 differs): that step is repeated", path)
                _drop(folder, path)


def _drop(folder: Path, path: Path) -> None:
    model = folder / MODEL
    if path.is_relative_to(model):
        shutil.rmtree(model, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and path.name != LEDGER and parts[0] != _HALF_DONE[0] and path.suffix != _HALF_DONE[1]:
            yield path
