"""Ablation with shared lower layers against one full pass per head, alternating in one process.

    python benchmarks/ablation_cost.py [--rounds 7] [--threads 2]    # 2 minutes; run nothing else

`mini` fine-tuned on EWT, 512 dev sentences. The full passes use the same precision, batches, kernels and cached cast weights,
and add one pass for the loss with all heads on; only the recomputation differs. Writes `results/ablation_cost.json`: seconds
and their ratio by round, and the difference between the two sets of scores.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from environment import environment, median, write
from fine_tuned import SEEDS, batches, fine_tuned
from method_cells import precision
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.heads import HeadId, HeadMask
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch
from polyhead.learning.losses import losses_of
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.devices import attention_kernel
from polyhead.models.gates import gated
from polyhead.models.model_heads import full_mask

SEED = SEEDS[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, data = fine_tuned(SEED), batches("en")
    by_full_passes(model, data[:1])  # warm-up: kernels are set up on first use
    rounds = []
    for number in range(options.rounds):
        rounds.append(one_round(model, data, shared_first=number % 2 == 0))
        print(f"round {number + 1} of {options.rounds}: {rounds[-1]['ratio']:.3f}", file=sys.stderr, flush=True)
    content: dict[str, object] = {
        "environment": environment(seed=SEED),
        "work": "512 sentences of EWT dev, mini: 48 heads in 6 layers",
        "ratio": median([row["ratio"] for row in rounds]),
        "target": 0.6,
        "rounds": rounds,
    }
    print(f"written to {write('ablation_cost', content)}", file=sys.stderr)


def one_round(model: PreTrainedModel, data: Sequence[Batch], *, shared_first: bool) -> dict[str, float]:
    """Seconds of both, their ratio, and the largest difference relative to the largest score."""
    ways: dict[str, Callable[[], NDArray[np.float64]]] = {
        "shared": lambda: score_heads("ablation", model, data, precision=precision()).values,
        "full_passes": lambda: by_full_passes(model, data),
    }
    seconds, values = {}, {}
    for name in ways if shared_first else reversed(ways):
        started = time.perf_counter()
        values[name] = ways[name]()
        seconds[name] = time.perf_counter() - started
    apart = np.abs(values["shared"] - values["full_passes"]).max() / np.abs(values["full_passes"]).max()
    return {**seconds, "ratio": seconds["shared"] / seconds["full_passes"], "difference": float(apart)}


def by_full_passes(model: PreTrainedModel, data: Sequence[Batch]) -> NDArray[np.float64]:
    """The scores of `ablation`, from one full pass over all sentences per head."""
    full = full_mask(model)
    values = np.zeros(full.keep.shape)
    with scoring_mode(model, precision()), torch.inference_mode():
        on = mean_loss(model, data, full)
        for layer, head in np.ndindex(values.shape):
            values[layer, head] = mean_loss(model, data, HeadMask.without(*values.shape, [HeadId(layer, head)])) - on
    return values


def mean_loss(model: PreTrainedModel, data: Sequence[Batch], mask: HeadMask) -> float:
    """Mean over labelled sentences."""
    total, n = 0.0, 0
    for batch in data:
        padded = batch.attention_mask if batch.has_padding else None
        kernel = attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision(), work="predict")
        with gated(model, mask), kernel:
            losses, labelled = losses_of(model(input_ids=batch.input_ids, attention_mask=padded).logits, batch)
        total, n = total + float(losses.double().sum()), n + int(labelled.sum())
    return total / n


if __name__ == "__main__":
    main()
