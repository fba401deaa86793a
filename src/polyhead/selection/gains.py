"""Gains of pruning in every arm of a search, with all that is held against them; of a run and of a study alike."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.data.corpora import independent, row_groups
from polyhead.selection.resampling import Array, CorpusMetric, Interval, redrawn
from polyhead.selection.statistics import SeedMean, SelectionNoise, beyond_noise, holm, mean_over_seeds, selection_noise

RANKED: Final = "ranked"
RANDOM_CONTRAST: Final = f"{RANKED} - random"
GAIN_SEED: Final = 1

Counts = NDArray[Any]
"""`[sentences, columns]` of whole numbers."""
Name = str | None
"""A test set or a group of them; None is the mean over all."""
_Means = Mapping[Name, Sequence[str]]


@dataclass(frozen=True, eq=False)
class SeedScores:
    """What one seed of one arm scored, by test set; a test set may be missing, here and in all fields alike.

    Attributes:
        seed: Of the fine-tunings.
        unpruned: Counts of the ordinary fine-tuning with all heads.
        pruned: Counts with the reported heads pruned; those of `unpruned` where none are.
        ks: Heads pruned.
        nested: Counts of the nested model with all heads; None unless the search was nested and they were kept.
        compared: Distinct models among which the search chose.
    """

    seed: int
    unpruned: Mapping[str, Counts]
    pruned: Mapping[str, Counts]
    ks: Mapping[str, int]
    nested: Mapping[str, Counts] | None = None
    compared: int = 1


@dataclass(frozen=True)
class UnprunedPool:
    """Scores in points of unpruned models that differ only in their seed, by test set and in one order of models.

    Attributes:
        dev: Score by which the search of that test set chooses.
        tests: Test scores.
    """

    dev: Mapping[str, Sequence[float]]
    tests: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class ArmGain:
    """The mean gain over seeds in one arm; or between two arms, if `arm` reads like `ranked - random`.

    Attributes:
        arm: The arm.
        name: The test set, or group; None for the mean over all.
        seeds: The seeds in it.
        found: The gain and its uncertainty.
        none_pruned: Whether no seed pruned anything.
        p_holm: p within the printed table.
        noise: Gain expected from choosing alone.
        beyond: The gain minus that of `noise`, or where a search's models share one training, minus the gain of random heads.
        of_mask: Gain over the nested model's own k = 0; None without counts of it, which controls do not keep.
    """

    arm: str
    name: Name
    seeds: tuple[int, ...]
    found: SeedMean
    none_pruned: bool
    p_holm: float | None = None
    noise: SelectionNoise | None = None
    beyond: tuple[float, Interval] | None = None
    of_mask: SeedMean | None = None


@dataclass(frozen=True, eq=False)
class _Scored:
    """One model on one test set: its score, and that over resampled sentences `[draws]`."""

    value: float
    drawn: Array
    n_sentences: int


_Pair = tuple[Counts, Counts]
_Pairs = Mapping[str, Sequence[_Pair]]
"""Counts of either side of a difference by test set, one pair a seed."""


def arm_gains(
    arms: Mapping[str, Sequence[SeedScores]],
    names: Sequence[str],
    metric: CorpusMetric,
    *,
    one_training: bool,
    chosen_on_test: bool,
    pool: UnprunedPool | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> list[ArmGain]:
    """One gain per arm and test set, each arm followed by its mean over test sets; then the contrasts of arms.

    Rows of `ranked - random` and `ranked - highest` compare the models that two searches chose, paired by seed. A test set has
    the seeds that scored it, the mean over test sets those that scored all. Where no seed pruned anything the gain is 0 without
    p. `p_holm` is left to `corrected`, for only the caller knows what stands in one table. One resample of a test set serves all
    models.

    Args:
        arms: Every arm's seeds; contrasts need one called `ranked`.
        names: The test sets.
        metric: From summed counts to points.
        one_training: Whether all models of a search are masks of one fine-tuning.
        chosen_on_test: Whether k was chosen on the tested split. A gain is then a maximum over noisy scores, which exceeds 0 even
            if pruning does nothing, so it has no interval, no detectable gain and no p.
        pool: Re-seeded unpruned models. Gains have no `noise` without, and where it has fewer than twice the models compared.
        groups: Test sets by name of a group, each of which gets its own mean before the mean over all.
    """
    scored = _Scores(arms, names, metric)
    means: dict[Name, Sequence[str]] = {name: [name] for name in names}
    means.update(groups or {})
    means[None] = names
    rows: list[ArmGain] = []
    contrasts: list[ArmGain] = []
    for arm, seeds in arms.items():
        rows += _own_rows(scored, arm, seeds, means, pool, chosen_on_test=chosen_on_test)
        if arm != RANKED and RANKED in arms:
            pairs = _by_seed(arms[RANKED], seeds)
            contrasts += [row for key in means if (row := _contrast(scored, f"{RANKED} - {arm}", pairs, key, means[key]))]
    if one_training:
        beyond = {row.name: _beyond(row.found.value, row.found.interval) for row in contrasts if row.arm == RANDOM_CONTRAST}
        rows = [replace(row, beyond=beyond.get(row.name)) if row.arm == RANKED else row for row in rows]
    rows += contrasts
    return [_withheld(row) for row in rows] if chosen_on_test else rows


def corrected(rows: Sequence[ArmGain]) -> list[ArmGain]:
    """The rows of one printed table, their tests corrected as one family."""
    adjusted = iter(holm([row.found.p for row in rows if row.found.p is not None]))
    return [row if row.found.p is None else replace(row, p_holm=next(adjusted)) for row in rows]


def _withheld(row: ArmGain) -> ArmGain:
    return replace(row, found=replace(row.found, interval=None, p=None))


class _Scores:
    """Scores of all models of a search over the same resamples, each computed when it is first asked for."""

    def __init__(self, arms: Mapping[str, Sequence[SeedScores]], names: Sequence[str], metric: CorpusMetric) -> None:
        self._metric, self._found = metric, dict[tuple[str, int], dict[int, _Scored]]()
        self._values = dict[str, Array]()
        self._models: dict[str, dict[int, Counts]] = {name: {} for name in names}
        for one in (seed for seeds in arms.values() for seed in seeds):
            for side in (one.unpruned, one.pruned, one.nested or {}):
                for name in names:
                    if name in side:
                        self._models[name][id(side[name])] = side[name]
        sizes = {name: {len(counts) for counts in own.values()} for name, own in self._models.items()}
        if uneven := {name: sorted(own) for name, own in sizes.items() if len(own) != 1}:
            raise SettingError(f"models were tested on different numbers of sentences: {uneven}; they cannot be paired")
        self._groups = row_groups({name: own.pop() for name, own in sizes.items()})

    def gain(self, pairs: _Pairs) -> SeedMean:
        """The mean over seeds and test sets; translations are resampled together, other test sets independently."""
        labels = [self._groups[name] for name in pairs]
        sets = [self._of(name, labels.index(label)) for name, label in zip(pairs, labels, strict=True)]
        both = [[(own[id(a)], own[id(b)]) for a, b in pairs[name]] for name, own in zip(pairs, sets, strict=True)]
        return mean_over_seeds(
            np.mean([[a.value - b.value for a, b in own] for own in both], axis=0),
            np.mean([np.stack([a.drawn - b.drawn for a, b in own], axis=1) for own in both], axis=0),
            n_sentences=min(own[0][0].n_sentences for own in both),
        )

    def _of(self, name: str, stream: int) -> dict[int, _Scored]:
        """Every model's score on a test set; equal streams and numbers of sentences have equal resamples."""
        if (name, stream) not in self._found:
            models = self._models[name]
            counts = independent(name, np.stack([*models.values()]))
            if name not in self._values:
                self._values[name] = self._metric(counts.sum(axis=1).astype(np.float64))
            values = self._values[name]
            drawn = np.ascontiguousarray(redrawn(counts, self._metric, seed=(GAIN_SEED, stream)).T)
            scored = (_Scored(float(v), own, counts.shape[1]) for v, own in zip(values, drawn, strict=True))
            self._found[name, stream] = dict(zip(models, scored, strict=True))
        return self._found[name, stream]


def _own_rows(
    scored: _Scores,
    arm: str,
    seeds: Sequence[SeedScores],
    means: _Means,
    pool: UnprunedPool | None,
    *,
    chosen_on_test: bool,
) -> list[ArmGain]:
    """An arm against its own unpruned models."""
    rows, n = [], max((one.compared for one in seeds), default=1)
    for name, used in means.items():
        own = [one for one in seeds if all(key in one.pruned for key in used)]
        if not own:
            continue
        row = _row(scored, arm, name, own, {key: [(one.pruned[key], one.unpruned[key]) for one in own] for key in used})
        if not row.none_pruned and pool is not None and (noise := _noise(pool, used, n, chosen_on_test=chosen_on_test)):
            value, interval = beyond_noise(row.found, noise)
            row = replace(row, noise=noise, beyond=_beyond(value, interval))
        if not row.none_pruned and all(one.nested is not None for one in own):
            row = replace(row, of_mask=scored.gain({key: [_mask_pair(one, key) for one in own] for key in used}))
        rows.append(row)
    return rows


def _mask_pair(one: SeedScores, name: str) -> _Pair:
    """The pruned and the whole nested model; twice the whole one where no head is pruned."""
    assert one.nested is not None
    whole = one.nested[name]
    return (one.pruned[name] if one.ks[name] else whole), whole


def _row(scored: _Scores, arm: str, name: Name, seeds: Sequence[SeedScores], pairs: _Pairs) -> ArmGain:
    pruned = any(one.ks[key] for one in seeds for key in pairs)
    found = scored.gain(pairs) if pruned else SeedMean(0.0, (0.0,) * len(seeds))
    return ArmGain(arm, name, tuple(one.seed for one in seeds), found, not pruned)


def _contrast(
    scored: _Scores, arm: str, pairs: Sequence[tuple[SeedScores, SeedScores]], name: Name, used: Sequence[str]
) -> ArmGain | None:
    own = [both for both in pairs if all(key in one.pruned for key in used for one in both)]
    if not own:
        return None
    pruned = any(one.ks[key] for both in own for one in both for key in used)
    sides = {key: [(a.pruned[key], b.pruned[key]) for a, b in own] for key in used}
    found = scored.gain(sides) if pruned else SeedMean(0.0, (0.0,) * len(own))
    return ArmGain(arm, name, tuple(a.seed for a, _ in own), found, not pruned)


def _by_seed(ranked: Iterable[SeedScores], others: Iterable[SeedScores]) -> list[tuple[SeedScores, SeedScores]]:
    by_seed = {one.seed: one for one in others}
    return [(one, by_seed[one.seed]) for one in ranked if one.seed in by_seed]


def _noise(pool: UnprunedPool, names: Sequence[str], n: int, *, chosen_on_test: bool) -> SelectionNoise | None:
    """The gain expected from choosing alone; None if the pool is too small or lacks a test set."""
    by = pool.tests if chosen_on_test else pool.dev
    if any(name not in by or len(by[name]) < 2 * n for name in names) or len({len(by[name]) for name in names}) > 1:
        return None
    return selection_noise(np.transpose([by[name] for name in names]), np.transpose([pool.tests[name] for name in names]), n=n)


def _beyond(value: float, interval: Interval | None) -> tuple[float, Interval] | None:
    return None if interval is None else (value, interval)
