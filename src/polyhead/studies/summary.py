"""What a run's seeds and controls add up to: gains with tests and intervals, and how large a gain choosing alone would give."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyhead.statistics import (
    beyond_noise,
    bootstrap_gains,
    holm,
    paired_randomisation,
    percentile_interval,
    selection_noise,
)
from polyhead.studies.cell import Outcome
from polyhead.studies.fits import Bench, Figures, fitted, main_metric, points, tested

POOL = 10
_DRAWS_SEED = 0


def noise_pool(bench: Bench, seeds: Sequence[int]) -> dict[str, Any]:
    """Dev and test scores in points of at least ten unpruned fine-tunings that differ in their seed alone.

    The run's own seeds come first, then the next whole numbers; each costs one fine-tuning, those of the run's seeds nothing.
    """
    pool = list(seeds)
    while len(pool) < POOL:
        pool.append(max(pool) + 1)
    fits = [fitted(bench, replace(bench.settings.train, seed=seed), bench.present) for seed in pool]
    tests = [tested(bench, fit) for fit in fits]
    return {
        "seeds": pool,
        "dev": [points(bench, fit.dev) for fit in fits],
        "tests": {name: [points(bench, {name: test[name]}) for test in tests] for name in bench.inputs.tests},
    }


def summarise(bench: Bench, outcomes: Sequence[Outcome], pool: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row per arm and target: gain in points (mean over seeds), 95 % interval, p, and p by Holm over the arm's table.

    A target for which every seed reported k = 0 has gain 0 and leaves the family of tests. With a pool of re-seeded unpruned
    runs the row also says how large the gain is beyond selection noise. A last row an arm, language `mean`, holds the mean
    gain over targets.
    """
    rows: list[dict[str, Any]] = []
    for arm in dict.fromkeys(outcome.cell.arm for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.cell.arm == arm]
        table = [_row(bench, own, name, pool) for name in bench.inputs.tests]
        family = [row for row in table if row["p"] is not None]
        for row, corrected in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = corrected
        rows += [*table, *_mean_row(bench, own)]
    return rows


def _mean_row(bench: Bench, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The mean gain over targets; one draw resamples the seeds for all of them together, so their noise stays shared."""
    names = list(bench.inputs.tests)
    if not any(k for outcome in outcomes for k in outcome.reported.values()):
        return []
    width = outcomes[0].unpruned[names[0]].counts.shape[1]

    def side(figures: Mapping[str, Figures]) -> NDArray[np.int64]:  # [sentences of all targets, targets * width]
        blocks = []
        for place, name in enumerate(names):
            block = np.zeros((len(figures[name].counts), len(names) * width), dtype=np.int64)
            block[:, place * width : (place + 1) * width] = figures[name].counts
            blocks.append(block)
        return np.concatenate(blocks)

    def metric(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        by_target = main_metric(bench, counts.reshape(*counts.shape[:-1], len(names), width))
        return np.asarray(100 * by_target.mean(axis=-1), dtype=np.float64)

    pruned = np.stack([side(outcome.pruned) for outcome in outcomes])
    unpruned = np.stack([side(outcome.unpruned) for outcome in outcomes])
    gains = bootstrap_gains(pruned, unpruned, metric, seed=_DRAWS_SEED)
    interval = percentile_interval(gains)
    gain = float(np.mean(metric(pruned.sum(axis=1)) - metric(unpruned.sum(axis=1))))
    return [
        {
            "arm": outcomes[0].cell.arm,
            "name": "mean over targets",
            "language": "mean",
            "seeds": len(outcomes),
            "gain": gain,
            "interval": [interval.low, interval.high],
            "p": None,
            "p_holm": None,
        }
    ]


def _row(bench: Bench, outcomes: Sequence[Outcome], name: str, pool: Mapping[str, Any] | None) -> dict[str, Any]:
    ks = [outcome.reported[name] for outcome in outcomes]
    row: dict[str, Any] = {
        "arm": outcomes[0].cell.arm,
        "name": name,
        "language": bench.inputs.languages[name],
        "seeds": len(outcomes),
        "k": ks,
        "gain": 0.0,
        "interval": None,
        "p": None,
        "p_holm": None,
    }
    if not any(ks):
        return row
    pruned = np.stack([outcome.pruned[name].counts for outcome in outcomes])
    unpruned = np.stack([outcome.unpruned[name].counts for outcome in outcomes])

    def metric(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * main_metric(bench, counts)

    test = paired_randomisation(pruned, unpruned, metric, seed=_DRAWS_SEED, n_cells=len(bench.inputs.tests))
    gains = bootstrap_gains(pruned, unpruned, metric, seed=_DRAWS_SEED)
    interval = percentile_interval(gains)
    row |= {"gain": test.difference, "interval": [interval.low, interval.high], "p": test.p, "shuffles": test.shuffles}
    if pool is not None:
        n = max(max(outcome.n_fits for outcome in outcomes), 1)
        noise = selection_noise(pool["dev"], pool["tests"][name], n=n, seed=_DRAWS_SEED, draws=len(gains))
        beyond = beyond_noise(gains, noise)
        row |= {
            "fine_tunings": n,
            "noise": float(noise.mean()),
            "gain_minus_noise": {"mean": test.difference - float(noise.mean()), "interval": [beyond.low, beyond.high]},
        }
    return row
