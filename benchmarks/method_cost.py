"""Seconds and memory of every importance method on 512 English dev sentences, each in its own process; run nothing else.

    python benchmarks/method_cost.py [--methods gradient ...]

Memory is peak resident memory while scoring minus that of the loaded model. `shapley` stops after 100 passes; its
time depends on the budget. Writes `results/method_cost.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from environment import environment, write
from fine_tuned import SEEDS, batches, fine_tuned
from method_cells import precision

from polyhead.importance.methods import METHODS, score_heads

REPETITIONS = 3
SEED = SEEDS[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--one", choices=list(METHODS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one)))
        return
    rows = {}
    for name in options.methods:
        times = 1 if METHODS[name].forward.count is None else REPETITIONS
        runs = [own_process(name) for _ in range(times)]
        seconds = [run["seconds"] for run in runs]
        rows[name] = {**runs[-1], "seconds": statistics.median(seconds), "all_seconds": seconds}
        print(name, json.dumps(rows[name]), file=sys.stderr, flush=True)
    content = {"environment": environment(seed=SEED), "work": "512 sentences of EWT dev, mini", "methods": rows}
    print(f"written to {write('method_cost', content)}", file=sys.stderr)


def own_process(name: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout)


def measured(name: str) -> dict[str, float]:
    model, data = fine_tuned(SEED), batches("en")
    score_heads("gradient", model, data[:2], precision=precision())  # warm-up: kernels are set up on first use
    loaded = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    started = time.perf_counter()
    options = {"max_passes": 100} if METHODS[name].takes("max_passes") else None
    scores = score_heads(name, model, data, precision=precision(), options=options)
    seconds = time.perf_counter() - started
    passes = {"forward": scores.forward_passes, "backward": scores.backward_passes}
    return {"seconds": seconds, "memory_gb": _resident("VmHWM") - loaded, **passes}


def _resident(field: Literal["VmRSS", "VmHWM"]) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**20


if __name__ == "__main__":
    main()
