"""Progress is started once, advanced, and stopped also by an exception."""

import pytest

from polyhead.core.progress import Checking, tracking


class Noted(list[object]):
    def start(self, total: int, what: str) -> None:
        self.append((total, what))

    def advance(self, n: int) -> None:
        self.append(n)

    def stop(self) -> None:
        self.append("stop")


def test_a_progress_is_stopped_however_the_work_ends() -> None:
    noted = Noted()
    with tracking(noted, 2, "work") as advance:
        advance(1)
    with pytest.raises(KeyboardInterrupt), tracking(noted, 3, "more"):
        raise KeyboardInterrupt
    assert noted == [(2, "work"), 1, "stop", (3, "more"), "stop"]
    with tracking(None, 2, "work") as advance:
        advance(2)


def test_long_work_is_checked_between_its_steps() -> None:
    noted = Noted()

    def check() -> None:
        noted.append("check")

    for every in (0.0, 60.0):
        progress = Checking(noted, check, every=every)
        progress.start(1, "work")
        progress.advance(1)
        progress.stop()
    assert noted == [(1, "work"), 1, "check", "stop", (1, "work"), 1, "stop"]
