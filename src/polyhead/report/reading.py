"""Figures read out of a run's record: which metric counts, gains by arm and target, means over seeds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from polyhead.data.tasks import TASKS
from polyhead.report.record import RANKED, CellRecord, RunRecord, Statistic, TrialRecord


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


def target_names(record: RunRecord) -> dict[str, str]:
    """`shown_names` of every target that the record scored."""
    return shown_names(target.name for cell in record.cells for target in cell.targets)


def main_metric(record: RunRecord) -> str:
    """Key of the figure that counts for the record's task."""
    return TASKS[record.settings.task].metric


def arms(record: RunRecord) -> list[str]:
    """The arms that were run, the ranked one first."""
    return sorted(dict.fromkeys(cell.arm for cell in record.cells), key=lambda arm: arm != RANKED)


def cells(record: RunRecord, arm: str = RANKED) -> list[CellRecord]:
    """The cells of one arm, in order of the record."""
    return [cell for cell in record.cells if cell.arm == arm]


def heads_gone(cell: CellRecord, trial: TrialRecord) -> list[str]:
    """Addresses of the heads that a trial pruned; those that the encoder lacked before the run are no merit of it."""
    present = {f"{i}.{j}" for i, row in enumerate(cell.scores) for j, value in enumerate(row) if value is not None}
    return [head for head in trial.heads if head in present]


def seeds(record: RunRecord) -> list[int]:
    """The seeds that were run."""
    return list(dict.fromkeys(cell.seed for cell in record.cells))


def seed_scores(record: RunRecord, arm: str = RANKED) -> dict[str, list[SeedScore]]:
    """By target, its main score in every seed, in the record's order."""
    metric = main_metric(record)
    found: dict[str, list[SeedScore]] = {}
    for cell in cells(record, arm):
        for target in cell.targets:
            score = SeedScore(
                cell.seed, target.language, target.n_words, target.unpruned[metric], target.pruned[metric], target.k
            )
            found.setdefault(target.name, []).append(score)
    return found


def gains(record: RunRecord, arm: str = RANKED) -> list[Gain]:
    """One row a target, in the record's order."""
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


def chosen_on_test(record: RunRecord) -> bool:
    """Whether the protocol takes the best k of the tested split itself, so that no p value holds."""
    return record.settings.protocol != "sound"


def arm_statistics(record: RunRecord, arm: str = RANKED) -> list[Statistic]:
    """The rows of an arm's statistics; empty where there are none."""
    return [row for row in record.statistics if row.arm == arm]


def contrasts(record: RunRecord) -> list[Statistic]:
    """The rows of the statistics that set one arm against another: their arm is written `ranked - random`."""
    return [row for row in record.statistics if " - " in row.arm]


def mean_statistic(record: RunRecord, arm: str) -> Statistic | None:
    """The statistics of an arm's mean gain over targets; None where there are none."""
    return next((row for row in arm_statistics(record, arm) if row.name is None), None)


def statistic(record: RunRecord, *, arm: str, name: str) -> Statistic | None:
    """The statistics of one target of one arm; None where there are none."""
    return next((row for row in arm_statistics(record, arm) if row.name == name), None)
