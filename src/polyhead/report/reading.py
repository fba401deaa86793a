"""Figures read out of a run's record: which metric counts, gains by arm and target, means over seeds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from polyhead.data.tasks import TASKS

Record = Mapping[str, Any]

RANKED = "ranked"


@dataclass(frozen=True)
class SeedScore:
    """What pruning did to one target in one seed, in points.

    Attributes:
        seed: Of the fine-tuning.
        language: BCP-47 code.
        n_words: Words scored.
        unpruned: Test score with all heads.
        pruned: Test score with the chosen heads gone; the unpruned score where k = 0.
        k: Heads pruned.
    """

    seed: int
    language: str
    n_words: int
    unpruned: float
    pruned: float
    k: int


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


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """How each target is called in a table: `language: file` by the file that is scored, which is the last one named.

    Where two targets would be called the same, they keep what `short` makes of them, or else their whole names.

    >>> list(shown_names(["ud/de_gsd", "de=data/dev.conllu:data/test.conllu"]).values())
    ['ud/de_gsd', 'de: test.conllu']
    """
    whole = list(dict.fromkeys(names))
    shown = dict(zip(whole, map(_scored, whole), strict=True))
    for longer in (short, str):
        met = Counter(shown.values())
        shown = {name: longer(name) if met[text] > 1 else text for name, text in shown.items()}
    return shown


def _scored(name: str) -> str:
    language, equals, paths = name.partition("=")
    return f"{language}: {paths.rpartition(':')[2].rpartition('/')[2]}" if equals else name


def target_names(record: Record) -> dict[str, str]:
    """`shown_names` of every target that the record scored."""
    return shown_names(target["name"] for cell in record["cells"] for target in cell["targets"])


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


def heads_gone(cell: Mapping[str, Any], trial: Mapping[str, Any]) -> list[str]:
    """Addresses of the heads that a trial pruned; those that the encoder lacked before the run are no merit of it.

    >>> heads_gone({"scores": [[0.1, None]]}, {"heads": ["0.0", "0.1"]})
    ['0.0']
    """
    present = {f"{i}.{j}" for i, row in enumerate(cell["scores"]) for j, value in enumerate(row) if value is not None}
    return [head for head in trial["heads"] if head in present]


def seeds(record: Record) -> list[int]:
    """The seeds that were run."""
    return list(dict.fromkeys(cell["seed"] for cell in record["cells"]))


def controls(record: Record) -> list[str]:
    """The controls that were asked for."""
    return list(record["settings"].get("controls") or [arm for arm in arms(record) if arm != RANKED])


def seed_scores(record: Record, arm: str = RANKED) -> dict[str, list[SeedScore]]:
    """By target, its main score in every seed, in the record's order; targets that were not scored are left out."""
    metric = main_metric(record)
    found: dict[str, list[SeedScore]] = {}
    for cell in cells(record, arm):
        for target in cell["targets"]:
            if target.get("unpruned"):
                unpruned = float(target["unpruned"][metric])
                pruned = float((target.get("pruned") or target["unpruned"])[metric])
                k, n_words = int(target.get("k", cell["chosen"])), int(target["n_words"])
                found.setdefault(target["name"], []).append(
                    SeedScore(cell["seed"], target["language"], n_words, unpruned, pruned, k)
                )
    return found


def gains(record: Record, arm: str = RANKED) -> list[Gain]:
    """One row a target, in the record's order; targets that were not scored are left out."""
    return [
        Gain(
            name=name,
            language=by_seed[0].language,
            n_words=by_seed[0].n_words,
            unpruned=fmean(row.unpruned for row in by_seed),
            pruned=fmean(row.pruned for row in by_seed),
            ks=tuple(row.k for row in by_seed),
        )
        for name, by_seed in seed_scores(record, arm).items()
    ]


def mean_gain(rows: Sequence[Gain]) -> float:
    """Mean over targets."""
    return fmean(row.gain for row in rows) if rows else 0.0


def chosen_on_test(record: Record) -> bool:
    """Whether the protocol takes the best k of the tested split itself, so that no p value holds."""
    return bool(record["settings"].get("protocol", "sound") != "sound")


def arm_statistics(record: Record, arm: str = RANKED) -> list[Mapping[str, Any]]:
    """The rows of an arm's statistics; empty where there are none."""
    return [row for row in record.get("statistics") or () if row.get("arm", RANKED) == arm]


def contrasts(record: Record) -> list[Mapping[str, Any]]:
    """The rows of the statistics that set one arm against another: their arm is written `ranked - random`."""
    return [row for row in record.get("statistics") or () if " - " in row.get("arm", RANKED)]


def mean_statistic(record: Record, arm: str) -> Mapping[str, Any]:
    """The statistics of an arm's mean gain over targets; empty where there are none."""
    return next((row for row in arm_statistics(record, arm) if row["language"] == "mean"), {})


def statistic(record: Record, *, arm: str, name: str, language: str) -> Mapping[str, Any]:
    """The statistics of one target of one arm, by its name or else its language; empty where there are none."""
    found = arm_statistics(record, arm)
    for key, value in (("name", name), ("language", language)):
        for row in found:
            if row.get(key) == value:
                return row
    return {}
