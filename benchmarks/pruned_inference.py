"""What pruning gains at inference: throughput of mBERT's shape with 0, 25 and 50 % of its heads pruned.

    python benchmarks/pruned_inference.py [--quick] [--seed 42]

Heads are drawn by seed, the same number in every layer. The ceiling is the arithmetic limit: attention's share of the encoder's
multiply-adds times the share of heads removed. The sizes alternate, so that a slow moment of the machine affects all of them.
Writes `results/pruned_inference.json`. Run nothing else.
"""

import argparse
import json
import statistics
import sys
import time

import numpy as np
import torch
from environment import environment, median, write
from transformers import BertConfig, BertForTokenClassification

from polyhead.core.heads import HeadMask
from polyhead.models.devices import Precision, autocast, has_bf16_units
from polyhead.models.pruning import prune

WIDTH, LAYERS, HEADS, VOCABULARY = 768, 12, 12, 119_547
SHARES = (0.0, 0.25, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description="throughput after pruning")
    parser.add_argument("--quick", action="store_true", help="two repetitions, batch 1 only; writes its own file")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    models = {share: pruned_model(share, options.seed) for share in SHARES}
    precisions: list[Precision] = ["bf16", "fp32"] if has_bf16_units(torch.device("cpu")) else ["fp32"]
    rows = []
    for precision in precisions:
        for batch in (1,) if options.quick else (1, 32):
            for length in (32, 128):
                repetitions = 2 if options.quick else (100 if batch == 1 else 11)
                found = times(models, batch, length, precision, repetitions=repetitions, seed=options.seed)
                rows += [
                    {
                        "precision": precision,
                        "batch": batch,
                        "length": length,
                        "pruned_share": share,
                        "median_seconds": median(seconds),
                        "tokens_per_second": batch * length / median(seconds),
                        "speed_up": median(ratios),
                        "speed_up_quartiles": statistics.quantiles(ratios, n=4)[::2],
                        "ceiling": ceiling(share, length),
                        "seconds": seconds,
                    }
                    for share, seconds in found.items()
                    for ratios in [[full / own for full, own in zip(found[0.0], seconds, strict=True)]]
                ]
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    content = {
        "environment": environment(seed=options.seed),
        "work": "mBERT's shape with random weights, forward pass only, no padding, equally many heads pruned in every layer",
        "quick": options.quick,
        "rows": rows,
    }
    print(f"written to {write('pruned_inference-quick' if options.quick else 'pruned_inference', content)}", file=sys.stderr)


def pruned_model(share: float, seed: int) -> BertForTokenClassification:
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=VOCABULARY, num_labels=17, attn_implementation="sdpa")
    random = np.random.default_rng(seed)
    order = np.argsort(random.random((LAYERS, HEADS)), axis=1)
    return prune(BertForTokenClassification(config).eval(), HeadMask(order >= round(share * HEADS)))


def times(
    models: dict[float, BertForTokenClassification],
    batch: int,
    length: int,
    precision: Precision,
    *,
    repetitions: int,
    seed: int,
) -> dict[float, list[float]]:
    """Seconds of one forward pass, by share of heads pruned; one warm-up each."""
    ids = torch.randint(1000, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))
    found: dict[float, list[float]] = {share: [] for share in models}
    with torch.inference_mode(), autocast(torch.device("cpu"), precision):
        for turn in range(repetitions + 1):
            for share, model in models.items():
                started = time.perf_counter()
                model(input_ids=ids)
                if turn:
                    found[share].append(time.perf_counter() - started)
    return found


def ceiling(share: float, length: int) -> float:
    """Upper bound of the throughput ratio: a layer has 12 d² multiply-adds per token and 2 d per attended position."""
    attention, rest = 4 * WIDTH**2 + 2 * length * WIDTH, 8 * WIDTH**2
    return (attention + rest) / ((1 - share) * attention + rest)


if __name__ == "__main__":
    main()
