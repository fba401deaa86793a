"""Which sizes are measured, and which plans are predicted."""

from compression.test_latency_table import HEADS, NEURONS, table
from hypothesis import given
from hypothesis import strategies as st

from polyhead.compression.plan_sizes import counts_between, points_to_measure, random_counts, smaller_plans


@given(st.integers(1, 64), st.integers(1, 4), st.integers(1, 20))
def test_counts_to_measure_rise_from_none_to_all(groups: int, step: int, most: int) -> None:
    found = counts_between(groups * step, step=step, most=most)
    assert (found[0], found[-1]) == (0, groups * step)
    assert [*found] == sorted({*found})
    assert all(count % step == 0 for count in found)
    assert len(found) <= most + 2


def test_every_count_and_all_four_corners_are_measured_once() -> None:
    middle, others = points_to_measure((0, 1, 2, 3, 4), (0, 64, 128, 192, 256))
    assert middle == (2, 128)
    assert middle not in others
    assert len(others) == len({*others}) == 4 + 4 + 4
    assert {(0, 0), (4, 256), (0, 256), (4, 0)} < {*others}


def test_random_plans_are_of_all_sizes_and_uneven() -> None:
    plans = random_counts(table(), 40, seed=3, heads=HEADS, neurons=NEURONS)
    assert plans == random_counts(table(), 40, seed=3, heads=HEADS, neurons=NEURONS)
    shares = [sum(heads for heads, _ in plan) / 48 for plan in plans]
    assert min(shares) < 0.3 < 0.7 < max(shares)
    assert all(len({*plan}) > 1 and len(plan) == 4 for plan in plans)


def test_a_model_without_anything_takes_what_is_fixed_and_half_of_it_lies_between() -> None:
    found = table()
    times = {name: found.predict(plan) for name, plan in smaller_plans(found).items()}
    assert times["all heads and neurons"] == found.fixed == min(times.values())
    assert times["half of both"] < min(times["half of the heads"], times["half of the neurons"])
    assert max(times.values()) < found.full
