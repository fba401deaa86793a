"""Seconds that `study table` takes on a store of a thousand cells with made-up counts, and what they go to.

    python benchmarks/study_table_time.py

The store has 22 models × 3 sources × 3 arms × 5 seeds = 990 cells, each tested on 8 of 9 treebanks of 1,000 sentences. Reading
and computing are timed apart, in processor seconds and by the wall clock, the median of three rounds; each round reads the files
anew.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from environment import RESULTS, environment

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fake_study import Fake, write_store

from polyhead.core.files import write_json_atomic
from polyhead.report.study_record import read_cells
from polyhead.report.study_tables import study_tables

TREEBANKS = ("en_ewt", "zh_gsdsimp", "ar_padt", "he_htb", "ja_gsd", "fa_seraji", "de_gsd", "nl_alpino", "ur_udtb")
TARGETS = tuple(f"ud/{name}" for name in TREEBANKS)
ROUNDS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        models = tuple(f"model-{number}" for number in range(22))
        fake = Fake(models=models, sources=TARGETS[:3], targets=TARGETS, arms=("ranked", "random", "highest"), n_sentences=1000)
        n_cells = write_store(store, fake)
        n_bytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        rounds = [timed(store) for _ in range(ROUNDS)]
    found = {name: {clock: median(own[name][clock] for own in rounds) for clock in ("processor", "wall")} for name in rounds[0]}
    record = {
        "environment": environment(),
        "cells": n_cells,
        "megabytes": round(n_bytes / 1e6, 1),
        "sentences": 1000,
        "seconds": found,
        "rounds": rounds,
    }
    write_json_atomic(RESULTS / "study_table_time.json", record)
    for name, own in found.items():
        print(f"{name}: {own['processor']:.2f} processor seconds, {own['wall']:.2f} by the wall clock")


def timed(store: Path) -> dict[str, dict[str, float]]:
    marks = [(time.process_time(), time.perf_counter())]
    cells = read_cells(store)
    marks.append((time.process_time(), time.perf_counter()))
    study_tables(cells)
    marks.append((time.process_time(), time.perf_counter()))
    names = ("reading", "tables", "all")
    spans = [(marks[0], marks[1]), (marks[1], marks[2]), (marks[0], marks[2])]
    return {
        name: {"processor": round(b[0] - a[0], 2), "wall": round(b[1] - a[1], 2)}
        for name, (a, b) in zip(names, spans, strict=True)
    }


if __name__ == "__main__":
    main()
