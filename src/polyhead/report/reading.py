"""Figures from a run's record: main metric, gains by arm and target, means over seeds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from polyhead.data.tasks import TASKS
from polyhead.report.record import RANKED, CellRecord, RunRecord, Statistic, TargetRecord, TrialRecord


@dataclass(frozen=True)
class Gain:
    """Scores of one target in one arm, unpruned and pruned, in points.

    Attributes:
        name: The target's name.
        language: BCP-47 code.
        n_words: Words scored.
        seeds: Seeds of the fine-tunings, in the record's order, as in all that follows.
        unpruned_by_seed: Test scores with all heads.
        pruned_by_seed: Test scores with the chosen heads pruned; a seed that chose k = 0 counts with its unpruned score.
        ks: Heads pruned.
    """

    name: str
    language: str
    n_words: int
    seeds: tuple[int, ...]
    unpruned_by_seed: tuple[float, ...]
    pruned_by_seed: tuple[float, ...]
    ks: tuple[int, ...]

    @property
    def unpruned(self) -> float:
        """Mean over seeds."""
        return fmean(self.unpruned_by_seed)

    @property
    def pruned(self) -> float:
        """Mean over seeds."""
        return fmean(self.pruned_by_seed)

    @property
    def gain(self) -> float:
        """Mean over seeds, pruned minus unpruned."""
        return self.pruned - self.unpruned

    @property
    def pruned_nothing(self) -> bool:
        """Whether every seed chose k = 0."""
        return not any(self.ks)


def short(name: str) -> str:
    """A corpus's name unchanged; file names without their folders.

    >>> short("ud/de_gsd"), short("de=data/dev.conllu:data/test.conllu")
    ('ud/de_gsd', 'de=dev.conllu:test.conllu')
    """
    language, equals, paths = name.partition("=")
    return language + equals + ":".join(path.rpartition("/")[2] for path in paths.split(":")) if equals else name


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """Each target's name in tables; for files, `language: file` with the scored file, which is the last one given.

    Targets whose names would clash get `short` names, or else their full names.

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


def target_names(record: RunRecord) -> dict[str, str]:
    """`shown_names` of every target that the record scored."""
    return shown_names(target.name for cell in record.cells for target in cell.targets)


def main_metric(record: RunRecord) -> str:
    """Key of the main metric of the record's task."""
    return TASKS[record.settings.task].metric


def unit(record: RunRecord) -> str:
    """What the run labels: `word` or `sentence`."""
    return TASKS[record.settings.task].unit


def arms(record: RunRecord) -> list[str]:
    """The arms that were run, the ranked one first."""
    return sorted(dict.fromkeys(cell.arm for cell in record.cells), key=lambda arm: arm != RANKED)


def cells(record: RunRecord, arm: str = RANKED) -> list[CellRecord]:
    """The cells of one arm, in the record's order."""
    return [cell for cell in record.cells if cell.arm == arm]


def present_heads(cell: CellRecord) -> list[str]:
    """Addresses of the heads that the encoder had before the run."""
    return [f"{i}.{j}" for i, row in enumerate(cell.scores) for j, value in enumerate(row) if value is not None]


def heads_pruned(cell: CellRecord, trial: TrialRecord) -> list[str]:
    """Addresses of the heads that a trial pruned, without those that the encoder lacked before the run."""
    present = set(present_heads(cell))
    return [head for head in trial.heads if head in present]


def chosen_heads(cell: CellRecord) -> list[str]:
    """Addresses of the heads that the chosen trial of a cell pruned."""
    return next((heads_pruned(cell, trial) for trial in cell.trials if trial.k == cell.chosen), [])


def seeds(record: RunRecord) -> list[int]:
    """The seeds that were run."""
    return list(dict.fromkeys(cell.seed for cell in record.cells))


def gains(record: RunRecord, arm: str = RANKED) -> list[Gain]:
    """One row per target, in the record's order."""
    metric = main_metric(record)
    found: dict[str, list[tuple[int, TargetRecord]]] = {}
    for cell in cells(record, arm):
        for target in cell.targets:
            found.setdefault(target.name, []).append((cell.seed, target))
    return [
        Gain(
            name=name,
            language=own[0][1].language,
            n_words=own[0][1].n_words,
            seeds=tuple(seed for seed, _ in own),
            unpruned_by_seed=tuple(target.unpruned[metric] for _, target in own),
            pruned_by_seed=tuple(target.pruned[metric] for _, target in own),
            ks=tuple(target.k for _, target in own),
        )
        for name, own in found.items()
    ]


def mean_gain(rows: Sequence[Gain]) -> float:
    """Mean gain over targets."""
    return fmean(row.gain for row in rows)


def chosen_on_test(record: RunRecord) -> bool:
    """Whether the protocol chooses k on the tested split, so that a gain is a maximum, with no interval or p."""
    return record.settings.protocol != "sound"


def arm_statistics(record: RunRecord, arm: str = RANKED) -> list[Statistic]:
    """The statistics of an arm; may be empty."""
    return [row for row in record.statistics if row.arm == arm]


def contrasts(record: RunRecord) -> list[Statistic]:
    """The statistics that compare two arms, whose arm reads like `ranked - random`."""
    return [row for row in record.statistics if " - " in row.arm]


def statistic(record: RunRecord, *, arm: str, name: str | None = None) -> Statistic | None:
    """The statistics of one target of an arm, or of its mean gain over targets without a name, if any."""
    return next((row for row in arm_statistics(record, arm) if row.name == name), None)
