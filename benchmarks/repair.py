"""Heads pruned after fine-tuning, with and without a training-free repair: areas in nine languages.

    python benchmarks/repair.py cells [--seeds 42] [--orders lowest random]   # about 12 minutes an order and seed on one thread
    python benchmarks/repair.py table                                         # seconds; writes results/repair.json

`mini` fine-tuned on EWT; heads ranked by `gradient` on 512 English dev sentences, the lowest k = 0..24 of 48 pruned (or k in an
order drawn by seed). A repair uses 512 English training sentences without labels. Accuracy on 512 dev sentences per language.
Finished cells are kept. No timings.
"""

import argparse
import copy
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from area_intervals import Areas, Counts, areas_of, minus, summary
from environment import environment, write
from fine_tuned import SEEDS, batches, fine_tuned, identity_of, sentences
from method_cells import DEFAULT, K, precision, scored
from safetensors.numpy import load_file, save_file
from transformers import PreTrainedModel
from treebanks import LABELS, POS, TREEBANKS, WORK

from polyhead.compression.repair import Repair, repaired
from polyhead.core.heads import HeadId, HeadMask
from polyhead.learning.inference import evaluate
from polyhead.models.pruning import prune
from polyhead.selection.ranking import masks_for, rank

HOWS = ("none", *get_args(Repair))
ORDERS = ("lowest", "random", "highest")
FOLDER = WORK / "repair"


def place(order: str, how: str, seed: int, k: int) -> Path:
    """File of every language's counts, int64 `[sentences, columns]`; k = 0 needs no repair."""
    return FOLDER / f"{order}.{how if k else 'none'}.{seed}.{k}.safetensors"


def order_of(name: str, model: PreTrainedModel, seed: int) -> tuple[HeadId, ...]:
    lowest = rank(scored(model, DEFAULT, "en", seed))
    if name == "random":
        return tuple(lowest[i] for i in np.random.default_rng((seed, 0)).permutation(len(lowest)))
    return lowest if name == "lowest" else lowest[::-1]


def cell(model: PreTrainedModel, mask: HeadMask, how: str, path: Path) -> None:
    if path.is_file():
        return
    if how == "none":
        small = prune(copy.deepcopy(model), mask)
    else:
        small = repaired(model, mask, batches("en", split="train"), how=how, precision=precision())
    found = evaluate(small, dev(), POS, LABELS, device=torch.device("cpu"), precision=precision())
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    save_file({language: evaluation.counts for language, evaluation in found.items()}, beside)
    beside.replace(path)


@cache
def dev() -> dict[str, Any]:
    return {language: sentences(language) for language in TREEBANKS}


def cells(seeds: Sequence[int], orders: Sequence[str]) -> None:
    for seed in seeds:
        model = fine_tuned(seed)
        for name in orders:
            shape = (model.config.num_hidden_layers, model.config.num_attention_heads)
            masks = masks_for(order_of(name, model, seed), range(K + 1), shape)
            for k, mask in enumerate(masks):
                for how in HOWS if k else HOWS[:1]:
                    cell(model, mask, how, place(name, how, seed, k))
                print(f"{name} seed {seed}: {k} of {K} heads", file=sys.stderr, flush=True)


def curve(order: str, how: str, seed: int, language: str) -> Counts:
    return np.stack([load_file(place(order, how, seed, k))[language] for k in range(K + 1)])


def measured(order: str) -> list[int]:
    return [seed for seed in SEEDS if all(place(order, how, seed, k).is_file() for how in HOWS for k in range(K + 1))]


def table() -> dict[str, Any]:
    return {name: rows(name, seeds) for name in ORDERS if (seeds := measured(name))}


def rows(order: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Area by language and in the mean, for each repair, its gain over none, and the sha256 of each seed's weights."""
    found: dict[str, Areas] = {
        how: areas_of({language: {seed: [curve(order, how, seed, language)] for seed in seeds} for language in TREEBANKS})
        for how in HOWS
    }
    gains = {how: minus(found[how], found["none"]) for how in HOWS[1:]}
    return {
        "seeds": list(seeds),
        "fine_tunings": {seed: identity_of(f"mini-en_ewt-{seed}") for seed in seeds},
        "area": {h: by_language(a) for h, a in found.items()},
        "gain": {h: by_language(a) for h, a in gains.items()},
    }


def by_language(areas: Areas) -> dict[str, dict[str, float | None]]:
    targets = [language for language in areas if language != "en"]
    return {**{language: summary(areas, (language,)) for language in areas}, "mean of the eight targets": summary(areas, targets)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["cells", "table"])
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=list(ORDERS[:2]))
    options = parser.parse_args()
    if options.stage == "cells":
        cells(options.seeds, options.orders)
        return
    content = {"environment": environment(seed=SEEDS[0]), "work": __doc__.split("\n\n")[2], "orders": table()}
    print(f"written to {write('repair', content)}", file=sys.stderr)


if __name__ == "__main__":
    main()
