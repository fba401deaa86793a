"""A finished run read back from its folder: the record, and the profile of its heads where there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyhead.errors import StoreError
from polyhead.report.reading import RANKED, Record
from polyhead.store import read_json
from polyhead.tasks import TASKS

RESULT, HEADS = "result.json", "heads.json"
_SCHEMA = 1
_TARGET_KEYS = {"name", "language", "n_words"}
_CELL_KEYS = {"seed", "scores", "trials", "chosen", "targets", "ranking"}
_PROFILE_KEYS = {"name", "language", "split", "n_sentences", "n_words", "scores", "effects", "attention", "examples"}


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One run as its folder holds it.

    Attributes:
        name: What the page calls it.
        folder: Where it lies.
        record: The content of `result.json`.
        heads: The content of `heads.json`; None where the run has none.
    """

    name: str
    folder: Path
    record: Record
    heads: Mapping[str, Any] | None

    @property
    def first(self) -> Mapping[str, Any]:
        """The ranked cell of the first seed."""
        found: Mapping[str, Any] = next(cell for cell in self.record["cells"] if cell.get("arm", RANKED) == RANKED)
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads of the unpruned encoder."""
        return len(self.first["scores"]), len(self.first["scores"][0])


def finished_runs(paths: Sequence[Path]) -> list[FinishedRun]:
    """The runs in the order given; each is named by its folder, and by as much of the path as tells it from the others.

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
        StoreError: There is none, it is not finished, or a file of it is damaged.
    """
    path = folder / RESULT
    if not path.is_file():
        what = "is not finished: run the same command again" if (folder / "fits").is_dir() else "holds no run"
        raise StoreError(
            f"{folder}: {what if folder.is_dir() else 'no such folder'} (expected {RESULT}, which polyhead run writes)"
        )
    record = read_json(path)
    if fault := _fault(record):
        raise StoreError(f"{path}: not the result of a run ({fault}); make it again with polyhead run")
    run = FinishedRun(name or folder.resolve().name, folder, record, None)
    heads = folder / HEADS
    if not heads.is_file():
        return run
    profile = read_json(heads)
    if fault := _profile_fault(profile, run.shape):
        raise StoreError(f"{heads}: not the heads of this run ({fault}); delete it and run the same command again")
    if profile.get("model_hash") != record.get("model_hash"):
        raise StoreError(f"{heads}: is of another encoder than {path}; delete it and run the same command again")
    return FinishedRun(run.name, folder, record, profile)


def _fault(record: object) -> str | None:
    """What keeps a JSON value from being a record that can be shown; None if nothing does."""
    if not isinstance(record, Mapping):
        return "expected a JSON object"
    if record.get("schema") != _SCHEMA:
        return f"schema {record.get('schema')!r}; this version reads {_SCHEMA}"
    settings = record.get("settings")
    if not isinstance(settings, Mapping) or settings.get("task") not in TASKS:
        return f"settings.task is not one of {', '.join(TASKS)}"
    if not isinstance(settings.get("sources"), list):
        return "settings.sources is not a list"
    cells = record.get("cells")
    if not isinstance(cells, list) or not cells:
        return "cells is not a list of at least one"
    if fault := next((found for cell in cells if (found := _cell_fault(cell, TASKS[settings["task"]].metric))), None):
        return fault
    if not any(cell.get("arm", RANKED) == RANKED for cell in cells):
        return "no cell is of the ranked arm"
    return None


def _cell_fault(cell: object, metric: str) -> str | None:
    if not isinstance(cell, Mapping) or _CELL_KEYS - cell.keys():
        return f"a cell lacks {', '.join(sorted(_CELL_KEYS - cell.keys())) if isinstance(cell, Mapping) else 'everything'}"
    scores = cell["scores"]
    if not _is_matrix(scores, (len(scores), len(scores[0])) if isinstance(scores, list) and scores and scores[0] else (1, 1)):
        return "scores of a cell are not a matrix of numbers"
    trials, targets = cell["trials"], cell["targets"]
    if not isinstance(trials, list) or any(not isinstance(t, Mapping) or {"k", "heads", "dev"} - t.keys() for t in trials):
        return "a trial lacks k, heads or dev"
    if not isinstance(targets, list) or not targets:
        return "a cell has no targets"
    for target in targets:
        if not isinstance(target, Mapping) or _TARGET_KEYS - target.keys():
            return "a target lacks name, language or n_words"
        for state in ("unpruned", "pruned"):
            values = target.get(state)
            if values is not None and (not isinstance(values, Mapping) or not _is_number(values.get(metric))):
                return f"target {target['name']} has no {metric}"
    return None


def _profile_fault(profile: object, shape: tuple[int, int]) -> str | None:
    if not isinstance(profile, Mapping) or profile.get("schema") != _SCHEMA:
        return f"expected a JSON object of schema {_SCHEMA}"
    languages = profile.get("languages")
    if not isinstance(languages, list) or not isinstance(profile.get("left_out"), list):
        return "languages and left_out are not lists"
    for own in languages:
        if not isinstance(own, Mapping) or _PROFILE_KEYS - own.keys():
            return "a language lacks some of its entries"
        attention, effects = own["attention"], own["effects"]
        matrices = [*own["scores"].values(), *(effects[key] for key in ("difference", "low", "high") if key in effects)]
        matrices += list(attention["shares"].values())
        matrices += [
            relation[way]["shares"] for relation in attention["relations"].values() for way in ("to_head", "to_dependent")
        ]
        if not all(_is_matrix(matrix, shape) for matrix in matrices):
            return f"a matrix of {own['name']} does not have {shape[0]} layers of {shape[1]} heads"
    return None


def _is_matrix(value: object, shape: tuple[int, int]) -> bool:
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(
            isinstance(row, list) and len(row) == shape[1] and all(item is None or _is_number(item) for item in row)
            for row in value
        )
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that are all different."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names
