"""Baselines of a search for k, read off a full sweep: never pruning, five evenly spaced k, five random k."""

from collections.abc import Iterable, Mapping

import numpy as np

from polyhead.core.errors import SettingError
from polyhead.core.specs import allowed_loss
from polyhead.selection.trials import MOST_SCREENED, Trial, TrialTable, choose


def always_zero(sweep: Mapping[int, float]) -> TrialTable:
    """Always choose k = 0, which costs one fine-tuning.

    Args:
        sweep: Development score in points of every k in 0..K, from `search(how="sweep")`.

    Raises:
        SettingError: A k is missing.
    """
    return _table(sweep, [], objective="best", reason="never pruned")


def evenly_spaced(sweep: Mapping[int, float], *, n: int = MOST_SCREENED, objective: str = "best") -> TrialTable:
    """The choice among `n` evenly spaced k from 0 to K, halves rounded to even; fewer if K + 1 < n.

    Args:
        sweep: As for `always_zero`.
        n: Trainings, k = 0 included.
        objective: `best` or `within:X`, as for `search`.

    Raises:
        SettingError: A k is missing, n is below 2, or the objective is unknown.

    >>> [trial.k for trial in evenly_spaced(dict.fromkeys(range(13), 90.0)).trials]
    [0, 3, 6, 9, 12]
    """
    steps = np.linspace(0, len(sweep) - 1, _several(n)).round().astype(int)
    return _table(sweep, steps.tolist(), objective=objective, reason=f"tried {n} k in even steps")


def random_ks(sweep: Mapping[int, float], *, seed: int, n: int = MOST_SCREENED, objective: str = "best") -> TrialTable:
    """The choice among k = 0 and `n` − 1 others drawn from 1..K without replacement; fewer if K + 1 < n.

    One draw says little: take the mean over many seeds.

    Args:
        sweep: As for `always_zero`.
        seed: Random seed of the draw.
        n: Trainings, k = 0 included.
        objective: `best` or `within:X`, as for `search`.

    Raises:
        SettingError: A k is missing, n is below 2, or the objective is unknown.
    """
    drawn = 1 + np.random.default_rng(seed).permutation(max(len(sweep) - 1, 0))[: _several(n) - 1]
    return _table(sweep, drawn.tolist(), objective=objective, reason=f"tried 0 and {n - 1} k drawn by seed {seed}")


def _several(n: int) -> int:
    if n < 2:
        raise SettingError(f"n = {n} trainings: expected at least 2, k = 0 among them")
    return n


def _table(sweep: Mapping[int, float], others: Iterable[int], *, objective: str, reason: str) -> TrialTable:
    if set(sweep) != set(range(len(sweep))) or not sweep:
        raise SettingError(f"scores for k = {sorted(sweep)}: expected every k from 0 to the largest")
    trials = tuple(Trial(k, sweep[k]) for k in sorted({0, *others}))
    chosen, why = choose(trials, allowed_loss(objective))
    return TrialTable(trials, chosen, f"{reason}; {why}")
