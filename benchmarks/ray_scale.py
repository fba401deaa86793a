"""What the Ray engine itself costs: studies of cells whose stages sleep, on two workers of this machine.

Each cell shares a first stage with two others, then has a sweep of three stages, as its fine-tunings would be, and a record.
`overhead` is the time beyond what the sleeping alone takes on so many workers, for each step.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from environment import RESULTS, environment, rounded

from polyhead.core.exclusive import write_exclusively
from polyhead.core.files import write_json_atomic
from polyhead.core.records import record_bytes
from polyhead.core.store_kind import open_store
from polyhead.studies.ray_crew import Cluster, connected
from polyhead.studies.ray_engine import work_on_ray
from polyhead.studies.ray_worker import MakeJob, StudyTask
from polyhead.studies.study_check import data_of
from polyhead.studies.study_file import expand_study, parse_study
from polyhead.studies.study_folder import StudyOptions
from polyhead.studies.study_jobs import sharing_of
from polyhead.studies.study_store import KIND, SCHEMA, Only
from polyhead.studies.workers import each

SWEEP: Final = 3
GROUP: Final = 3
WORKERS: Final = 2
LARGE: Final = 100_000
PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "ray.md"
MARKS: Final = ("<!-- ray scale -->", "<!-- end of ray scale -->")


@dataclass(frozen=True)
class SleepingTask:
    """A cell whose stages sleep.

    Attributes:
        name: Of its record.
        group: Cells of one group share their first stage.
        seconds: That each stage sleeps.
        fails: Whether its sweep raises an error.
    """

    name: str
    group: str
    seconds: float
    fails: bool = False


@dataclass(frozen=True)
class SleepingJob:
    """Such a cell in a worker."""

    task: SleepingTask
    store: Path
    access: Only

    @property
    def name(self) -> str:
        """Name of its record."""
        return self.task.name

    @property
    def group(self) -> str:
        """Its source."""
        return self.task.group

    def advance(self) -> None:
        """As a cell of a study is replayed."""
        self._stage(f"{self.task.group}-source")
        each(range(SWEEP), self._sweep)
        path = self.store / "cells" / f"{self.name}.json"
        write_exclusively(path, record_bytes({"cell": self.name}, schema=1), temporary=path.with_suffix(f".{os.getpid()}.tmp"))

    def _sweep(self, k: int) -> None:
        if self.task.fails and k == 1:
            raise RuntimeError("this cell fails")
        self._stage(f"{self.name}-k{k}")

    def _stage(self, stage: str) -> None:
        path = self.store / "fits" / f"{stage}.json"
        if path.is_file():
            return
        lease = self.access.acquire(stage)
        try:
            if not path.is_file():
                time.sleep(self.task.seconds)
                lease.commit(path, record_bytes({"stage": stage, "pid": os.getpid()}, schema=1))
        finally:
            lease.release(finished=path.is_file())


def open_sleeping(store: Path, access: Only) -> MakeJob:
    """Opens a store in a worker."""
    return lambda task: SleepingJob(task, store, access)


def sleeping_tasks(n: int, *, seconds: float = 0.0) -> list[SleepingTask]:
    """So many cells in groups of three."""
    return [SleepingTask(f"cell-{place}", f"group-{place // GROUP}", seconds) for place in range(n)]


def made_by(store: Path) -> dict[str, int]:
    """The process that made each stage."""
    return {path.stem: json.loads(path.read_text())["pid"] for path in (store / "fits").glob("*.json")}


def measured(n: int, sleep: float, *, finished: int = 0) -> dict[str, Any]:
    """A study of so many cells, of which some are already finished."""
    with tempfile.TemporaryDirectory() as folder:
        store, tasks = Path(folder), sleeping_tasks(n, seconds=sleep)
        open_store(store, kind=KIND, schema=SCHEMA)
        (store / "cells").mkdir()
        for task in tasks[:finished]:
            (store / "cells" / f"{task.name}.json").write_bytes(record_bytes({"cell": task.name}, schema=1))
        began = time.perf_counter()
        outcome = work_on_ray(tasks, store, open_sleeping, Cluster(workers=WORKERS))
        seconds = time.perf_counter() - began
        stages = len(made_by(store))
    assert (outcome.done, outcome.found, outcome.failed) == (n - finished, finished, ())
    overhead = seconds - stages * sleep / WORKERS
    return {
        "cells": n,
        "finished_before": finished,
        "stages": stages,
        "sleep": sleep,
        "seconds": seconds,
        "overhead": overhead,
        "overhead_per_stage": overhead / stages if stages else None,
    }


def reading(n: int) -> dict[str, float]:
    """What the command does before it starts Ray: seconds to read a study of so many cells, and the process's memory after it."""
    text = (
        'name = "large"\ntasks = ["pos"]\nmodels = ["polyhead/tiny"]\nsources = ["phrases/en"]\ntargets = ["phrases/de"]\n'
        f"seeds = {list(range(n // 2))}\ncontrols = ['random']\n"
    )
    began = time.perf_counter()
    cells = expand_study(parse_study(text, "large.toml"))
    tasks = [StudyTask(cell, sharing, StudyOptions()) for cell, sharing in zip(cells, sharing_of(cells), strict=True)]
    kinds = {data_of(cell) for cell in cells}
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cells": len(tasks), "kinds_of_data": len(kinds), "seconds": seconds, "memory_mb": memory}


def write_page(rows: list[dict[str, Any]]) -> None:
    """Put the table into its page."""
    lines = ["| cells | finished before | stages | seconds | overhead |", "|--:|--:|--:|--:|--:|"]
    for row in rows:
        numbers = [f"{row[name]:,}" for name in ("cells", "finished_before", "stages")]
        seconds = [f"{row['seconds']:.0f} s", f"{row['overhead']:.0f} s, {1000 * row['overhead_per_stage']:.0f} ms a stage"]
        lines.append(f"| {' | '.join([*numbers, *seconds])} |")
    text = PAGE.read_text(encoding="utf-8")
    (start, end), table = MARKS, "\n".join(lines)
    before, after = text.partition(start)[0], text.partition(end)[2]
    PAGE.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", default=["10:0.5", "1000:0.05", "100000:0.05:99000"], help="CELLS:SLEEP[:FINISHED]")
    parser.add_argument("--out", type=Path, default=RESULTS / "ray_scale.json")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    began = time.perf_counter()
    with connected(Cluster()) as ray:
        started, rows = time.perf_counter() - began, []
        for row in options.rows:
            n, sleep, *finished = row.split(":")
            rows.append(measured(int(n), float(sleep), finished=int(finished[0]) if finished else 0))
            print(rows[-1], flush=True)
        version = ray.__version__
    if options.out == RESULTS / "ray_scale.json":
        write_page(rows)
    found = {"schema": 1, "ray": version, "workers": WORKERS, "start_seconds": started, "reading": reading(LARGE), "rows": rows}
    write_json_atomic(options.out, rounded({**found, "environment": environment()}))


if __name__ == "__main__":
    main()
