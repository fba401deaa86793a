"""The lines of `study status`."""

from dataclasses import dataclass
from pathlib import Path

from fake_study import Fake, write_store

from polyhead.cli.study_status import finished_cells, status_text


@dataclass
class OneWorker:
    worker: str = "a1"
    host: str = "node7"
    job: str = "0123"
    done: int = 3
    failed: int = 0
    is_gone: bool = False


@dataclass
class OneFailure:
    name: str = "4567"
    what: str = "OutOfMemoryError: 2 GiB"
    times: int = 2
    at: str = "12:00"


def test_workers_failures_and_time_left() -> None:
    text = status_text(
        finished=3,
        planned=9,
        workers=[OneWorker(), OneWorker("b2", job=""), OneWorker("c3", is_gone=True)],
        failures=[OneFailure()],
        seconds_left=14_400,
    )
    assert text.splitlines() == [
        "cells: 3 of 9 finished, 1 failure",
        "time left: about 2.0 hours with 2 workers at work",
        "a1 on node7: works on 0123; 3 done, 0 failed",
        "b2 on node7: waits for other workers; 3 done, 0 failed",
        "1 worker ended without saying so: what they held is taken over",
        "failed: 4567, 2 times, last at 12:00: OutOfMemoryError: 2 GiB",
    ]


def test_long_lists_are_shortened() -> None:
    text = status_text(finished=0, failures=[OneFailure(str(number)) for number in range(13)])
    assert text.endswith("… 3 more failures (--json lists all)")


def test_finished_cells_are_counted_without_reading_them(tmp_path: Path) -> None:
    assert write_store(tmp_path, Fake(seeds=(1,))) == len(finished_cells(tmp_path)) == 2
