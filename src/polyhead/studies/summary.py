"""Statistics over a run's seeds and controls: gains with their uncertainty, and the gain expected from selection only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyhead.selection.resampling import Interval
from polyhead.selection.statistics import SelectionNoise, beyond_noise, holm, mean_gain, selection_noise
from polyhead.studies.cell import Outcome
from polyhead.studies.evaluations import Figures
from polyhead.studies.finetunes import RunContext, fine_tuned, main_metric, points, tested

POOL = 10
_GAIN_SEED = 1

_Side = tuple[Mapping[str, Figures], Mapping[str, Figures], Mapping[str, int]]
"""Of one seed: the figures on either side by target, and by target how many heads are pruned at most."""


def noise_pool(context: RunContext, outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """Dev and test scores in points of unpruned fine-tunings that differ only in their seed: ten, or 2n if that is more.

    n is the number of models that the longest search compared. The run's own seeds come first, then the next whole numbers; each
    costs one fine-tuning, those of the run's seeds nothing. None where heads are pruned after fine-tuning: all models of a
    search then share one training, so re-seeded ones say nothing about choosing among them.
    """
    if context.settings.search.prune == "after":
        return None
    pool = list(dict.fromkeys(outcome.cell.seed for outcome in outcomes))
    while len(pool) < max(POOL, 2 * _compared(outcomes)):
        pool.append(max(pool) + 1)
    fits = [fine_tuned(context, replace(context.settings.train, seed=seed), context.present) for seed in pool]
    tests = [tested(context, fit) for fit in fits]
    return {
        "seeds": pool,
        "dev": [points(context, fit.dev) for fit in fits],
        "tests": {name: [points(context, {name: test[name]}) for test in tests] for name in context.inputs.tests},
    }


def summarise(context: RunContext, outcomes: Sequence[Outcome], pool: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row per arm and target, then one for the arm's mean over targets (language `mean`), as JSON values in points.

    Arms are compared with their own unpruned models. Rows of `ranked - random` and `ranked - highest` compare the models that
    two searches chose, in one table of their own. p is Holm-corrected over the printed table. Where no seed pruned anything the
    gain is 0 and is not part of that family. Where k was chosen on the tested split (the paper's protocols) there is no p: a
    maximum is not a random draw. `gain_minus_noise` is against the pool of re-seeded unpruned runs, or where heads are pruned
    after fine-tuning, against the random heads of the same search.
    """
    arms = {
        arm: [outcome for outcome in outcomes if outcome.cell.arm == arm]
        for arm in dict.fromkeys(outcome.cell.arm for outcome in outcomes)
    }
    ranked, *controls = arms.items()
    contrasts: list[dict[str, Any]] = []
    for arm, own in controls:
        pairs = [(a.pruned, b.pruned, _either(a, b)) for a, b in zip(ranked[1], own, strict=True)]
        contrasts += _rows(context, f"ranked - {arm}", pairs, None)
    rows: list[dict[str, Any]] = []
    for arm, own in arms.items():
        sides = [(outcome.pruned, outcome.unpruned, outcome.reported) for outcome in own]
        rows += _corrected(_rows(context, arm, sides, None if pool is None else _noise(context, pool, _compared(own))))
    if context.settings.search.prune == "after":
        random = {row["name"]: row for row in contrasts if row["arm"] == "ranked - random"}
        for row in (row for row in rows if row["arm"] == "ranked" and row["name"] in random):
            row["gain_minus_noise"] = _beyond(random[row["name"]]["gain"], random[row["name"]]["interval"])
    return [*rows, *_corrected(contrasts)]


def _compared(outcomes: Sequence[Outcome]) -> int:
    """Distinct models that the longest search chose among."""
    return max(
        max(1, sum(trial.k > 0 or outcome.cell.settings.search.include_zero for trial in outcome.table.trials))
        for outcome in outcomes
    )


def _either(one: Outcome, other: Outcome) -> dict[str, int]:
    """By target, whether there is anything to compare: 0 where neither search pruned."""
    return {name: max(k, other.reported[name]) for name, k in one.reported.items()}


def _corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one printed table, its tests corrected as one family."""
    family = [row for row in rows if row["p"] is not None]
    for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
        row["p_holm"] = p
    return rows


def _noise(context: RunContext, pool: Mapping[str, Any], n: int) -> dict[str | None, SelectionNoise]:
    """Gain expected from selection only, by target and for their mean (None); chosen on source dev or on the tested split."""
    tests = pool["tests"]
    groups: dict[str | None, list[str]] = {**{name: [name] for name in tests}, None: list(tests)}
    found = {}
    for key, names in groups.items():
        scores = np.transpose([tests[name] for name in names])
        chosen_on = scores if context.settings.rules.reported_split else pool["dev"]
        found[key] = selection_noise(chosen_on, scores, n=n)
    return found


def _rows(
    context: RunContext, arm: str, seeds: Sequence[_Side], noise: Mapping[str | None, SelectionNoise] | None
) -> list[dict[str, Any]]:
    """One row per target, then the mean over targets."""
    names = list(context.inputs.tests)
    return [
        *(_row(context, arm, (name, context.inputs.languages[name]), [name], seeds, noise) for name in names),
        _row(context, arm, (None, "mean"), names, seeds, noise),
    ]


def _row(
    context: RunContext,
    arm: str,
    called: tuple[str | None, str],
    targets: Sequence[str],
    seeds: Sequence[_Side],
    noise: Mapping[str | None, SelectionNoise] | None,
) -> dict[str, Any]:
    """The mean gain over seeds and some targets."""
    row: dict[str, Any] = {
        "arm": arm,
        "name": called[0],
        "language": called[1],
        "gain": 0.0,
        "n_seeds": len(seeds),
        "by_seed": [0.0] * len(seeds),
        "none_pruned": not any(ks[name] for *_, ks in seeds for name in targets),
    }
    row |= dict.fromkeys(["standard_error", "degrees_of_freedom", "interval", "p", "p_holm", "detectable_gain"])
    row |= dict.fromkeys(["noise", "gain_minus_noise"])
    if row["none_pruned"]:
        return row
    sets = [
        (np.stack([one[name].counts for one, *_ in seeds]), np.stack([other[name].counts for _, other, _ in seeds]))
        for name in targets
    ]

    def metric(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * main_metric(context, counts)

    # Translations have equally many sentences; where others do, drawing them by row together changes nothing in the mean.
    parallel = len({one.shape[1] for one, _ in sets}) == 1
    found = mean_gain(sets, metric, seed=_GAIN_SEED, parallel=parallel)
    row |= {
        "gain": found.value,
        "by_seed": list(found.by_seed),
        "standard_error": found.standard_error,
        "degrees_of_freedom": found.degrees_of_freedom,
        "interval": _bounds(found.interval),
        "p": None if context.settings.rules.reported_split else found.p,
        "detectable_gain": found.detectable,
    }
    if noise is not None:
        own = noise[called[0]]
        value, interval = beyond_noise(found, own)
        row["noise"] = {"mean": own.mean, "standard_error": own.standard_error}
        row["gain_minus_noise"] = _beyond(value, _bounds(interval))
    return row


def _beyond(value: float, interval: list[float] | None) -> dict[str, Any] | None:
    return None if interval is None else {"value": value, "interval": interval}


def _bounds(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
