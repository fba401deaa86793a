"""Statistics over a run's seeds and controls: gains with their uncertainty, and the gain expected from selection only."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from polyhead.learning.metrics import metric_from_counts
from polyhead.report.record import NoisePool, Statistic
from polyhead.report.statistic_rows import statistic_row
from polyhead.selection.gains import ArmGain, SeedScores, UnprunedPool, arm_gains, corrected
from polyhead.studies.cell import Outcome
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import Figures, points, points_by_name
from polyhead.studies.finetunes import fine_tuned, forget_checkpoints, tested

logger = logging.getLogger(__name__)

POOL = 10
_SEEDS = 2**32  # a seed is smaller


def noise_pool(context: RunContext, outcomes: Sequence[Outcome]) -> NoisePool | None:
    """Scores of unpruned fine-tunings that differ only in their seed: ten, or 2n if that is more.

    n is the number of models that the longest search compared. The run's own seeds come first, then the next whole numbers; each
    costs one fine-tuning, those of the run's seeds nothing. No checkpoint is kept beyond those of the first seed. None where
    all models of a search are masks of one training (`nested`, `--prune after`): re-seeded ones then say nothing about choosing
    among them.
    """
    if context.settings.search.one_training:
        return None
    own = list(dict.fromkeys(outcome.cell.seed for outcome in outcomes))
    others = (seed for seed in chain(range(max(own) + 1, _SEEDS), range(max(own))) if seed not in own)
    seeds = own + list(islice(others, max(0, max(POOL, 2 * _compared(context, outcomes)) - len(own))))
    needed = {outcomes[0].full.folder, outcomes[0].chosen.folder}
    dev: list[float] = []
    tests: dict[str, list[float]] = {name: [] for name in context.inputs.tests}
    for number, seed in enumerate(seeds, start=1):
        fit = fine_tuned(context, replace(context.settings.train, seed=seed), context.present)
        dev.append(points(context, fit.dev))
        for name, score in points_by_name(context, tested(context, fit)).items():
            tests[name].append(score)
        forget_checkpoints(context, [fit.folder], needed)
        said = "%s: unpruned model %d of %d scores %.2f on dev (%.0f s)"
        logger.info(said, context.named(seed, "noise"), number, len(seeds), dev[-1], fit.seconds)
    return NoisePool(seeds=seeds, dev=dev, tests=tests)


def summarise(context: RunContext, outcomes: Sequence[Outcome], pool: NoisePool | None) -> list[Statistic]:
    """One row per arm and target, then one for the arm's mean over targets (language `mean`), in points; see `arm_gains`.

    p is Holm-corrected over the printed table: one for each arm, one for all contrasts.
    """
    names, languages = list(context.inputs.tests), context.inputs.languages
    arms: dict[str, list[SeedScores]] = {}
    for outcome in outcomes:
        arms.setdefault(outcome.cell.arm, []).append(_seed_scores(context, outcome))

    def metric(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * metric_from_counts(context.inputs.task, counts)

    found = arm_gains(
        arms,
        names,
        metric,
        one_training=context.settings.search.one_training,
        chosen_on_test=context.settings.rules.reported_split,
        pool=None if pool is None else UnprunedPool(dict.fromkeys(names, pool.dev), pool.tests),
    )
    tables: dict[str, list[ArmGain]] = {}
    for row in found:
        tables.setdefault(row.arm if row.arm in arms else "contrasts", []).append(row)
    rows = [row for table in tables.values() for row in corrected(table)]
    return [statistic_row(row, "mean" if row.name is None else languages[row.name]) for row in rows]


def _seed_scores(context: RunContext, outcome: Outcome) -> SeedScores:
    nested = outcome.nested_unpruned
    return SeedScores(
        seed=outcome.cell.seed,
        unpruned=_counts(outcome.unpruned),
        pruned=_counts(outcome.pruned),
        ks=outcome.reported,
        nested=None if nested is None else _counts(nested),
        compared=_compared(context, [outcome]),
    )


def _counts(figures: Mapping[str, Figures]) -> dict[str, NDArray[np.int64]]:
    return {name: own.counts for name, own in figures.items()}


def _compared(context: RunContext, outcomes: Sequence[Outcome]) -> int:
    """Distinct models that the longest search chose among."""
    zero = context.settings.search.include_zero
    every = [one.table for outcome in outcomes for one in (outcome, *outcome.others)]
    return max(1, *(sum(trial.k > 0 or zero for trial in table.trials) for table in every))
