"""Gains of arms: the same arithmetic as `mean_gain`, by what each test set has, with contrasts, masks and pools."""

from dataclasses import replace

import numpy as np
import pytest

from polyhead.core.errors import SettingError
from polyhead.selection.gains import GAIN_SEED, ArmGain, Counts, SeedScores, UnprunedPool, arm_gains, corrected
from polyhead.selection.resampling import Array
from polyhead.selection.statistics import holm, mean_gain

SIZES = {"de": 60, "nl": 40}


def points(sums: Array) -> Array:
    return np.asarray(100 * sums[..., 0] / sums[..., 1])


def drawn(rate: float, *, seed: int, n: int) -> Counts:
    right = np.random.default_rng(seed).binomial(20, rate, size=n)
    return np.stack([right, np.full(n, 20)], axis=1)


def scores(
    seed: int, gain: float = 0.1, k: int = 3, *, nested: bool = False, names: tuple[str, ...] = ("de", "nl")
) -> SeedScores:
    unpruned = {name: drawn(0.6, seed=seed, n=SIZES[name]) for name in names}
    pruned = {name: drawn(0.6 + gain, seed=100 + seed, n=SIZES[name]) if k else unpruned[name] for name in names}
    whole = {name: drawn(0.62, seed=200 + seed, n=SIZES[name]) for name in names} if nested else None
    return SeedScores(seed, unpruned, pruned, dict.fromkeys(names, k), whole, compared=4)


def gains(arms: dict[str, list[SeedScores]], **options: object) -> dict[tuple[str, str | None], ArmGain]:
    settings = {"one_training": False, "chosen_on_test": False, **options}
    found = arm_gains(arms, list(SIZES), points, **settings)  # type: ignore[arg-type]
    return {(row.arm, row.name): row for row in found}


def test_a_gain_is_mean_gain_of_the_same_counts() -> None:
    own = [scores(seed) for seed in range(5)]
    found = gains({"ranked": own})
    sets = [(np.stack([o.pruned[n] for o in own]), np.stack([o.unpruned[n] for o in own])) for n in SIZES]
    for name, some in (("de", sets[:1]), ("nl", sets[1:]), (None, sets)):
        wanted, row = mean_gain(some, points, seed=GAIN_SEED), found["ranked", name].found
        assert row.value == pytest.approx(wanted.value)
        assert row.standard_error == pytest.approx(wanted.standard_error, rel=1e-9)
        assert row.p == pytest.approx(wanted.p, rel=1e-6)


def test_a_test_set_has_the_seeds_that_scored_it_and_the_mean_those_that_scored_all() -> None:
    own = [scores(0), scores(1, names=("de",)), scores(2), scores(3, names=("nl",))]
    found = gains({"ranked": own})
    assert {name: row.seeds for (_, name), row in found.items()} == {"de": (0, 1, 2), "nl": (0, 2, 3), None: (0, 2)}


def test_contrasts_pair_the_seeds_that_both_arms_have() -> None:
    found = gains({"ranked": [scores(seed) for seed in range(5)], "random": [scores(seed, 0.02) for seed in (4, 1, 2)]})
    row = found["ranked - random", "de"]
    assert row.seeds == (1, 2, 4)
    wanted = [points(a.pruned["de"].sum(axis=0)) - points(b.pruned["de"].sum(axis=0)) for a, b in
              ((scores(seed), scores(seed, 0.02)) for seed in (1, 2, 4))]  # fmt: skip
    assert row.found.by_seed == pytest.approx(wanted)


def test_none_pruned_has_no_p_and_leaves_the_family() -> None:
    found = gains({"ranked": [scores(seed, k=0) for seed in range(5)]})
    assert all((row.none_pruned, row.found.value, row.found.p) == (True, 0.0, None) for row in found.values())
    mixed = corrected([*found.values(), *gains({"ranked": [scores(seed) for seed in range(5)]}).values()])
    family = [row for row in mixed if row.p_holm is not None]
    assert [row.p_holm for row in family] == pytest.approx(holm([row.found.p for row in family if row.found.p is not None]))
    assert len(family) == 3


def test_the_mask_is_held_against_the_nested_models_own_zero() -> None:
    own = [scores(seed, k=3 * (seed > 0), nested=True) for seed in range(5)]
    row = gains({"ranked": own}, one_training=True)["ranked", "de"]
    assert row.of_mask is not None
    nested = [one.nested["de"] for one in own if one.nested is not None]
    wanted = [points(a.pruned["de"].sum(axis=0)) - points(whole.sum(axis=0)) for a, whole in zip(own, nested, strict=True)]
    wanted[0] = np.float64(0.0)
    assert row.of_mask.by_seed == pytest.approx(wanted)
    some = [replace(scores(seed, nested=True), ks={"de": 0, "nl": 3}) for seed in range(5)]
    found = gains({"ranked": some}, one_training=True)
    assert (found["ranked", "de"].of_mask, found["ranked", "nl"].of_mask is None) == (None, False), "none pruned: no mask"


def test_masks_of_one_training_are_held_against_random_heads_and_other_searches_against_the_pool() -> None:
    arms = {"ranked": [scores(seed) for seed in range(5)], "random": [scores(seed, 0.05) for seed in range(5)]}
    shared = gains(arms, one_training=True)
    assert shared["ranked", None].beyond is not None
    assert shared["ranked", None].beyond[0] == pytest.approx(shared["ranked - random", None].found.value)
    dev = np.random.default_rng(0).normal(70, 1, 10).tolist()
    pool = UnprunedPool(dict.fromkeys(SIZES, dev), dict.fromkeys(SIZES, dev))
    row = gains(arms, pool=pool)["ranked", None]
    assert row.noise is not None
    assert row.noise.mean > 0
    assert (
        gains(arms, pool=UnprunedPool(dict.fromkeys(SIZES, dev[:7]), dict.fromkeys(SIZES, dev[:7])))["ranked", None].noise is None
    )


def test_a_maximum_over_the_tested_split_has_no_interval_and_no_p() -> None:
    for row in gains({"ranked": [scores(seed) for seed in range(5)]}, chosen_on_test=True).values():
        assert (row.found.interval, row.found.p, row.found.detectable) == (None, None, None)


def test_groups_have_their_own_means() -> None:
    found = gains({"ranked": [scores(seed) for seed in range(3)]}, groups={"Germanic": ["de", "nl"]})
    assert found["ranked", "Germanic"].found == found["ranked", None].found


def test_models_of_different_test_sets_are_refused() -> None:
    odd = scores(1)
    short = SeedScores(1, odd.unpruned, {**odd.pruned, "de": odd.pruned["de"][:9]}, odd.ks)
    with pytest.raises(SettingError, match="different numbers of sentences"):
        gains({"ranked": [scores(0), short]})
