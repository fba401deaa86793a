"""A worker process of `study_scale.py`: cells whose only stage sleeps; free of torch, so that it starts at once.

python benchmarks/sleeping_cells.py STORE WORKER N SECONDS    # prints one JSON line when every cell is done
"""

import json
import random
import sys
import time
from pathlib import Path

from polyhead.core.leases import Leases
from polyhead.core.records import record_bytes
from polyhead.studies.workers import work


class SleepingCell:
    """One cell; `slept` adds up the seconds that all cells of this process slept."""

    slept = 0.0

    def __init__(self, place: int, store: Path, leases: Leases, seconds: float) -> None:
        self.name, self._leases, self._seconds = f"{place:016x}", leases, seconds
        self.group = self.name
        self._path = store / "cells" / f"{self.name}.json"

    def advance(self) -> None:
        """Sleep, then write the record."""
        with self._leases.holding(self.name) as lease:
            if self._path.exists():
                return
            began = time.perf_counter()
            time.sleep(self._seconds)
            SleepingCell.slept += time.perf_counter() - began
            lease.commit(self._path, record(self.name))


def record(name: str) -> bytes:
    """About as much as a cell's record holds: dev points of five trials in eight languages."""
    rng = random.Random(name)
    points = {f"ud/language-{place}": [round(rng.uniform(40, 95), 4) for _ in range(5)] for place in range(8)}
    cell = {"model": "polyhead/tiny", "task": "pos", "method": "gradient", "seed": 42}
    return record_bytes({"cell": cell, "dev": points, "test": points}, schema=1)


def main() -> None:
    store, worker, n, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    with Leases(store / "leases", worker) as leases:
        began = time.perf_counter()
        outcome = work([SleepingCell(place, store, leases, seconds) for place in range(n)], store, leases)
        took = time.perf_counter() - began
    found = {"seconds": took, "slept": SleepingCell.slept, "waited": outcome.waited}
    print(json.dumps(found | {"done": outcome.done, "discarded": outcome.discarded}))


if __name__ == "__main__":
    main()
