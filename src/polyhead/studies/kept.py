"""Ledger of a fine-tuning's folder: the sha256 of every file, so that damaged files are found and made again."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, sha256_of, write_json_atomic

logger = logging.getLogger(__name__)

LEDGER: Final = "kept.json"
MODEL: Final = "model"
_SCHEMA: Final = 1


def remember(folder: Path, *names: str) -> None:
    """Record the hashes of these files, and of all files in these folders.

    A file without a hash counts as half written. A hash stays after its file is deleted: an equal file elsewhere can then
    replace it.
    """
    paths = [path for name in names for path in (folder / name, *(folder / name).rglob("*")) if path.is_file()]
    found = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
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
    for folder in sorted(filter(Path.is_dir, fits.glob("*"))):
        hashes, model = noted(folder), folder / MODEL
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            unfinished = name.startswith("state/") or path.suffix == ".partial"  # checked by the code that continues it
            if unfinished or path.name == LEDGER or not path.is_file():
                continue
            if name in hashes:
                if sha256_of(path) == hashes[name]:
                    continue
                logger.warning("%s: was damaged after it was written (its sha256 differs): that step is repeated", path)
            if path.is_relative_to(model):
                shutil.rmtree(model, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
