"""The three searches, their objectives, and resuming after a stop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.specs import SearchHow
from polyhead.selection.trials import TrialTable, regret, search

curves = st.integers(1, 9).flatmap(
    lambda n: st.lists(st.sampled_from([88.0, 89.5, 89.9, 90.0, 90.1, 91.0]), min_size=n + 1, max_size=n + 1)
)
MASKED = [90.0, 90.1, 89.9, 89.8, 89.75, 89.0, 88.5, 88.2, 88.05, 87.0, 86.0, 80.0, 70.0]
hows = st.sampled_from(["sweep", "sequential", "screened", "nested"])


def run(
    curve: list[float], how: SearchHow = "sweep", *, masked: list[float] | None = None, error: float = 0.3, **rest: object
) -> TrialTable:
    return search(
        lambda k: curve[k],
        max_pruned=len(curve) - 1,
        how=how,
        screen=lambda: masked or curve,
        standard_error=lambda: error,
        **rest,  # type: ignore[arg-type]
    )


def ks(table: TrialTable) -> list[int]:
    return [trial.k for trial in table.trials]


@given(curves, hows, st.sampled_from(["best", "within:0", "within:0.5", "within:3"]), st.booleans())
@settings(deadline=None)
def test_whatever_the_search_zero_is_tried_first_and_the_choice_keeps_its_promise(
    curve: list[float], how: SearchHow, objective: str, include_zero: bool
) -> None:
    table = run(curve, how, objective=objective, include_zero=include_zero)
    tried = ks(table)
    assert tried[0] == 0
    assert len(set(tried)) == len(tried)
    assert table.chosen in tried
    assert include_zero or table.chosen > 0
    assert [trial.score for trial in table.trials] == [curve[k] for k in tried]
    open_to = [k for k in tried if include_zero or k > 0]
    if objective == "best":
        assert table.chosen == max(open_to, key=lambda k: (curve[k], k))
    elif include_zero:
        loss = float(objective.removeprefix("within:"))
        assert table.chosen == max(k for k in tried if curve[k] >= curve[0] - loss - 1e-9)


def test_nested_scores_every_k_to_twelve_then_every_sixth_and_the_largest() -> None:
    table = run([90.0 - k / 100 for k in range(32)], "nested", objective="within:0.25")
    assert ks(table) == [*range(13), 18, 24, 30, 31]
    assert table.chosen == 24
    assert table.reason.startswith("scored one model under the masks of every k to 12, then every sixth to 31; k = 24 is the")
    assert ks(run([90.0, 91.0], "nested")) == [0, 1]


def test_sweep_tries_all_and_ties_go_to_the_larger_k() -> None:
    table = run([90.0, 91.0, 89.0, 91.0, 80.0])
    assert ks(table) == [0, 1, 2, 3, 4]
    assert table.chosen == 3


def test_within_takes_the_largest_k_that_loses_little_enough() -> None:
    assert run([90.0, 91.0, 89.4, 89.5, 80.0], objective="within:0.5").chosen == 3
    assert run([90.0, 91.0, 89.4, 89.5, 80.0], objective="within:0.4").chosen == 1


def test_sequential_stops_at_the_first_drop_below_the_best_so_far() -> None:
    assert ks(run([90.0, 90.0, 91.0, 90.9, 95.0], "sequential")) == [0, 1, 2, 3]
    assert ks(run([90.0, 90.0, 91.0, 90.9, 95.0], "sequential", delta=0.1)) == [0, 1, 2, 3, 4]
    assert ks(run([90.0, 89.0, 95.0], "sequential")) == [0, 1]
    assert ks(run([90.0, 89.0, 95.0], "sequential", include_zero=False)) == [0, 1, 2]


def test_sequential_measures_a_slow_decline_from_the_best() -> None:
    assert ks(run([91.0, 90.6, 90.2, 89.8, 95.0], "sequential", delta=0.5)) == [0, 1, 2]


def test_sequential_within_continues_while_the_loss_is_allowed() -> None:
    table = run([90.0, 89.8, 89.6, 88.0, 95.0], "sequential", objective="within:0.5")
    assert ks(table) == [0, 1, 2, 3]
    assert table.chosen == 2


def test_screened_fine_tunes_the_five_k_of_its_rule() -> None:
    table = run([90.0] * 13, "screened", masked=MASKED, error=0.3)
    assert ks(table) == [0, 2, 4, 6, 8]
    assert table.chosen == 8
    assert table.screen == tuple(MASKED)
    assert table.standard_error == 0.3
    assert "k = 4" in table.reason
    assert "k = 8" in table.reason


def test_screened_midpoints_are_rounded_down() -> None:
    assert ks(run([90.0] * 7, "screened", masked=[90.0, 80.0, 80.0, 90.0, 80.0, 80.0, 89.0])) == [0, 1, 3, 4, 6]


def test_screened_duplicates_collapse() -> None:
    assert ks(run([90.0] * 5, "screened", masked=[90.0] * 5)) == [0, 2, 4]
    assert ks(run([90.0] * 3, "screened", masked=[90.0, 10.0, 10.0])) == [0]
    assert ks(run([90.0] * 3, "screened", masked=[90.0, 10.0, 11.0], include_zero=False)) == [0, 2]
    assert ks(run([90.0], "screened")) == [0]


def test_screened_uses_the_largest_k_even_after_a_dip() -> None:
    assert ks(run([90.0, 90.0, 89.9, 90.0], "screened", masked=[90.0, 80.0, 90.0, 80.0])) == [0, 1, 2]


def test_screened_stops_at_more_than_two_standard_errors_below_the_best_so_far() -> None:
    curve = [90.0, 0, 90.4, 0, 89.75, 0, 89.0, 0, 99.0, 0, 0, 0, 0]
    table = run(curve, "screened", masked=MASKED, error=0.3)
    assert ks(table) == [0, 2, 4]  # 0.65 below 90.4, though only 0.25 below k = 0
    assert "stopped at k = 4: 0.65 points below the best so far" in table.reason
    assert table.chosen == 2
    curve[4] = 89.81
    table = run(curve, "screened", masked=MASKED, error=0.3)
    assert ks(table) == [0, 2, 4, 6]
    assert run(curve, "screened", masked=MASKED, error=0.8).chosen == 8
    assert "stopped" not in run([90.0] * 13, "screened", masked=MASKED, error=0.3).reason


def test_screened_within_measures_from_what_may_be_lost() -> None:
    curve = [90.0, 0, 91.0, 0, 89.0, 0, 88.3, 0, 99.0, 0, 0, 0, 0]
    table = run(curve, "screened", masked=MASKED, error=0.3, objective="within:1")
    assert ks(table) == [0, 2, 4, 6]  # not at 89.0, two points below the best so far
    assert "stopped at k = 6: 0.70 points below the lowest score allowed" in table.reason
    assert table.chosen == 4
    curve[6] = 88.41
    assert ks(run(curve, "screened", masked=MASKED, error=0.3, objective="within:1")) == [0, 2, 4, 6, 8]


def test_screened_without_zero_takes_no_bar_from_it() -> None:
    curve = [95.0, 0, 90.0, 0, 90.1, 0, 90.2, 0, 90.0, 0, 0, 0, 0]
    assert ks(run(curve, "screened", masked=MASKED, error=0.3, include_zero=False)) == [0, 2, 4, 6, 8]
    assert ks(run(curve, "screened", masked=MASKED, error=0.3)) == [0, 2]


def test_screened_continues_upwards_while_the_largest_k_is_chosen() -> None:
    masked = [90.0, 89.9, 89.8, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0]
    rising = [90.0 + 0.1 * k for k in range(13)]
    table = run(rising, "screened", masked=masked, error=0.3)
    assert ks(table) == [0, 1, 2, 7, 10]
    assert "k = 2 was still the one to choose, so k = 7 was tried; k = 7 was still" in table.reason
    falling = [90.0, 90.1, 90.2, *[90.1] * 10]
    assert ks(run(falling, "screened", masked=masked, error=0.3)) == [0, 1, 2, 7]
    assert ks(run(falling, "screened", masked=masked, error=0.3, objective="within:0.5")) == [0, 1, 2, 7, 10]
    assert ks(run([90.0, 89.9, 89.8, *[90.1] * 10], "screened", masked=masked, error=0.3)) == [0, 1, 2]
    assert ks(run([90.0, 90.0, 90.1, 90.2], "screened", masked=[90.0, 90.0, 70.0, 70.0])) == [0, 1, 2, 3]


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30), st.floats(0, 10))
@settings(deadline=None)
def test_screened_never_takes_more_than_five(masked: list[float], error: float) -> None:
    assert len(ks(run([90.0] * len(masked), "screened", masked=masked, error=error))) <= 5


@pytest.mark.parametrize("how", ["sweep", "sequential", "screened"])
def test_where_only_zero_was_allowed_the_reason_says_so_and_claims_no_comparison(how: SearchHow) -> None:
    for objective in ("best", "within:0.5"):
        reason = run([90.0], how, objective=objective).reason
        assert "k = 0 was the only one allowed (max_pruned = 0)" in reason
        assert "highest" not in reason
        assert "largest" not in reason
    assert "only one allowed" not in run([90.0, 80.0], how).reason


def test_where_only_zero_was_worth_a_trial_the_reason_claims_no_comparison() -> None:
    reason = run([90.0] * 3, "screened", masked=[90.0, 10.0, 10.0]).reason
    assert reason.endswith("; k = 0 is the only one tried (90.00)")


def test_the_reason_of_the_screening_says_what_was_masked() -> None:
    reason = run([90.0] * 3, "screened", masked=[90.0, 89.9, 88.5], error=0.3).reason
    assert reason == (
        "with heads only masked in the unpruned model the dev score stays within one standard error (0.30 points) up to k = 1 "
        "and within 2 points up to k = 2; k = 2 scores highest (90.00; k = 0: 90.00)"
    )


def test_zero_is_not_set_against_itself() -> None:
    assert run([90.0, 80.0]).reason == "tried every k from 0 to 1; k = 0 scores highest (90.00)"


def test_screening_happens_after_the_full_model_is_trained() -> None:
    order: list[str] = []

    def score_at(k: int) -> float:
        order.append(f"train {k}")
        return 90.0

    def screen() -> list[float]:
        order.append("screen")
        return [90.0, 90.0]

    def standard_error() -> float:
        order.append("error")
        return 0.5

    search(score_at, max_pruned=1, how="screened", screen=screen, standard_error=standard_error)
    assert order == ["train 0", "screen", "error", "train 1"]


def test_the_paper_takes_the_best_of_one_to_k_even_if_all_are_worse() -> None:
    table = run([95.0, 90.0, 91.0], include_zero=False)
    assert ks(table) == [0, 1, 2]
    assert table.chosen == 2


def test_regret_is_what_the_sweep_would_have_gained() -> None:
    curve = [90.0, 89.0, 95.0]
    assert regret(run(curve, "sequential"), dict(enumerate(curve))) == 5.0
    assert regret(run(curve), dict(enumerate(curve))) == 0.0


def simulated(seed: int) -> tuple[list[float], list[float], list[float]]:
    """Dev scores of k = 0..12, each with the noise of its own training, without it, and masked scores, which fall faster."""
    random, k = np.random.default_rng(seed), np.arange(13)
    turn, masked_turn = random.integers(0, 9, size=2)
    fall, power = 10 ** random.uniform(-2, 0.8), random.uniform(1, 2.5)

    def falls(points: float, start: int) -> NDArray[np.float64]:
        return points * (np.maximum(k - start, 0) / (12 - start)) ** power

    true = 90 + random.choice([0, 0.1, 0.3]) * np.minimum(k, turn) / max(turn, 1) - falls(fall, turn)
    masked = 90 - falls(fall * random.choice([0.5, 2, 8]), masked_turn) + random.normal(0, 0.05, 13)
    return (true + random.normal(0, random.choice([0.05, 0.1, 0.2]), 13)).tolist(), true.tolist(), masked.tolist()


def without_stopping(masked: list[float], error: float) -> list[int]:
    """The k of the screening alone: what the search would train if it neither stopped nor went on."""
    low, high = (max(k for k in range(13) if masked[k] >= masked[0] - drop) for drop in sorted((error, 2.0)))
    return sorted({0, low // 2, low, (low + high) // 2, high})


def test_on_concave_noisy_curves_stopping_costs_nothing_and_saves_trainings() -> None:
    found, error = [], 0.25
    for seed in range(1500):
        noisy, true, masked = simulated(seed)
        table, tried = run(noisy, "screened", masked=masked, error=error), without_stopping(masked, error)
        chosen = max(tried, key=lambda k: (noisy[k], k))
        sweep = dict(enumerate(noisy))
        before = max(noisy) - noisy[chosen]
        found.append((len(table.trials), len(tried), regret(table, sweep), before, true[table.chosen], true[chosen]))
    trainings, all_trainings, own, without, worth, worth_without = np.mean(found, axis=0)
    assert trainings < all_trainings - 0.2
    assert own < without + 0.002  # points on dev
    assert worth > worth_without - 0.002  # points with the noise taken off


def test_on_concave_noisy_curves_going_on_finds_more_heads_to_prune() -> None:
    found = []
    for seed in range(1500):
        noisy, true, masked = simulated(seed)
        table = run(noisy, "screened", masked=masked, error=0.25, objective="within:1")
        before = max(k for k in without_stopping(masked, 0.25) if noisy[k] >= noisy[0] - 1)
        found.append((table.chosen, before, max(true[0] - 1 - true[table.chosen], 0), len(table.trials)))
    own, without, excess, trainings = np.mean(found, axis=0)
    assert own > without + 0.1
    assert excess < 0.01
    assert trainings < 5


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"max_pruned": -1}, "max_pruned = -1"),
        ({"max_pruned": 0, "include_zero": False}, "at least 1"),
        ({"max_pruned": 2, "objective": "least"}, "objective"),
        ({"max_pruned": 2, "how": "binary"}, "'binary'"),
        ({"max_pruned": 2, "how": "screened"}, "needs the masked scores"),
        (
            {"max_pruned": 2, "how": "screened", "screen": lambda: [1.0], "standard_error": lambda: 0.1},
            r"screening gave \(1.0,\): expected a finite score for each k in 0..2",
        ),
        (
            {"max_pruned": 0, "how": "screened", "screen": lambda: [float("nan")], "standard_error": lambda: 0.1},
            "expected a finite score",
        ),
        ({"max_pruned": 0, "how": "screened", "screen": lambda: [1.0], "standard_error": lambda: float("nan")}, "standard_error"),
    ],
)
def test_settings_that_exclude_each_other(arguments: dict[str, object], what: str) -> None:
    with pytest.raises(SettingError, match=what):
        search(lambda k: 90.0, **arguments)  # type: ignore[arg-type]


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(SettingError, match="the trial with k = 1 scored nan"):
        search(lambda k: math.nan if k else 90.0, max_pruned=2, how="sweep")


def test_only_the_k_that_can_be_pruned_are_tried() -> None:
    """As where two heads share each key: every search works among them as among all k without that."""
    masked = [90.0, 89.9, 89.0, 70.0, 60.0]
    for how in ("sweep", "sequential", "screened", "nested"):
        plain = search(lambda k: 90.0 - k, max_pruned=4, how=how, screen=lambda: masked, standard_error=lambda: 0.2)
        tried: list[int] = []

        def score(k: int, tried: list[int] = tried) -> float:
            tried.append(k)
            return 90.0 - k / 2

        found = search(score, max_pruned=9, possible=(0, 2, 4, 6, 8), how=how, screen=lambda: masked, standard_error=lambda: 0.2)
        assert tried == [trial.k for trial in found.trials] == [2 * trial.k for trial in plain.trials]
        assert found.chosen == 2 * plain.chosen
    found = search(score, max_pruned=9, possible=(0, 2, 4, 6, 8), screen=lambda: masked, standard_error=lambda: 0.2)
    assert found.screen == (90.0, 90.0, 89.9, 89.9, 89.0, 89.0, 70.0, 70.0, 60.0, 60.0), "by k = 0..9"
    with pytest.raises(SettingError, match="screening gave"):
        search(score, max_pruned=9, possible=(0, 2), screen=lambda: masked, standard_error=lambda: 0.2)
