"""How true latency tables are: random plans of a real encoder, predicted from its table and measured as whole models.

    POLYHEAD_E5=FOLDER python benchmarks/latency_plans.py [--backend torch onnxruntime onnxruntime-int8] [--precision fp32 bf16]
                                                          [--plans 10] [--seed 42] [--quick]

The model is the encoder of POLYHEAD_E5 (see `recipes/real_encoder.py`) with a new classifier. For each backend and shape of batch
the table is measured anew. Every plan, with uneven layers, runs in turn with the table's reference model, and its time is its
median ratio to it. --quick takes `polyhead/tiny`, short batches and few turns, and writes its own file. Writes
`results/latency_plans.json`. Run nothing else.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

import torch
from e5 import encoder
from environment import environment, median, rounded, write
from transformers import PreTrainedModel
from treebanks import LABELS

from polyhead.compression.latency import measure_latency
from polyhead.compression.latency_check import check_plans
from polyhead.compression.latency_models import GRAPHS, pause_of
from polyhead.compression.latency_points import grid_of
from polyhead.compression.latency_table import Backend
from polyhead.compression.plan_sizes import random_counts, smaller_plans
from polyhead.compression.timing import Timer
from polyhead.models.devices import Precision
from polyhead.models.loading import load_tagger

SHAPES = ((1, 32), (32, 128))


def main() -> None:
    parser = argparse.ArgumentParser(description="predicted beside measured latency")
    parser.add_argument("--backend", nargs="+", default=["torch"], choices=["torch", *GRAPHS])
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=["fp32", "bf16"], help="of torch")
    parser.add_argument("--plans", type=int, default=10)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="polyhead/tiny, short batches; writes its own file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_tagger("polyhead/tiny" if options.quick else str(encoder()), labels=LABELS, seed=options.seed).eval()
    rows = []
    for backend in options.backend:
        for precision in options.precision if backend == "torch" else ["fp32"]:
            for batch, length in ((1, 8), (2, 16)) if options.quick else SHAPES:
                rows.append(row(model, batch, length, backend, precision, options))
                shown = ("backend", "precision", "batch", "length", "table_seconds", "noise", "misfit", "largest_error")
                print(json.dumps({name: rows[-1][name] for name in shown}), file=sys.stderr, flush=True)
    content = {
        "environment": environment(seed=options.seed),
        "work": "a forward pass of a token classifier, random subwords, rows of a batch after the first padded",
        "model": "polyhead/tiny" if options.quick else "e5 (12 layers of 12 heads and 1536 neurons)",
        "quick": options.quick,
        "rows": rounded(rows),
    }
    print(f"written to {write('latency_plans-quick' if options.quick else 'latency_plans', content)}", file=sys.stderr)


def row(
    model: PreTrainedModel, batch: int, length: int, backend: Backend, precision: Precision, options: argparse.Namespace
) -> dict[str, Any]:
    """One table, what smaller models take by it, and random plans predicted and measured."""
    timer = Timer(pause=pause_of(backend), **({"least": 3, "most": 3} if options.quick else {}))
    started = time.perf_counter()
    table = measure_latency(model, batch=batch, length=length, backend=backend, precision=precision, timer=timer)
    seconds = time.perf_counter() - started
    heads, neurons = grid_of(model, backend).plans
    plans = random_counts(table, options.plans, seed=options.seed, heads=heads, neurons=neurons)
    checks = check_plans(model, table, plans, timer=timer)
    errors = [abs(check.error) for check in checks]
    return {
        **asdict(table),
        "table_seconds": seconds,
        "full_ms": table.full,
        "noise": table.noise,
        "misfit": table.misfit,
        "smaller_ms": {name: table.predict(counts) for name, counts in smaller_plans(table).items()},
        "plans": [{**asdict(check), "error": check.error} for check in checks],
        "median_error": median(errors),
        "largest_error": max(errors),
    }


if __name__ == "__main__":
    main()
