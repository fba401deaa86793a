"""Shared by all benchmarks: the environment, medians, and one JSON file per benchmark."""

import argparse
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from polyhead.core.files import write_json_atomic
from polyhead.models.environment import environment as run_environment

RESULTS = Path(__file__).parent / "results"
SHARED = Path(__file__).resolve().parents[2] / "shared"


def environment(*, seed: int | None = None) -> dict[str, object]:
    """Machine, instruction set, versions, seed, command and date, as plain JSON values."""
    units = torch.cpu.get_capabilities()
    return {
        **run_environment(torch.device("cpu"), "each row's own"),
        "matrix_units": sorted(name for name in ("amx_bf16", "avx512_bf16", "avx512_f", "avx2") if units.get(name)),
        "memory_gb": _memory_gb(),
        "machine": platform.machine(),
        "seed": seed,
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def seconds(
    work: Callable[[], object], *, repetitions: int, within: float = 60.0, warm_up: Callable[[], object] | None = None
) -> list[float]:
    """Wall-clock seconds of each repetition, after one uncounted call of `warm_up` (default: the work itself).

    Stops after `within` measured seconds, but runs at least once.
    """
    (warm_up or work)()
    found: list[float] = []
    while not found or (len(found) < repetitions and sum(found) < within):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found


def median(values: list[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def rounded(value: Any, digits: int = 5) -> Any:
    """JSON values with every float to so many significant digits."""
    if isinstance(value, dict):
        return {name: rounded(own, digits) for name, own in value.items()}
    if isinstance(value, list):
        return [rounded(own, digits) for own in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def fits_or_table(about: str | None, seeds: Sequence[int], fine_tune: Callable[[int], None], table: Callable[[], None]) -> None:
    """The command line of a benchmark of fine-tunings: `fits [--seeds ...]` runs them, `table` writes the result."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("stage", choices=["fits", "table"])
    parser.add_argument("--seeds", nargs="+", type=int, choices=seeds, default=list(seeds))
    options = parser.parse_args()
    if options.stage == "table":
        table()
    else:
        for seed in options.seeds:
            fine_tune(seed)


def write(name: str, content: dict[str, object]) -> Path:
    """Write `results/name.json` with the schema number, and return its path."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomic(path, {"schema": 1, **content})
    return path


def _memory_gb() -> float | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    kilobytes = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("MemTotal"))
    return round(kilobytes / 2**20, 1)
