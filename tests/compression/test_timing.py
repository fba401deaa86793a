"""Work that runs in turn, timed by a clock of our own."""

import numpy as np
import pytest

from polyhead.compression.timing import Timer, noise_of, turns


class Machine:
    """A clock that stands still but for the work done; `speed` is the time of one unit of work, by call."""

    def __init__(self, speed=lambda call: 1.0) -> None:
        self.now, self.calls, self.speed, self.log = 0.0, 0, speed, []

    def work(self, name: str, units: float):
        def call() -> None:
            self.now += units * self.speed(self.calls)
            self.calls += 1
            self.log.append(name)

        return call

    def timer(self, **settings) -> Timer:
        return Timer(clock=lambda: self.now, **settings)


def test_calls_alternate_their_order_and_the_first_two_of_each_do_not_count() -> None:
    machine = Machine(speed=lambda call: 100.0 if call < 4 else 1.0)
    found = turns([machine.work("a", 2.0), machine.work("b", 3.0)], timer=machine.timer(least=3, most=3))
    assert found.tolist() == [[2.0, 3.0]] * 3
    assert "".join(machine.log) == "abab" + "ba" + "ab" + "ba"


def test_a_slow_phase_of_the_machine_changes_no_ratio() -> None:
    machine = Machine(speed=lambda call: 5.0 if call > 12 else 1.0)
    found = turns([machine.work("a", 2.0), machine.work("b", 3.0)], timer=machine.timer(least=9, most=9))
    assert np.median(found[:, 1] / found[:, 0]) == pytest.approx(1.5)


def test_precise_work_ends_early_and_noisy_work_when_time_or_turns_are_up() -> None:
    random = np.random.default_rng(0)

    def n_turns(noise: float, **settings) -> int:
        machine = Machine(speed=lambda call: float(random.lognormal(0, noise)))
        return len(turns([machine.work("a", 1.0), machine.work("b", 1.0)], timer=machine.timer(least=5, **settings)))

    assert n_turns(0.0) == 5
    assert n_turns(0.5, most=40, seconds=1e9) == 40
    assert 5 <= n_turns(0.5, seconds=20.0) < 20
    assert n_turns(0.5, seconds=1.0) == 5, "the least number of turns is taken in any case"


def test_a_pause_is_no_part_of_the_time() -> None:
    machine = Machine()

    def pause() -> None:
        machine.now += 50.0

    assert machine.timer(pause=pause).time(machine.work("a", 2.0)) == 2.0


def test_noise_is_the_standard_error_of_a_median_whatever_the_outliers() -> None:
    random = np.random.default_rng(1)
    medians = [np.median(random.normal(10.0, 1.0, 101)) for _ in range(400)]
    values = random.normal(10.0, 1.0, 10_001)
    assert noise_of(values[:101]) == pytest.approx(np.std(medians) / 10, rel=0.35)
    assert noise_of(np.append(values[:101], [1e9] * 3)) < 2 * noise_of(values[:101])
