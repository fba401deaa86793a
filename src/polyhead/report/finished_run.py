"""A finished run read from its folder: the record and, if there is one, the profile of its heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import StoreError
from polyhead.report.document import read_document
from polyhead.report.heads_form import HeadsRecord
from polyhead.report.packing import weight_bytes
from polyhead.report.record import RunRecord

RESULT, HEADS = "result.json", "heads.json"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One finished run.

    Attributes:
        name: Its name on the page.
        folder: Its folder.
        record: The content of `result.json`.
        heads: The content of `heads.json` without the weights of its examples; None if the run has none.
        weights: Attention weights by language and example, `[layers, heads, words, words + 1]`, as bytes 0..255 to save memory.
    """

    name: str
    folder: Path
    record: RunRecord
    heads: HeadsRecord | None
    weights: tuple[tuple[NDArray[np.uint8], ...], ...] = ()


def finished_runs(paths: Sequence[Path]) -> list[FinishedRun]:
    """The runs in the given order; each is named by its folder, with as much of the path as makes the name unique.

    Args:
        paths: Folders that `polyhead run` wrote, or the `result.json` in them.

    Raises:
        StoreError: One is not a finished run, is damaged, or is named twice.
    """
    folders = [path.parent if path.name == RESULT and not path.is_dir() else path for path in paths]
    for place, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:place]]:
            raise StoreError(f"{paths[place]}: this run is given twice; name each once")
    return [finished_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]


def finished_run(folder: Path, name: str = "") -> FinishedRun:
    """The run in a folder.

    Raises:
        StoreError: The folder has no run, the run is not finished, or a file is damaged.
    """
    path, heads, name = folder / RESULT, folder / HEADS, name or folder.resolve().name
    if not path.is_file():
        if (folder / "fits").is_dir():
            raise StoreError(f"{folder}: is not finished: run the same polyhead run command again")
        what = "holds no run" if folder.is_dir() else "no such folder"
        raise StoreError(f"{folder}: {what} (expected {RESULT}, which polyhead run writes)")
    record = read_document(path, RunRecord)
    if not heads.is_file():
        return FinishedRun(name, folder, record, None)
    profile = read_document(heads, HeadsRecord)
    if (profile.model_hash, profile.shape) != (record.model_hash, record.shape):
        raise StoreError(f"{heads}: belongs to another encoder than {path}; run the same polyhead run command again")
    weights = tuple(tuple(weight_bytes(example.weights) for example in own.examples) for own in profile.languages)
    languages = [
        own.model_copy(update={"examples": [one.model_copy(update={"weights": []}) for one in own.examples]})
        for own in profile.languages
    ]
    return FinishedRun(name, folder, record, profile.model_copy(update={"languages": languages}), weights)


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest suffixes of the paths that are all different."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names
