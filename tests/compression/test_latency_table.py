"""Latency tables without a machine: interpolation, fits of synthetic machines, files, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead.compression.latency_table import Conditions, LatencyTable, Point, fitted_table
from polyhead.compression.plan_sizes import counts_between, points_to_measure, random_counts
from polyhead.core.errors import SettingError, StoreError

CONDITIONS = Conditions(
    batch=32,
    length=128,
    backend="torch",
    kernel="sdpa",
    precision="fp32",
    threads=2,
    device="cpu",
    machine={"processor": "abacus"},
)
HEADS, NEURONS = counts_between(12, step=1, most=16), counts_between(1536, step=64, most=16)


def milliseconds(heads: float, neurons: float) -> float:
    """One layer of a synthetic machine: a start-up cost, and a cost by size that saturates."""
    return (0.3 + 0.4 * heads**0.9 if heads else 0.0) + (0.2 + 0.01 * neurons if neurons else 0.0)


def measured(n_layers: int, *, noise: float = 0.0, cross: float = 0.0, fixed: float = 5.0) -> list[Point]:
    random = np.random.default_rng(0)
    middle, others = points_to_measure(HEADS, NEURONS)

    def ms(heads: int, neurons: int) -> float:
        return fixed + n_layers * (milliseconds(heads, neurons) + cross * heads * neurons)

    return [
        Point(
            heads=heads,
            neurons=neurons,
            ratio=ms(heads, neurons) / ms(*middle) * float(random.lognormal(0, noise)),
            noise=noise,
            pairs=9,
            reference_ms=ms(*middle),
        )
        for heads, neurons in (*others, middle)
    ]


def table(noise: float = 0.0, cross: float = 0.0) -> LatencyTable:
    return fitted_table(CONDITIONS, measured(4, noise=noise, cross=cross), n_layers=4)


def test_an_additive_machine_is_predicted_exactly() -> None:
    found = table()
    assert found.fixed == pytest.approx(5.0)
    plan = [(0, 0), (12, 1536), (3, 256), (7, 1280)]
    assert found.predict(plan) == pytest.approx(5.0 + sum(milliseconds(*own) for own in plan))
    assert found.full == pytest.approx(5.0 + 4 * milliseconds(12, 1536))
    assert found.misfit == pytest.approx(0.0, abs=1e-6)
    assert found.attention_ms(5) == pytest.approx(milliseconds(5, 0))


def test_noise_of_a_per_cent_changes_no_prediction_by_more_than_two() -> None:
    found = table(noise=0.01)
    for plan in random_counts(found, 20, seed=1, heads=HEADS, neurons=NEURONS):
        assert found.predict(plan) == pytest.approx(5.0 + sum(milliseconds(*own) for own in plan), rel=0.02)


def test_a_machine_whose_parts_do_not_add_up_is_said_to_be_one() -> None:
    assert table(noise=0.002).misfit < 0.01
    assert table(cross=2e-4).misfit > 0.03


@given(
    st.lists(st.floats(0.1, 10.0), min_size=13, max_size=13),
    st.lists(st.floats(0.1, 10.0), min_size=len(NEURONS), max_size=len(NEURONS)),
    st.integers(0, 12),
    st.integers(0, 1536),
)
def test_times_never_fall_however_noisy_the_measurements(by_heads, by_neurons, heads: int, neurons: int) -> None:
    middle, others = points_to_measure(HEADS, NEURONS)
    points = [
        Point(
            heads=h,
            neurons=n,
            ratio=by_heads[h] * by_neurons[NEURONS.index(n)],
            noise=0.01,
            pairs=9,
            reference_ms=3.0,
        )
        for h, n in (*others, middle)
    ]
    found = fitted_table(CONDITIONS, points, n_layers=4)
    assert found.fixed >= 0
    assert 0 <= found.attention_ms(heads) <= found.attention_ms(12)
    assert 0 <= found.feed_forward_ms(neurons) <= found.feed_forward_ms(1536)
    assert found.attention_ms(max(heads - 1, 0)) <= found.attention_ms(heads)
    assert found.feed_forward_ms(max(neurons - 1, 0)) <= found.feed_forward_ms(neurons)


@given(st.integers(0, 1536))
def test_a_width_lies_between_its_measured_neighbours(neurons: int) -> None:
    found = table()
    known = dict(found.feed_forward)
    below, above = (max(n for n in known if n <= neurons), min(n for n in known if n >= neurons))
    assert known[below] <= found.feed_forward_ms(neurons) <= known[above]
    if below == neurons:
        assert found.feed_forward_ms(neurons) == known[neurons]


def test_a_file_is_read_back_and_needs_no_polyhead(tmp_path: Path) -> None:
    path, found = tmp_path / "table.json", table(noise=0.01)
    found.write(path)
    assert LatencyTable.read(path) == found
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["schema"], content["batch"], content["attention"][0]) == (1, 32, [0, 0.0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "not a latency table of schema 1"),
        ({"fixed": "fast"}, "fixed = 'fast': should be a number"),
        ({"attention": [[0, 0.0], [2, 1.0], [1, 2.0]]}, "attention: expected rising counts from 0"),
        ({"feed_forward": [[0, 0.0], [64, -1.0]]}, "feed_forward: expected rising counts from 0"),
        ({"feed_forward": []}, "feed_forward: expected rising counts from 0"),
        ({"n_layers": 0}, "0 layers"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(change: dict, said: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table().write(path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(StoreError) as error:
        LatencyTable.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ([(12, 1536)] * 3, "a plan of 3 layers: the latency table is of a model of 4"),
        ([(13, 0)] * 4, "13 heads in a layer: this model has 0 to 12"),
        ([(0, -1)] * 4, "-1 neurons in a layer: this model has 0 to 1536"),
    ],
)
def test_a_plan_of_another_model_is_refused(plan: list, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        table().predict(plan)


def test_other_conditions_are_refused_with_the_command_that_measures_them() -> None:
    table().require(batch=32, length=128, threads=2)
    with pytest.raises(SettingError) as error:
        table().require(batch=32, length=64)
    assert str(error.value) == (
        "length = 64: the latency table was measured with length = 128; measure that with polyhead profile MODEL --length 64"
    )


def test_slower_conditions_scale_a_table_by_its_reference() -> None:
    points = measured(4)
    slower = [replace(point, reference_ms=3 * point.reference_ms) for point in points]
    assert fitted_table(CONDITIONS, slower, n_layers=4).full == pytest.approx(3 * table().full)
