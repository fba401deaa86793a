"""A finished run read from its folder: the record and, if there is one, the profile of its heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import StoreError
from polyhead.data.tasks import TASKS
from polyhead.report.heads_form import DIRECTIONS, HeadsRecord
from polyhead.report.packing import weight_bytes
from polyhead.report.record import RANKED, CellRecord, RunRecord, read_document

RESULT, HEADS = "result.json", "heads.json"
_UNFINISHED = "is not finished: run the same command again"


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

    @property
    def first(self) -> CellRecord:
        """The ranked cell of the first seed."""
        return self.record.first

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads of the unpruned encoder."""
        return len(self.first.scores), len(self.first.scores[0])


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
    path = folder / RESULT
    if not path.is_file():
        what = _UNFINISHED if (folder / "fits").is_dir() else "holds no run"
        raise StoreError(
            f"{folder}: {what if folder.is_dir() else 'no such folder'} (expected {RESULT}, which polyhead run writes)"
        )
    record = read_record(path)
    run = FinishedRun(name or folder.resolve().name, folder, record, None)
    heads = folder / HEADS
    if not heads.is_file():
        return run
    profile = read_heads(heads)
    if fault := _profile_fault(profile, run.shape):
        raise StoreError(f"{heads}: not the heads of this run ({fault}); run the same command again to rewrite it")
    if profile.model_hash != record.model_hash:
        raise StoreError(f"{heads}: belongs to another encoder than {path}; run the same command again to rewrite it")
    weights = tuple(tuple(weight_bytes(example.weights) for example in own.examples) for own in profile.languages)
    return FinishedRun(run.name, folder, record, _without_weights(profile), weights)


def read_record(path: Path) -> RunRecord:
    """The record in a `result.json`.

    Raises:
        StoreError: It cannot be read, or is damaged.
    """
    record = read_document(path, RunRecord, "the result of a run")
    if fault := _record_fault(record):
        raise StoreError(f"{path}: not the result of a run ({fault}); run the same command again to rewrite it")
    return record


def read_heads(path: Path) -> HeadsRecord:
    """The profile in a `heads.json`.

    Raises:
        StoreError: It cannot be read, or is damaged.
    """
    return read_document(path, HeadsRecord, "the heads of a run")


def _record_fault(record: RunRecord) -> str | None:
    """The first fault that the form cannot check: unknown task, matrices of different shapes, a missing main metric."""
    task, cells = record.settings.task, record.cells
    if task not in TASKS:
        return f"settings.task is {task!r}; expected one of {', '.join(TASKS)}"
    if not any(cell.arm == RANKED for cell in cells):
        return "no cell of the ranked arm"
    shape = len(cells[0].scores), len(cells[0].scores[0])
    metric = TASKS[task].metric
    for place, cell in enumerate(cells):
        if not _has_shape(cell.scores, shape) or not shape[1]:
            return f"scores of cells.{place} do not have {shape[0]} layers of as many heads as the first"
        for target in cell.targets:
            if metric not in target.unpruned or metric not in target.pruned:
                return f"target {target.name} of cells.{place} has no {metric}"
    return None


def _profile_fault(profile: HeadsRecord, shape: tuple[int, int]) -> str | None:
    """The first fault that the form cannot check: matrices or weights of a wrong shape."""
    for own in profile.languages:
        attention, effects = own.attention, own.effects
        matrices = [*own.scores.values(), effects.difference, effects.low, effects.high, effects.loss_change]
        matrices += attention.shares.values()
        matrices += [getattr(kind, way).shares for kind in attention.relations.values() for way in DIRECTIONS]
        if not all(_has_shape(matrix, shape) for matrix in matrices):
            return f"a matrix of {own.name} does not have {shape[0]} layers of {shape[1]} heads"
        if without := attention.shares.keys() - attention.even.keys():
            return f"{own.name} lacks the uniform attention to {', '.join(sorted(without))}"
        for example in own.examples:
            n = len(example.words)
            heads = [head for layer in example.weights for head in layer]
            if not _has_shape(example.weights, shape) or not all(_has_shape(head, (n, n + 1)) for head in heads):
                return f"the weights of an example of {own.name} are not those of its {n} words"
    return None


def _without_weights(profile: HeadsRecord) -> HeadsRecord:
    return profile.model_copy(
        update={
            "languages": [
                own.model_copy(update={"examples": [one.model_copy(update={"weights": []}) for one in own.examples]})
                for own in profile.languages
            ]
        }
    )


def _has_shape(rows: Sequence[Sequence[object]], shape: tuple[int, int]) -> bool:
    return len(rows) == shape[0] and all(len(row) == shape[1] for row in rows)


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest suffixes of the paths that are all different."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names
