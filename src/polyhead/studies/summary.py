"""Statistics over a run's seeds and controls: gains with their uncertainty, and the gain expected from selection only."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from polyhead.data.corpora import row_groups
from polyhead.learning.metrics import metric_from_counts
from polyhead.report.record import RANKED, GainMinusNoise, MaskGain, NoiseGain, NoisePool, Statistic
from polyhead.selection.resampling import Interval
from polyhead.selection.statistics import SeedMean, SelectionNoise, beyond_noise, holm, mean_gain, selection_noise
from polyhead.studies.cell import Outcome
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import Figures, points, points_by_name
from polyhead.studies.finetunes import fine_tuned, forget_checkpoints, tested

logger = logging.getLogger(__name__)

POOL = 10
_SEEDS = 2**32  # a seed is smaller
_GAIN_SEED = 1

_Side = tuple[Mapping[str, Figures], Mapping[str, Figures], Mapping[str, int]]
"""Of one seed: the figures on either side by target, and by target how many heads are pruned at most."""
_Noise = Mapping[str | None, SelectionNoise]
"""By target; None is their mean."""


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
        said = "seed %d, noise: unpruned model %d of %d scores %.2f on dev (%.0f s)"
        logger.info(said, seed, number, len(seeds), dev[-1], fit.seconds)
    return NoisePool(seeds=seeds, dev=dev, tests=tests)


def summarise(context: RunContext, outcomes: Sequence[Outcome], pool: NoisePool | None) -> list[Statistic]:
    """One row per arm and target, then one for the arm's mean over targets (language `mean`), in points.

    Arms are compared with their own unpruned models. Rows of `ranked - random` and `ranked - highest` compare the models that
    two searches chose, in one table of their own. p is Holm-corrected over the printed table. Where no seed pruned anything the
    gain is 0 and is not part of that family. Where k was chosen on the tested split (the paper's protocols) there is no
    interval, no detectable gain and no p: the gain is a maximum over noisy scores, which exceeds 0 even if pruning does nothing,
    so all three would be about the maximum and not about an effect. `gain_minus_noise` is against the pool of re-seeded unpruned
    runs, or where a search's models share one training, against the random heads of the same search. `of_mask` is the gain over
    a nested model's own k = 0.
    """
    arms: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        arms.setdefault(outcome.cell.arm, []).append(outcome)
    rows: list[Statistic] = []
    contrasts: list[Statistic] = []
    for arm, own in arms.items():
        noise = None if pool is None else _noise(context, pool, _compared(context, own))
        rows += _with_masks(
            context, own, _corrected(_rows(context, arm, [(one.pruned, one.unpruned, one.reported) for one in own], noise))
        )
        if arm != RANKED:
            pairs = [(a.pruned, b.pruned, _either(a, b)) for a, b in zip(arms[RANKED], own, strict=True)]
            contrasts += _rows(context, f"{RANKED} - {arm}", pairs, None)
    if context.settings.search.one_training:
        beyond = {row.name: _beyond(row.gain, row.interval) for row in contrasts if row.arm == f"{RANKED} - random"}
        rows = [row.model_copy(update={"gain_minus_noise": beyond.get(row.name)}) if row.arm == RANKED else row for row in rows]
    rows += _corrected(contrasts)
    if context.settings.rules.reported_split:
        withheld = {"interval": None, "detectable_gain": None, "p": None, "p_holm": None}
        return [row.model_copy(update=withheld) for row in rows]
    return rows


def _with_masks(context: RunContext, outcomes: Sequence[Outcome], rows: Sequence[Statistic]) -> list[Statistic]:
    """The rows with the gain over the nested model's own k = 0, where the search was nested; where k = 0 was chosen it is 0."""
    sides = [
        (one.pruned if one.table.chosen else one.nested_unpruned, one.nested_unpruned, one.reported)
        for one in outcomes
        if one.nested_unpruned is not None
    ]
    if not sides or not any(one.table.chosen for one in outcomes):
        return list(rows)
    found = []
    for row in rows:
        gain = _gain(context, list(context.inputs.tests) if row.name is None else [row.name], sides)
        own = MaskGain(gain=gain.value, by_seed=list(gain.by_seed), interval=_bounds(gain.interval))
        found.append(row.model_copy(update={"of_mask": own}))
    return found


def _compared(context: RunContext, outcomes: Sequence[Outcome]) -> int:
    """Distinct models that the longest search chose among."""
    zero = context.settings.search.include_zero
    every = [one.table for outcome in outcomes for one in (outcome, *outcome.others)]
    return max(1, *(sum(trial.k > 0 or zero for trial in table.trials) for table in every))


def _either(one: Outcome, other: Outcome) -> dict[str, int]:
    """By target, whether there is anything to compare: 0 where neither search pruned."""
    return {name: max(k, other.reported[name]) for name, k in one.reported.items()}


def _corrected(rows: Sequence[Statistic]) -> list[Statistic]:
    """The rows of one printed table, its tests corrected as one family."""
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else row.model_copy(update={"p_holm": next(corrected)}) for row in rows]


def _noise(context: RunContext, pool: NoisePool, n: int) -> _Noise:
    """Gain expected from selection only; chosen on source dev or on the tested split."""
    groups: dict[str | None, list[str]] = {**{name: [name] for name in pool.tests}, None: list(pool.tests)}
    found = {}
    for key, names in groups.items():
        scores = np.transpose([pool.tests[name] for name in names])
        found[key] = selection_noise(scores if context.settings.rules.reported_split else pool.dev, scores, n=n)
    return found


def _rows(context: RunContext, arm: str, seeds: Sequence[_Side], noise: _Noise | None) -> list[Statistic]:
    """One row per target, then the mean over targets."""
    return [_row(context, arm, name, seeds, None if noise is None else noise[name]) for name in (*context.inputs.tests, None)]


def _row(context: RunContext, arm: str, name: str | None, seeds: Sequence[_Side], noise: SelectionNoise | None) -> Statistic:
    """The mean gain over seeds on one target, or on all if it has no name."""
    targets = list(context.inputs.tests) if name is None else [name]
    pruned = any(ks[target] for *_, ks in seeds for target in targets)
    found = _gain(context, targets, seeds) if pruned else SeedMean(0.0, (0.0,) * len(seeds), None, None, None, None)
    noise = noise if pruned else None
    value, beyond = (0.0, None) if noise is None else beyond_noise(found, noise)
    return Statistic(
        arm=arm,
        name=name,
        language="mean" if name is None else context.inputs.languages[name],
        gain=found.value,
        n_seeds=len(seeds),
        by_seed=list(found.by_seed),
        standard_error=found.standard_error,
        degrees_of_freedom=found.degrees_of_freedom,
        interval=_bounds(found.interval),
        p=found.p,
        p_holm=None,
        detectable_gain=found.detectable,
        none_pruned=not pruned,
        noise=None if noise is None else NoiseGain(mean=noise.mean, standard_error=noise.standard_error),
        gain_minus_noise=_beyond(value, _bounds(beyond)),
    )


def _gain(context: RunContext, targets: Sequence[str], seeds: Sequence[_Side]) -> SeedMean:
    """The mean gain in points over seeds and targets."""
    sets = {
        name: (np.stack([one[name].counts for one, *_ in seeds]), np.stack([other[name].counts for _, other, _ in seeds]))
        for name in targets
    }

    def metric(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * metric_from_counts(context.inputs.task, counts)

    groups = row_groups({name: one.shape[1] for name, (one, _) in sets.items()})
    return mean_gain([*sets.values()], metric, seed=_GAIN_SEED, parallel=[*groups.values()])


def _beyond(value: float, interval: tuple[float, float] | None) -> GainMinusNoise | None:
    return None if interval is None else GainMinusNoise(value=value, interval=interval)


def _bounds(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)
