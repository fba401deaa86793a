"""What mixing masks in a batch costs: one model with several masks against the same model with one, and without.

    POLYHEAD_E5=FOLDER python benchmarks/mixed_masks.py [--quick] [--masks 4] [--share 0.25] [--seed 42]

Each mask drops a share of the heads, drawn by its own seed. The ways alternate; ratios are medians within a turn. --quick takes
`polyhead/tiny` and few repetitions. Writes `results/mixed_masks.json`. Run nothing else.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from e5 import encoder
from environment import environment, median, write
from treebanks import LABELS

from polyhead.core.heads import HeadMask
from polyhead.models.graphs import example_inputs
from polyhead.models.loading import load_tagger
from polyhead.models.model_heads import full_mask
from polyhead.models.pruning import prune

SHAPES = ((8, 32), (16, 64))


def main() -> None:
    parser = argparse.ArgumentParser(description="cost of masks by sentence")
    parser.add_argument("--quick", action="store_true", help="polyhead/tiny, two repetitions; writes its own file")
    parser.add_argument("--masks", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.25, help="share of the heads that each mask drops")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    name = "polyhead/tiny" if options.quick else str(encoder())
    whole = full_mask(load_tagger(name, labels=LABELS, seed=options.seed))
    masks = {f"m{i}": drawn(whole, options.share, options.seed + i) for i in range(options.masks)}
    shared = prune(load_tagger(name, labels=LABELS, seed=options.seed), masks)
    alone = prune(load_tagger(name, labels=LABELS, seed=options.seed), masks["m0"])
    rows = []
    for batch, length in SHAPES:
        inputs = example_inputs(batch, length, shared.config)
        mixed = [f"m{i % options.masks}" for i in range(batch)]
        ways = {
            "mixed": lambda inputs=inputs, mixed=mixed: shared(**inputs, mask_names=mixed),
            "one mask": lambda inputs=inputs, mixed=mixed: shared(**inputs, mask_names=["m0"] * len(mixed)),
            "all heads": lambda inputs=inputs: shared(**inputs),
            "pruned to one mask": lambda inputs=inputs: alone(**inputs),
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        with torch.inference_mode():
            for turn in range((2 if options.quick else 40) + 1):
                for way, run in ways.items():
                    started = time.perf_counter()
                    run()
                    if turn:
                        found[way].append(time.perf_counter() - started)
        for way, seconds in found.items():
            ratios = [own / one for own, one in zip(seconds, found["one mask"], strict=True)]
            rows.append({"way": way, "batch": batch, "length": length, "median_seconds": median(seconds)})
            rows[-1] |= {"ratio_to_one_mask": median(ratios), "quartiles": statistics.quantiles(ratios, n=4)[::2]}
            print(rows[-1], file=sys.stderr, flush=True)
    content = {
        "environment": environment(seed=options.seed),
        "work": f"forward pass in float32, {options.masks} masks that each drop {options.share:.0%} of the heads",
        "model": name if options.quick else "e5 (12 x 12 heads)",
        "quick": options.quick,
        "rows": rows,
    }
    print(f"written to {write('mixed_masks-quick' if options.quick else 'mixed_masks', content)}", file=sys.stderr)


def drawn(whole: HeadMask, share: float, seed: int) -> HeadMask:
    """A mask that drops so many heads at random."""
    order = np.random.default_rng(seed).random(whole.shape).argsort(axis=None)
    keep = np.ones(whole.keep.size, dtype=bool)
    keep[order[: round(share * keep.size)]] = False
    return HeadMask(keep.reshape(whole.shape))


if __name__ == "__main__":
    main()
