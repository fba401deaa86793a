"""How true latency tables are: random plans of a real encoder, predicted from its table and measured as whole models.

    POLYHEAD_E5=FOLDER python benchmarks/latency_plans.py [--backend torch] [--precision auto] [--plans 10] [--seed 42] [--quick]

The model is the encoder of POLYHEAD_E5 (see `recipes/real_encoder.py`) with a new classifier. For each shape of batch the table
is measured anew. Every plan, with uneven layers, runs in turn with the table's reference model, and its time is its median ratio
to it. --quick takes `polyhead/tiny`, short batches and few turns, and writes its own file. Writes
`results/latency_plans-BACKEND-PRECISION.json`. Run nothing else.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict

import torch
from e5 import encoder
from environment import environment, median, rounded, write
from treebanks import LABELS

from polyhead.compression.latency import check_plans, grid_of, measure_latency
from polyhead.compression.latency_models import pause_of
from polyhead.compression.latency_table import random_counts
from polyhead.compression.timing import Timer
from polyhead.models.loading import load_tagger

SHAPES = ((1, 32), (32, 128))


def main() -> None:
    parser = argparse.ArgumentParser(description="predicted beside measured latency")
    parser.add_argument("--backend", default="torch", choices=["torch", "onnxruntime", "onnxruntime-int8"])
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"], help="of torch")
    parser.add_argument("--plans", type=int, default=10)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="polyhead/tiny, short batches; writes its own file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pause = pause_of(options.backend)
    timer = Timer(pause=pause, least=3, most=3) if options.quick else Timer(pause=pause)
    name = "polyhead/tiny" if options.quick else str(encoder())
    model = load_tagger(name, labels=LABELS, seed=options.seed).eval()
    rows = []
    for batch, length in ((1, 8), (2, 16)) if options.quick else SHAPES:
        started = time.perf_counter()
        table = measure_latency(
            model, batch=batch, length=length, backend=options.backend, precision=options.precision, timer=timer
        )
        seconds = time.perf_counter() - started
        heads, neurons = grid_of(model, options.backend).plans
        plans = random_counts(table, options.plans, seed=options.seed, heads=heads, neurons=neurons)
        checks = check_plans(model, table, plans, timer=timer)
        errors = [abs(check.error) for check in checks]
        rows.append(
            {
                **asdict(table),
                "table_seconds": seconds,
                "full_ms": table.full,
                "noise": table.noise,
                "misfit": table.misfit,
                "plans": [{**asdict(check), "error": check.error} for check in checks],
                "median_error": median(errors),
                "largest_error": max(errors),
            }
        )
        print(json.dumps({key: rows[-1][key] for key in ("batch", "length", "full_ms", "table_seconds", "noise", "misfit")}))
        print(json.dumps({key: rows[-1][key] for key in ("median_error", "largest_error")}), file=sys.stderr, flush=True)
    content = {
        "environment": environment(seed=options.seed),
        "work": "a forward pass of a token classifier, random subwords, rows of a batch after the first padded",
        "model": "polyhead/tiny" if options.quick else "e5 (12 layers of 12 heads and 1536 neurons)",
        "quick": options.quick,
        "rows": rounded(rows),
    }
    kind = f"{options.backend}-{rows[0]['precision']}{'-quick' if options.quick else ''}"
    print(f"written to {write(f'latency_plans-{kind}', content)}", file=sys.stderr)


if __name__ == "__main__":
    main()
