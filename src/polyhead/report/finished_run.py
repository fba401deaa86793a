"""A finished run read back from its folder: the record, and the profile of its heads where there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyhead.errors import StoreError
from polyhead.report.reading import RANKED, Record
from polyhead.report.run_schema import heads_fault, record_fault
from polyhead.store import read_json
from polyhead.tasks import TASKS

RESULT, HEADS = "result.json", "heads.json"


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


def _fault(record: Any) -> str | None:
    """What keeps a JSON value from being a record that can be shown; None if nothing does."""
    if fault := record_fault(record):
        return fault
    if not any(cell.get("arm", RANKED) == RANKED for cell in record["cells"]):
        return "no cell is of the ranked arm"
    metric, shape = TASKS[record["settings"]["task"]].metric, None
    for cell in record["cells"]:
        shape = shape or (len(cell["scores"]), len(cell["scores"][0]))
        if not _is_matrix(cell["scores"], shape):
            return f"scores of seed {cell['seed']}: not {shape[0]} layers of {shape[1]} heads"
        for target in cell["targets"]:
            if any(values and values.get(metric) is None for values in (target.get("unpruned"), target.get("pruned"))):
                return f"target {target['name']}: has no {metric}"
    return None


def _profile_fault(profile: Any, shape: tuple[int, int]) -> str | None:
    """The same for a profile of heads of this shape."""
    if fault := heads_fault(profile):
        return fault
    for own in profile["languages"]:
        attention, effects = own["attention"], own["effects"]
        ways = [relation[way] for relation in attention["relations"].values() for way in ("to_head", "to_dependent")]
        matrices = [*own["scores"].values(), *(effects[key] for key in ("difference", "low", "high"))]
        matrices += [*attention["shares"].values(), *(way["shares"] for way in ways)]
        if not all(_is_matrix(matrix, shape) for matrix in matrices):
            return f"a matrix of {own['name']}: not {shape[0]} layers of {shape[1]} heads"
        if attention["shares"].keys() != attention["even"].keys():
            return f"attention of {own['name']}: shares and even are of different kinds"
        for example in own["examples"]:
            n = len(example["words"])
            rows = [row for layer in example["weights"] for row in layer]
            if not _is_matrix(example["weights"], shape) or not all(_is_matrix(row, (n, n + 1)) for row in rows):
                return f"an example of {own['name']}: weights are not those of its {n} words"
    return None


def _is_matrix(value: Sequence[Sequence[object]], shape: tuple[int, int]) -> bool:
    return len(value) == shape[0] and all(len(row) == shape[1] for row in value)


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that are all different."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names
