"""The score files given to `polyhead compare`, and the groups of replicate runs that they form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores, Normalisation, normalise
from polyhead.core.progress import Progress
from polyhead.core.values import jsonable
from polyhead.selection.agreement import agreement_table
from polyhead.selection.combining import Combination, combine, leave_one_out
from polyhead.selection.score_files import read_each
from polyhead.selection.sharing import EndSharing, head_sharing

By = Literal["method", "language", "file"]


@dataclass(frozen=True)
class Run:
    """A score file and its scores."""

    path: Path
    scores: HeadScores

    @property
    def method(self) -> str | None:
        """The method and combination; None if the file does not state it."""
        return None if self.scores.method == "unknown" else self.scores.title

    @property
    def language(self) -> str | None:
        """The languages joined by `+`; None if the file does not state them (`und` is BCP-47 for undetermined)."""
        return "+".join(self.scores.languages) if self.scores.languages and "und" not in self.scores.languages else None


def read_runs(files: Sequence[Path]) -> list[Run]:
    """The scores in each file, all of one shape.

    Raises:
        DataFormatError: A file cannot be read.
        SettingError: A file is named twice, or the shapes differ.
    """
    runs = [Run(path, scores) for path, scores in read_each(files)]
    first = runs[0]
    for run in runs:
        if run.scores.values.shape != first.scores.values.shape:
            raise SettingError(
                f"{run.path}: {run.scores.n_layers} layers x {run.scores.n_heads} heads, but {first.path} has "
                f"{first.scores.n_layers} x {first.scores.n_heads}; only models of one shape can be compared"
            )
    return runs


def doubts(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """Signs that a group's runs are not replicates, which differ only by seed or fine-tuning; one line each."""
    said = []
    for name, members in groups.items():
        facts = [_facts(run) for run in members]
        for key in dict.fromkeys(key for held in facts for key in held):
            values = list(dict.fromkeys(str(held[key]) for held in facts if held.get(key) not in (None, "", 0)))
            if len(values) > 1:
                shown = ", ".join(value[:20] for value in values[:4])
                said.append(f"note: runs of {name} differ in {key} ({shown}), so they are not replicates")
        for one, other in combinations(members, 2):
            if np.array_equal(one.scores.values, other.scores.values, equal_nan=True):
                said.append(f"note: {other.path} holds the same scores as {one.path}, so their agreement means nothing")
                break
    return said


def _facts(run: Run) -> dict[str, object]:
    settings = {key: value for key, value in run.scores.settings.items() if key != "seed"}
    return {"text (sha256)": run.scores.data_hash, "number of sentences or batches": run.scores.n, **settings}


def grouped(runs: Sequence[Run], by: By | None) -> dict[str, list[Run]]:
    """Runs by group name; a file without the facts to group by forms its own group, named by its stem.

    Names state what differs: the method, the language, or both; if two would be equal, the path.
    """
    facts = [{"method": run.method, "language": run.language, "file": None} for run in runs]
    keys = [(own["method"], own["language"]) if by is None else (own[by],) for own in facts]
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


def comparison(
    groups: Mapping[str, Sequence[Run]],
    *,
    k: int,
    normalisation: Normalisation,
    combination: Combination,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Agreement of groups of runs, as the JSON document of `compare`.

    Args:
        groups: Runs by group name, from `grouped`.
        k: Heads at either end.
        normalisation: Normalisation of the scores before ranking.
        combination: How a language's order is predicted from the others.
        progress: Updated after every pair of groups.
    """
    values = {name: [normalise(run.scores.values, normalisation) for run in members] for name, members in groups.items()}
    table = agreement_table(values, k=k, progress=progress)
    predicted: list[dict[str, Any]] = []
    sharing: list[dict[str, Any]] = []
    for method, by_language in _languages(groups).items():
        if len(by_language) > 2:
            predicted += _predicted(method, by_language, combination, normalisation, k)
        if len(by_language) > 1:
            sharing.append(_shared(method, by_language, normalisation, k))
    document: dict[str, Any] = jsonable(
        {
            "schema": 1,
            "k": k,
            "normalisation": normalisation,
            "groups": [_group_facts(name, members) for name, members in groups.items()],
            "pairs": [{"one": one, "other": other} | asdict(found) for (one, other), found in table.items() if one != other],
            "stability": [{"group": one} | asdict(found) for (one, other), found in table.items() if one == other],
            "leave_one_out": predicted,
            "sharing": sharing,
        }
    )
    return document


def _languages(groups: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, list[HeadScores]]]:
    found: dict[str, dict[str, list[HeadScores]]] = {}
    for run in (run for members in groups.values() for run in members):
        if run.language is not None and len(run.scores.languages) == 1:
            found.setdefault(run.scores.title, {}).setdefault(run.language, []).append(run.scores)
    return found


def _group_facts(name: str, members: Sequence[Run]) -> dict[str, Any]:
    return {
        "name": name,
        "methods": list(dict.fromkeys(run.scores.title for run in members)),
        "languages": list(dict.fromkeys(language for run in members for language in run.scores.languages)),
        "files": [str(run.path) for run in members],
    }


def _predicted(
    method: str, by_language: Mapping[str, Sequence[HeadScores]], how: Combination, normalisation: Normalisation, k: int
) -> list[dict[str, Any]]:
    one_each = {language: _over_seeds(scores) for language, scores in by_language.items()}
    predictions = leave_one_out(one_each, how, k=k, normalisation=normalisation)
    return [
        {"method": method, "language": language, "how": how, "k": k}
        | {name: getattr(found, name).value for name in ("spearman", "lowest", "highest")}
        for language, found in predictions.items()
    ]


def _over_seeds(scores: Sequence[HeadScores]) -> HeadScores:
    """A language's runs combined: merged if the method keeps totals, else their mean."""
    if len(scores) == 1:
        return scores[0]
    if all(item.total is not None and item.n for item in scores):
        return combine(scores, "merged")[0]
    summed = combine(scores, "summed")[0]
    return replace(summed, values=summed.values / len(scores))


def _shared(method: str, by_language: Mapping[str, Sequence[HeadScores]], normalisation: Normalisation, k: int) -> dict[str, Any]:
    replicates = {
        language: np.stack([normalise(item.values, normalisation) for item in scores]) for language, scores in by_language.items()
    }
    found = head_sharing(replicates, k=k)
    return {
        "method": method,
        "k": k,
        "share": found.share,
        "runs": {language: len(scores) for language, scores in by_language.items()},
        "lowest": _end_facts(found.lowest),
        "highest": _end_facts(found.highest),
    }


def _end_facts(end: EndSharing) -> dict[str, Any]:
    return {
        "shared": [str(head) for head in end.shared],
        "specific": {language: [str(head) for head in heads] for language, heads in end.specific.items()},
        "nowhere": [str(head) for head in end.nowhere],
        "unsettled": [str(head) for head in end.unsettled],
        "within": dict(end.within),
        "between": [{"one": one, "other": other, "overlap": overlap} for (one, other), overlap in end.between.items()],
        "frequency": {language: matrix.tolist() for language, matrix in end.frequency.items()},
    }
