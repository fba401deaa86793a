"""What a run's seeds and controls add up to: gains with tests and intervals, and how large a gain choosing alone would give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyhead.selection.statistics import (
    beyond_noise,
    bootstrap_gains,
    bootstrap_mean_gains,
    holm,
    paired_randomisation,
    percentile_interval,
    selection_noise,
)
from polyhead.studies.cell import Outcome
from polyhead.studies.evaluations import Figures
from polyhead.studies.finetunes import RunContext, fine_tuned, main_metric, points, tested

POOL = 10
_DRAWS = 1000
_TEST_SEED, _GAIN_SEED, _NOISE_SEED = 0, 1, 2  # gain and noise must be drawn independently


def noise_pool(context: RunContext, seeds: Sequence[int]) -> dict[str, Any]:
    """Dev and test scores in points of at least ten unpruned fine-tunings that differ in their seed alone.

    The run's own seeds come first, then the next whole numbers; each costs one fine-tuning, those of the run's seeds nothing.
    """
    pool = list(seeds)
    while len(pool) < POOL:
        pool.append(max(pool) + 1)
    fits = [fine_tuned(context, replace(context.settings.train, seed=seed), context.present) for seed in pool]
    tests = [tested(context, fit) for fit in fits]
    return {
        "seeds": pool,
        "dev": [points(context, fit.dev) for fit in fits],
        "tests": {name: [points(context, {name: test[name]}) for test in tests] for name in context.inputs.tests},
    }


def summarise(context: RunContext, outcomes: Sequence[Outcome], pool: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row per arm and target: gain in points (mean over seeds), 95 % interval, p, and p by Holm over the printed table.

    Arms are compared with their own unpruned models; rows of `ranked - random` and `ranked - highest` compare the models that
    two searches chose, and are one table together. A target for which nothing was pruned in any seed has gain 0 and leaves the
    family of tests. Where k was chosen on the tested split (the paper's protocols) there is no p: a maximum is no draw. With a
    pool of re-seeded unpruned runs an arm's row also says how large its gain is beyond selection noise. The last row of each
    arm, language `mean`, holds the mean gain over targets.
    """
    arms = {
        arm: [outcome for outcome in outcomes if outcome.cell.arm == arm]
        for arm in dict.fromkeys(outcome.cell.arm for outcome in outcomes)
    }
    rows: list[dict[str, Any]] = []
    for arm, own in arms.items():
        table = _Table(context, arm, tuple((o.pruned, o.unpruned, o.reported) for o in own))
        n_fits = max(outcome.n_fits for outcome in own)
        noise = {} if pool is None else {name: _noise(context, pool, name, n=n_fits) for name in context.inputs.tests}
        rows += _corrected(table.rows(noise, n_cells=len(context.inputs.tests)))
    controls = {arm: own for arm, own in arms.items() if arm != "ranked"}
    contrasts: list[dict[str, Any]] = []
    for arm, own in controls.items():
        sides = zip(arms["ranked"], own, strict=True)
        table = _Table(context, f"ranked - {arm}", tuple((a.pruned, b.pruned, _either(a, b)) for a, b in sides))
        contrasts += table.rows({}, n_cells=len(controls) * len(context.inputs.tests))
    return [*rows, *_corrected(contrasts)]


def _corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one printed table, its tests corrected as one family."""
    family = [row for row in rows if row["p"] is not None]
    for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
        row["p_holm"] = p
    return rows


def _either(one: Outcome, other: Outcome) -> dict[str, int]:
    """By target, whether there is anything to compare: 0 where neither search pruned."""
    return {name: max(k, other.reported[name]) for name, k in one.reported.items()}


def _noise(context: RunContext, pool: Mapping[str, Any], name: str, *, n: int) -> NDArray[np.float64]:
    """What choosing alone gains on that target; chosen as the protocol chooses, on source dev or on the target itself."""
    chosen_on = pool["tests"][name] if context.settings.rules.reported_split else pool["dev"]
    return selection_noise(chosen_on, pool["tests"][name], n=max(n, 1), seed=_NOISE_SEED, draws=_DRAWS)


@dataclass(frozen=True)
class _Table:
    """Two sides to compare: for every seed, figures by target of either side, and the k that was reported."""

    context: RunContext
    arm: str
    seeds: tuple[tuple[Mapping[str, Figures], Mapping[str, Figures], Mapping[str, int]], ...]

    def rows(self, noise: Mapping[str, NDArray[np.float64]], *, n_cells: int) -> list[dict[str, Any]]:
        """A row a target, then the mean over targets; `n_cells` tests stand in the printed table."""
        names = list(self.context.inputs.tests)
        table = [self._row(name, noise.get(name), n_cells) for name in names]
        if not any(k for *_, ks in self.seeds for k in ks.values()):
            return table
        gains = bootstrap_mean_gains([self._counts(name) for name in names], self._metric, seed=_GAIN_SEED, draws=_DRAWS)
        interval = percentile_interval(gains)
        mean = self._blank(None, "mean") | {"none_pruned": False}
        return [
            *table,
            {**mean, "gain": float(np.mean([row["gain"] for row in table])), "interval": [interval.low, interval.high]},
        ]

    def _blank(self, name: str | None, language: str) -> dict[str, Any]:
        facts: dict[str, Any] = {"arm": self.arm, "name": name, "language": language, "n_seeds": len(self.seeds), "by_seed": []}
        facts |= {"gain": 0.0, "standard_error": None, "degrees_of_freedom": None, "interval": None, "p": None, "p_holm": None}
        return facts | {"detectable_gain": None, "none_pruned": True, "noise": None, "gain_minus_noise": None}

    def _counts(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Both sides of one target, `[seeds, sentences, k]`."""
        return np.stack([one[name].counts for one, *_ in self.seeds]), np.stack(
            [other[name].counts for _, other, _ in self.seeds]
        )

    def _metric(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * main_metric(self.context, counts)

    def _row(self, name: str, noise: NDArray[np.float64] | None, n_cells: int) -> dict[str, Any]:
        row = self._blank(name, self.context.inputs.languages[name])
        if not any(ks[name] for *_, ks in self.seeds):
            return row
        row["none_pruned"] = False
        one, other = self._counts(name)
        test = paired_randomisation(one, other, self._metric, seed=_TEST_SEED, n_cells=n_cells)
        gains = bootstrap_gains(one, other, self._metric, seed=_GAIN_SEED, draws=_DRAWS)
        interval = percentile_interval(gains)
        row |= {"gain": test.difference, "interval": [interval.low, interval.high]}
        if not self.context.settings.rules.reported_split:
            row["p"] = test.p
        if noise is not None:
            beyond = beyond_noise(gains, noise)
            mean = float(noise.mean())
            row["noise"] = {"mean": mean, "standard_error": float(noise.std())}
            row["gain_minus_noise"] = {"value": test.difference - mean, "interval": [beyond.low, beyond.high]}
        return row
