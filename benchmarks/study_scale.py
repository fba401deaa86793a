"""What the store of a study costs at 10, 1,000 and 100,000 cells: time per cell, to list, check and resume, files and bytes.

    python benchmarks/study_scale.py --cells 10 1000 10000    # about four minutes; run nothing else
    python benchmarks/study_scale.py --cells 100000           # about half an hour; keeps the other rows

Every cell has one stage that sleeps (`sleeping_cells.py`), so what is left is the store: leases, records that are synced to disk,
heartbeats. 1, 2 and 8 worker processes share one folder on this machine's disk. *Overhead*: elapsed time per cell beyond the
stages, which the workers share, and beyond waiting for others at the end. *List*: names of the finished cells; *check*: every
record is read and its checksum compared; *resume*: a worker that finds nothing to do, from its call to its end. Medians of five.
Writes `results/study_scale.json`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from environment import RESULTS, environment, median, rounded, seconds, write
from sleeping_cells import SleepingCell, record

from polyhead.core.files import read_json
from polyhead.core.leases import Leases
from polyhead.core.records import read_records, record_names
from polyhead.studies.workers import work

WORKERS = (1, 2, 8)
STAGE_SECONDS = {10: 0.5, 1000: 0.02, 10_000: 0.001, 100_000: 0.001}
WORKER = Path(__file__).with_name("sleeping_cells.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", nargs="+", type=int, choices=STAGE_SECONDS, default=list(STAGE_SECONDS))
    parser.add_argument("--folder", type=Path, help="where the stores are made and removed, for example on a shared disk")
    options = parser.parse_args()
    path = RESULTS / "study_scale.json"
    rows = read_json(path)["rows"] if path.is_file() else {}
    for n in options.cells:
        rows[str(n)] = {"environment": environment(), "stage_seconds": STAGE_SECONDS[n], **measured(n, options.folder)}
        in_order = {name: rows[name] for name in sorted(rows, key=int)}
        print(f"written to {write('study_scale', {'rows': rounded(in_order, 4)})}", file=sys.stderr)


def measured(n: int, folder: Path | None) -> dict[str, object]:
    """All figures of so many cells."""
    by_workers = {}
    for workers in WORKERS:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            by_workers[str(workers)] = run(Path(name), n, workers)
            finished = store_figures(Path(name), n)
        print(f"{n} cells, {workers} workers: {by_workers[str(workers)]}", file=sys.stderr, flush=True)
    return {"by_workers": by_workers, "finished_store": finished}


def run(store: Path, n: int, workers: int) -> dict[str, float]:
    """Worker processes that do all cells of a new store."""
    command = [sys.executable, str(WORKER), str(store)]
    started = [
        subprocess.Popen([*command, f"w{place}", str(n), str(STAGE_SECONDS[n])], stdout=subprocess.PIPE)
        for place in range(workers)
    ]
    ended = [json.loads(process.communicate()[0]) for process in started]
    if sum(own["done"] for own in ended) < n or len(record_names(store / "cells")) != n:
        raise RuntimeError(f"{n} cells were to be done, these were: {ended}")
    total, slept, waited = (sum(own[name] for own in ended) for name in ("seconds", "slept", "waited"))
    return {
        "seconds": max(own["seconds"] for own in ended),
        "ideal_seconds": slept / workers,
        "overhead_ms_per_cell": 1000 * (total - slept - waited) / n / workers,
        "waited_seconds": waited / workers,
        "stages_done_twice": sum(own["discarded"] for own in ended),
    }


def store_figures(store: Path, n: int) -> dict[str, float]:
    """Figures of a finished store; checks that nothing but the records is left."""
    cells = store / "cells"
    sizes = [file.stat() for file in cells.iterdir()]
    if any((store / "leases").iterdir()) or any((store / "workers").iterdir()) or len(sizes) != n:
        raise RuntimeError(f"{store}: work has left files behind")

    def resume() -> None:
        with Leases(store / "leases", "again") as leases:
            outcome = work([SleepingCell(place, store, leases, 0.0) for place in range(n)], store, leases)
        if outcome.found != n:
            raise RuntimeError(f"{outcome.done} cells were done again")

    def check() -> None:
        if len(read_records(cells, schema=1).good) != n:
            raise RuntimeError("damaged records")

    return {
        "list_seconds": timed(lambda: record_names(cells)),
        "check_seconds": timed(check),
        "resume_seconds": timed(resume),
        "files": len(sizes),
        "bytes": sum(size.st_size for size in sizes),
        "bytes_on_disk": sum(512 * size.st_blocks for size in sizes),
        "bytes_per_record": len(record("0")),
    }


def timed(call: Callable[[], object]) -> float:
    return median(seconds(call, repetitions=5, within=30.0))


if __name__ == "__main__":
    main()
