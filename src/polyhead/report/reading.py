"""Figures from a run's record: main metric, gains by arm and target, means over seeds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from polyhead.data.tasks import TASKS
from polyhead.report.record import RANKED, CellRecord, RunRecord, Statistic, TrialRecord


@dataclass(frozen=True)
class SeedScore:
    """Scores of one target in one seed, unpruned and pruned, in points.

    Attributes:
        seed: Seed of the fine-tuning.
        language: BCP-47 code.
        n_words: Words scored.
        unpruned: Test score with all heads.
        pruned: Test score with the chosen heads pruned; the unpruned score if k = 0.
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
    """Scores of one target in one arm, unpruned and pruned, in points; means over seeds.

    Attributes:
        name: The target's name.
        language: BCP-47 code.
        n_words: Words scored.
        unpruned: Test score with all heads.
        pruned: Test score with the chosen heads pruned; a seed that chose k = 0 counts with its unpruned score.
        ks: The chosen k of each seed.
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


def arms(record: RunRecord) -> list[str]:
    """The arms that were run, the ranked one first."""
    return sorted(dict.fromkeys(cell.arm for cell in record.cells), key=lambda arm: arm != RANKED)


def cells(record: RunRecord, arm: str = RANKED) -> list[CellRecord]:
    """The cells of one arm, in the record's order."""
    return [cell for cell in record.cells if cell.arm == arm]


def heads_gone(cell: CellRecord, trial: TrialRecord) -> list[str]:
    """Addresses of the heads that a trial pruned, without those that the encoder lacked before the run."""
    present = {f"{i}.{j}" for i, row in enumerate(cell.scores) for j, value in enumerate(row) if value is not None}
    return [head for head in trial.heads if head in present]


def seeds(record: RunRecord) -> list[int]:
    """The seeds that were run."""
    return list(dict.fromkeys(cell.seed for cell in record.cells))


def seed_scores(record: RunRecord, arm: str = RANKED) -> dict[str, list[SeedScore]]:
    """Main scores by target, one entry per seed, in the record's order."""
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
    """One row per target, in the record's order."""
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
    """Mean gain over targets; 0 for none."""
    return fmean(row.gain for row in rows) if rows else 0.0


def chosen_on_test(record: RunRecord) -> bool:
    """Whether the protocol chooses k on the tested split, which makes p values invalid."""
    return record.settings.protocol != "sound"


def arm_statistics(record: RunRecord, arm: str = RANKED) -> list[Statistic]:
    """The statistics of an arm; may be empty."""
    return [row for row in record.statistics if row.arm == arm]


def contrasts(record: RunRecord) -> list[Statistic]:
    """The statistics that compare two arms, whose arm reads like `ranked - random`."""
    return [row for row in record.statistics if " - " in row.arm]


def mean_statistic(record: RunRecord, arm: str) -> Statistic | None:
    """The statistics of an arm's mean gain over targets, if any."""
    return next((row for row in arm_statistics(record, arm) if row.name is None), None)


def statistic(record: RunRecord, *, arm: str, name: str) -> Statistic | None:
    """The statistics of one target of one arm, if any."""
    return next((row for row in arm_statistics(record, arm) if row.name == name), None)
