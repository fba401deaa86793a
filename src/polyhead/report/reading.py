"""Figures read out of a run's record: which metric counts, gains by arm and target, means over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from polyhead.tasks import TASKS

Record = Mapping[str, Any]

RANKED = "ranked"


@dataclass(frozen=True)
class Gain:
    """What pruning did to one target in one arm, in points, means over seeds.

    Attributes:
        name: Of the target.
        language: BCP-47 code.
        n_words: Words scored.
        unpruned: Test score with all heads.
        pruned: Test score with the chosen heads gone; a seed that chose k = 0 counts with its unpruned score.
        ks: The chosen k of every seed.
    """

    name: str
    language: str
    n_words: int
    unpruned: float
    pruned: float
    ks: tuple[int, ...]

    @property
    def gain(self) -> float:
        """Pruned minus unpruned."""
        return self.pruned - self.unpruned

    @property
    def pruned_nothing(self) -> bool:
        """Whether every seed chose k = 0."""
        return not any(self.ks)


def short(name: str) -> str:
    """A corpus's name as it is; of files, their names without the folders.

    >>> short("ud/de_gsd"), short("de=data/dev.conllu:data/test.conllu")
    ('ud/de_gsd', 'de=dev.conllu:test.conllu')
    """
    language, equals, paths = name.partition("=")
    return language + equals + ":".join(path.rpartition("/")[2] for path in paths.split(":")) if equals else name


def main_metric(record: Record) -> str:
    """Key of the figure that counts for the record's task."""
    return TASKS[record["settings"]["task"]].metric


def arms(record: Record) -> list[str]:
    """The arms that were run, the ranked one first."""
    met = dict.fromkeys(cell.get("arm", RANKED) for cell in record["cells"])
    return sorted(met, key=lambda arm: arm != RANKED)


def cells(record: Record, arm: str = RANKED) -> list[Mapping[str, Any]]:
    """The cells of one arm, in order of the record."""
    return [cell for cell in record["cells"] if cell.get("arm", RANKED) == arm]


def seeds(record: Record) -> list[int]:
    """The seeds that were run."""
    return list(dict.fromkeys(cell["seed"] for cell in record["cells"]))


def controls(record: Record) -> list[str]:
    """The controls that were asked for."""
    return list(record["settings"].get("controls") or [arm for arm in arms(record) if arm != RANKED])


def gains(record: Record, arm: str = RANKED) -> list[Gain]:
    """One row a target, in the record's order; targets that were not scored are left out."""
    metric = main_metric(record)
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells(record, arm):
        for target in cell["targets"]:
            if target.get("unpruned"):
                rows.setdefault(target["name"], []).append({"k": cell["chosen"], **target})
    result = []
    for name, targets in rows.items():
        unpruned = [float(target["unpruned"][metric]) for target in targets]
        pruned = [float((target.get("pruned") or target["unpruned"])[metric]) for target in targets]
        ks = tuple(int(target["k"]) for target in targets)
        result.append(Gain(name, targets[0]["language"], int(targets[0]["n_words"]), fmean(unpruned), fmean(pruned), ks))
    return result


def mean_gain(rows: Sequence[Gain]) -> float:
    """Mean over targets."""
    return fmean(row.gain for row in rows) if rows else 0.0


def chosen_on_test(record: Record) -> bool:
    """Whether the protocol takes the best k of the tested split itself, so that no p value holds."""
    return bool(record["settings"].get("protocol", "sound") != "sound")


def contrasts(record: Record) -> list[Mapping[str, Any]]:
    """The rows of the tests that set one arm against another: their arm is written `ranked - random`."""
    return [row for row in record.get("statistics") or () if " - " in row.get("arm", RANKED)]


def mean_interval(record: Record, arm: str) -> Sequence[float] | None:
    """The 95 % interval of an arm's mean gain over targets; None where it was not computed."""
    for row in record.get("statistics") or ():
        if row.get("arm", RANKED) == arm and row.get("language") == "mean":
            return row.get("interval")  # type: ignore[no-any-return]
    return None


def statistic(record: Record, *, arm: str, name: str, language: str) -> Mapping[str, Any] | None:
    """The tests' result for one target of one arm, by its name or else its language; None if there is none."""
    found = [row for row in record.get("statistics") or () if row.get("arm", RANKED) == arm]
    for key, value in (("name", name), ("language", language)):
        for row in found:
            if row.get(key) == value:
                return row  # type: ignore[no-any-return]
    return None
