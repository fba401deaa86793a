"""Coverage of intervals over fine-tunings and false alarms of p, before and after, on simulated gains of zero.

    python benchmarks/statistics_simulation.py    # about ten minutes; writes results/statistics_simulation.json

The variances are those of `seed_variance.py`: over seeds, over sentences shared by all seeds, and over sentences specific to
each. Two thousand runs of S seeds on 100 sentences for each S and setting. The true gain is 0; in some settings a seed prunes
only with some probability and otherwise gains exactly 0. *Coverage*: share of the 95 % intervals that contain 0. *False
alarms*: share of p below 0.05. Before: percentile bootstrap over seeds and, nested, sentences (1,000 draws), and swapping the
outputs of fixed models by sentence (1,000 shuffles). After: `polyhead.selection.statistics.mean_gain`.
"""

import sys
from collections.abc import Mapping

import numpy as np
from environment import RESULTS, environment, write
from numpy.typing import NDArray

from polyhead.core.files import read_json
from polyhead.selection.statistics import SEEDS_FOR_INTERVAL, SEEDS_FOR_P, mean_gain

SEEDS = (2, 3, 5, 8, 10, 15)
SETTINGS = (("mean of the eight", 1.0), ("mean of the eight", 0.8), ("mean of the eight", 0.5), ("nl", 1.0), ("en", 1.0))
RUNS, SENTENCES, WORDS, DRAWS = 2000, 100, 20, 1000
Array = NDArray[np.float64]


def main() -> None:
    measured = read_json(RESULTS / "seed_variance.json")["gain"]
    content: dict[str, object] = {
        "environment": environment(seed=0),
        "work": f"{RUNS} simulated runs a cell, {SENTENCES} sentences, no true gain; figures in per cent",
        "settings": [
            {
                "variances": name,
                "share_of_seeds_that_prune": pruned,
                "by_seeds": {str(n): rates(measured[name]["model"], n, pruned) for n in SEEDS},
            }
            for name, pruned in SETTINGS
        ],
    }
    print(f"written to {write('statistics_simulation', content)}", file=sys.stderr)


def rates(variances: Mapping[str, float], n_seeds: int, pruned: float, *, runs: int = RUNS) -> dict[str, dict[str, float | None]]:
    """Coverage and false alarms in per cent, before and after; None without an interval or p."""
    rng = np.random.default_rng((n_seeds, round(100 * pruned)))
    covered, alarms = np.zeros((2, runs), dtype=bool), np.zeros((2, runs), dtype=bool)
    for run in range(runs):
        one, other = counts(rng, variances, n_seeds, pruned)
        low, high = percentile_bootstrap(one, other, seed=run)
        found = mean_gain([(one, other)], accuracy, seed=run, draws=DRAWS)
        covered[0, run], alarms[0, run] = low <= 0 <= high, swapped(one, other, seed=run) < 0.05
        if found.interval is not None:
            covered[1, run] = found.interval.low <= 0 <= found.interval.high
        alarms[1, run] = found.p is not None and found.p < 0.05
    print(f"{n_seeds} seeds, {pruned:g} prune: {covered.mean(axis=1)}, {alarms.mean(axis=1)}", file=sys.stderr, flush=True)
    coverage, false_alarms = (100 * found.mean(axis=1) for found in (covered, alarms))
    return {
        "before": {"coverage": round(coverage[0], 2), "false_alarms": round(false_alarms[0], 2)},
        "after": {
            "coverage": round(coverage[1], 2) if n_seeds >= SEEDS_FOR_INTERVAL else None,
            "false_alarms": round(false_alarms[1], 2) if n_seeds >= SEEDS_FOR_P else None,
        },
    }


def counts(rng: np.random.Generator, variances: Mapping[str, float], n_seeds: int, pruned: float) -> tuple[Array, Array]:
    """Pruned and unpruned counts `[seeds, sentences, 2]`; correct words are real numbers here."""
    spread = {name: np.sqrt(variances[name]) for name in ("seeds", "sentences_shared", "sentences_own")}
    gains = (
        rng.normal(0, spread["seeds"], (n_seeds, 1))
        + np.sqrt(SENTENCES) * rng.normal(0, spread["sentences_shared"], (1, SENTENCES))
        + np.sqrt(SENTENCES) * rng.normal(0, spread["sentences_own"], (n_seeds, SENTENCES))
    ) * (rng.random((n_seeds, 1)) < pruned)
    unpruned = np.full((n_seeds, SENTENCES, 2), float(WORDS))
    unpruned[..., 0] *= 0.8
    after = unpruned.copy()
    after[..., 0] += WORDS * gains / 100
    return after, unpruned


def accuracy(sums: Array) -> Array:
    return 100 * sums[..., 0] / sums[..., 1]


def percentile_bootstrap(a: Array, b: Array, *, seed: int) -> tuple[float, float]:
    """The interval before: resampled seeds and, nested, sentences; 2.5th to 97.5th percentile."""
    n_seeds, n_sentences, n_columns = a.shape
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=DRAWS) / n_seeds
    both = np.concatenate([a, b]).transpose(1, 0, 2).reshape(n_sentences, -1)
    drawn = rng.integers(0, n_sentences, size=(DRAWS, n_sentences)) + n_sentences * np.arange(DRAWS)[:, None]
    times = np.bincount(drawn.ravel(), minlength=DRAWS * n_sentences).reshape(DRAWS, n_sentences).astype(np.float64)
    sums = (times @ both).reshape(DRAWS, 2, n_seeds, n_columns)
    gains = np.sum(weights * (accuracy(sums[:, 0]) - accuracy(sums[:, 1])), axis=1)
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)


def swapped(a: Array, b: Array, *, seed: int) -> float:
    """p before: paired approximate randomisation, one swap bit per sentence, shared by all seeds."""
    n_seeds, n_sentences, n_columns = a.shape
    sums_a, sums_b = a.sum(axis=1), b.sum(axis=1)
    observed = float(np.mean(accuracy(sums_a) - accuracy(sums_b)))
    gaps = (a - b).transpose(1, 0, 2).reshape(n_sentences, -1)
    swaps = np.random.default_rng(seed).integers(0, 2, size=(DRAWS, n_sentences), dtype=np.int8).astype(np.float64)
    moved = (swaps @ gaps).reshape(DRAWS, n_seeds, n_columns)
    drawn = np.mean(accuracy(sums_a - moved) - accuracy(sums_b + moved), axis=1)
    return (1 + int(np.sum(np.abs(drawn) >= abs(observed) - 1e-9))) / (DRAWS + 1)


if __name__ == "__main__":
    main()
