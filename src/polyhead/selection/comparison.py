"""The files that `polyhead compare` is given, and the groups of replicate runs that they form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.selection.head_files import read_scores

By = Literal["method", "language", "file"]


@dataclass(frozen=True)
class Run:
    """A file and the scores in it."""

    path: Path
    scores: HeadScores

    @property
    def method(self) -> str | None:
        """The way of scoring and of combining, None where the file does not say it."""
        return None if self.scores.method == "unknown" else self.scores.title

    @property
    def language(self) -> str | None:
        """The languages joined, None where the file does not say them (`und` is BCP-47 for undetermined)."""
        return "+".join(self.scores.languages) if self.scores.languages and "und" not in self.scores.languages else None


def read_runs(files: Sequence[Path]) -> list[Run]:
    """The scores in each file, all of one shape.

    Raises:
        DataFormatError: A file cannot be read.
        SettingError: A file is named twice, or the shapes differ.
    """
    twice = [path for path, count in Counter(path.resolve() for path in files).items() if count > 1]
    if twice:
        raise SettingError(f"{twice[0]}: is named more than once; a file agrees with itself")
    runs = [Run(path, read_scores(path)) for path in files]
    first = runs[0]
    for run in runs:
        if run.scores.values.shape != first.scores.values.shape:
            raise SettingError(
                f"{run.path}: {run.scores.n_layers} layers x {run.scores.n_heads} heads, but {first.path} has "
                f"{first.scores.n_layers} x {first.scores.n_heads}; only models of one shape can be compared"
            )
    return runs


def doubts(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """What speaks against taking a group's runs for replicates, which differ by seed or fine-tuning alone; a line each."""
    said = []
    for name, members in groups.items():
        first = members[0]
        facts = [_facts(run) for run in members]
        for key in dict.fromkeys(key for held in facts for key in held):
            values = list(dict.fromkeys(str(held[key]) for held in facts if held.get(key) not in (None, "", 0)))
            if len(values) > 1:
                shown = ", ".join(value[:20] for value in values[:4])
                said.append(f"note: runs of {name} differ in {key} ({shown}), so they are not replicates of one measurement")
        same = next((run for run in members[1:] if np.array_equal(run.scores.values, first.scores.values, equal_nan=True)), None)
        if same is not None:
            said.append(f"note: {same.path} holds the very scores of {first.path}, so their agreement says nothing")
    return said


def _facts(run: Run) -> dict[str, object]:
    """What replicates have in common."""
    settings = {key: value for key, value in run.scores.settings.items() if key != "seed"}
    return {"text (sha256)": run.scores.data_hash, "number of sentences or batches": run.scores.n, **settings}


def grouped(runs: Sequence[Run], by: By | None) -> dict[str, list[Run]]:
    """Runs by the name of their group; a file that lacks what groups are made by stands alone under its stem.

    Names say what differs: the method, the language, or both; where two would be equal, the path.
    """
    keys: list[tuple[str | None, ...]] = []
    for run in runs:
        said: dict[By | None, tuple[str | None, ...]] = {
            None: (run.method, run.language),
            "method": (run.method,),
            "language": (run.language,),
            "file": (None,),
        }
        keys.append(said[by])
    known = [key for key in keys if None not in key]
    differing = [place for place in range(len(keys[0])) if len({key[place] for key in known}) > 1] or [*range(len(keys[0]))]
    names = [
        run.path.stem if None in key else " ".join(str(key[place]) for place in differing)
        for run, key in zip(runs, keys, strict=True)
    ]
    taken = Counter(names)
    groups: dict[str, list[Run]] = {}
    for run, key, name in zip(runs, keys, names, strict=True):
        groups.setdefault(str(run.path) if None in key and taken[name] > 1 else name, []).append(run)
    return groups
