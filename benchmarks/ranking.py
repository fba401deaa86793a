"""Speed of ranking: polyhead against the paper's released procedure and a masked-gradient script, in one process.

    python benchmarks/ranking.py [--quick] [--sentences 256] [--seed 42]

All use the same torch, threads and sdpa attention; building batches is not timed. The variants run in rounds, one after the
other; the released procedure, which takes minutes, runs in two of the five. Ratios are of medians over rounds. After each pass
of polyhead the bare matrix products of that size are timed, so that pass and floor see the same machine. Takes about 15
minutes. Writes `results/ranking.json`. Run nothing else.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from baselines import masked_script, released_procedure
from environment import environment, median, write
from ranking_floor import floor, operations, products, rate
from ranking_memory import mbert_sample, mbert_shape

from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, scoring_batches, training_batches
from polyhead.models.devices import Precision, has_bf16_units

Work = tuple[Sequence[Batch], Callable[[Sequence[Batch]], object]]
ROUNDS, SLOW_ROUNDS = 5, (1, 3)
TARGETS = {"released": {"bf16": 25, "fp32": 10}, "script": {"bf16": 7, "fp32": 3}}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    precisions: list[Precision] = ["bf16", "fp32"] if has_bf16_units(torch.device("cpu")) else ["fp32"]
    memory = {p: _in_fresh_process(p, options) for p in precisions}
    encoded, model = mbert_sample(options.sentences, options.seed), mbert_shape(options.seed)
    batches = scoring_batches(encoded)
    in_file_order = {
        "released": training_batches(encoded, batch_size=8, order="file", seed=0, epoch=0, pad_to=256),
        "script": training_batches(encoded, batch_size=32, order="file", seed=0, epoch=0),
    }
    baselines = {"released": released_procedure, "script": masked_script}
    work: dict[str, Work] = {f"polyhead {p}": (batches, partial(score_heads, "gradient", model, precision=p)) for p in precisions}
    for name, run in baselines.items():
        work[f"{name}, sorted batches"] = (batches, partial(run, model))
        work[name] = (in_file_order[name], partial(run, model))
    rounds = 1 if options.quick else ROUNDS
    found, limits = measured(work, {p: products(p) for p in precisions}, operations(batches), rounds)
    model.requires_grad_(True)
    content = {
        "environment": environment(seed=options.seed),
        "work": f"mBERT's shape with random weights, {encoded.n_sentences} sentences of UD English-EWT dev drawn by seed",
        "quick": options.quick,
        "rows": {name: row(found[name], work[name][0]) for name in work},
        "speed_up": {name: speed_up(found, name, precisions) for name in TARGETS},
        "floor": {p: floor(list(found[f"polyhead {p}"].values()), limits[p], operations(batches)) for p in precisions},
        "memory": memory,
    }
    path = write("ranking-quick" if options.quick else "ranking", content)
    print(json.dumps({key: content[key] for key in ("speed_up", "floor", "memory")}, indent=1))
    print(f"written to {path}", file=sys.stderr)


def measured(
    work: Mapping[str, Work], bare: Mapping[Precision, Callable[[], None]], n_operations: float, rounds: int
) -> tuple[dict[str, dict[int, float]], dict[Precision, list[float]]]:
    """Seconds by row and round, and the floor's seconds by precision after each of polyhead's passes.

    All rows run in every round, except the released procedure on its own batches, which takes minutes.
    """
    for name, (batches, run) in work.items():
        run(batches if name.startswith("polyhead") else batches[-1:])  # warm-up: the slow ones on one batch
    for products_alone in bare.values():
        products_alone()
    found: dict[str, dict[int, float]] = {name: {} for name in work}
    limits: dict[Precision, list[float]] = {p: [] for p in bare}
    for number in range(rounds):
        for name, (batches, run) in work.items():
            if name == "released" and rounds > 1 and number not in SLOW_ROUNDS:
                continue
            started = time.perf_counter()
            run(batches)
            found[name][number] = time.perf_counter() - started
            print(f"round {number + 1}/{rounds} {name}: {found[name][number]:.2f} s", file=sys.stderr, flush=True)
            for p in bare:
                if name == f"polyhead {p}":
                    limits[p].append(n_operations / rate(bare[p]))
    return found, limits


def speed_up(found: Mapping[str, Mapping[int, float]], name: str, precisions: Sequence[Precision]) -> dict[str, object]:
    """Speed-up over baseline `name`, in all and by part: ratios of medians over rounds."""

    def ratio(slow: str, fast: str) -> float:
        return median(list(found[slow].values())) / median(list(found[fast].values()))

    best = f"polyhead {precisions[0]}"
    parts = {
        "padding": ratio(name, f"{name}, sorted batches"),
        "gradients": ratio(f"{name}, sorted batches", "polyhead fp32"),
        "precision": ratio("polyhead fp32", best),
    }
    by_round = {str(number): found[name][number] / found[best][number] for number in found[name]}
    whole = {p: ratio(name, f"polyhead {p}") for p in precisions}
    return {**whole, f"{precisions[0]}_by_round": by_round, "target": TARGETS[name], "of_which": parts}


def row(found: Mapping[int, float], batches: Sequence[Batch]) -> dict[str, object]:
    """One way of ranking: seconds by round, and the size of its input."""
    return {"median_seconds": median(list(found.values())), "seconds": {str(k): v for k, v in found.items()}, **_size(batches)}


def _size(batches: Sequence[Batch]) -> dict[str, object]:
    positions, tokens = (sum(own) for own in zip(*((batch.n_positions, batch.n_tokens) for batch in batches), strict=True))
    return {"batches": len(batches), "positions": positions, "tokens": tokens, "padding_share": 1 - tokens / positions}


def _in_fresh_process(precision: Precision, options: argparse.Namespace) -> dict[str, float]:
    script = str(Path(__file__).with_name("ranking_memory.py"))
    command = [sys.executable, script, precision, str(options.sentences), str(options.seed), str(options.threads)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="speed of ranking against two baselines")
    parser.add_argument("--quick", action="store_true", help="16 sentences, one round; writes its own file")
    parser.add_argument("--sentences", type=int, default=None)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    options.sentences = options.sentences or (16 if options.quick else 256)
    return options


if __name__ == "__main__":
    main()
