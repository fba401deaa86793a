"""What searches are measured against: which k each tries, what it chooses, and what that costs."""

import numpy as np
import pytest
from trial_baselines import always_zero, evenly_spaced, random_ks

from polyhead.core.errors import SettingError
from polyhead.selection.trials import TrialTable, regret, search

SWEEP = {k: 90.0 - 0.1 * (k - 5) ** 2 for k in range(13)}


def ks(table: TrialTable) -> list[int]:
    return [trial.k for trial in table.trials]


def test_never_pruning_costs_one_training() -> None:
    table = always_zero(SWEEP)
    assert (ks(table), table.chosen) == ([0], 0)
    assert regret(table, SWEEP) == pytest.approx(2.5)


def test_even_steps_reach_both_ends() -> None:
    table = evenly_spaced(SWEEP)
    assert (ks(table), table.chosen) == ([0, 3, 6, 9, 12], 6)
    assert regret(table, SWEEP) == pytest.approx(0.1)
    assert [trial.score for trial in table.trials] == [SWEEP[k] for k in ks(table)]
    assert ks(evenly_spaced({0: 90.0, 1: 91.0, 2: 89.0})) == [0, 1, 2]
    assert ks(evenly_spaced({0: 90.0})) == [0]
    assert ks(evenly_spaced(SWEEP, n=2)) == [0, 12]


def test_random_ks_are_zero_and_others_that_the_seed_draws() -> None:
    tables = [random_ks(SWEEP, seed=seed) for seed in range(300)]
    assert all(len(set(ks(table))) == 5 and ks(table)[0] == 0 and max(ks(table)) <= 12 for table in tables)
    assert ks(random_ks(SWEEP, seed=3)) == ks(tables[3])
    counts = np.bincount([k for table in tables for k in ks(table)], minlength=13)
    assert counts[0] == 300
    assert counts[1:].min() > 70  # a hundred expected
    assert ks(random_ks({0: 90.0, 1: 91.0}, seed=0)) == [0, 1]
    assert ks(random_ks({0: 90.0}, seed=0)) == [0]


def test_the_objective_chooses() -> None:
    assert evenly_spaced(SWEEP, objective="within:0.5").chosen == 9
    assert evenly_spaced(SWEEP, objective="within:3").chosen == 12
    assert random_ks(SWEEP, seed=0, n=13, objective="within:0").chosen == 10


def test_all_k_tried_is_the_sweep() -> None:
    whole = search(SWEEP.__getitem__, max_pruned=12, how="sweep")
    for table in (evenly_spaced(SWEEP, n=13), random_ks(SWEEP, seed=1, n=13)):
        assert (table.trials, table.chosen) == (whole.trials, whole.chosen)
        assert regret(table, SWEEP) == 0


@pytest.mark.parametrize("sweep", [{}, {1: 90.0}, {0: 90.0, 2: 90.0}])
def test_a_sweep_must_be_whole(sweep: dict[int, float]) -> None:
    for baseline in (always_zero, evenly_spaced, lambda s: random_ks(s, seed=0)):
        with pytest.raises(SettingError, match="expected every k from 0 to the largest"):
            baseline(sweep)


def test_settings_that_are_not_allowed() -> None:
    with pytest.raises(SettingError, match="n = 1 trainings"):
        evenly_spaced(SWEEP, n=1)
    with pytest.raises(SettingError, match="n = 0 trainings"):
        random_ks(SWEEP, seed=0, n=0)
    with pytest.raises(SettingError, match="objective"):
        evenly_spaced(SWEEP, objective="least")
