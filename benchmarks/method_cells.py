"""Every importance method on `mini` fine-tuned on EWT: scores and pruning curves per cell (method, language, seed).

    python benchmarks/method_cells.py [--languages en ar zh] [--seeds 42] [--methods gradient ...] [--oracles]

Finished cells are kept, so it can be stopped at any time; `method_table.py` reads what exists. A curve ablates the lowest k =
0..24 heads without retraining, on 512 dev sentences per language drawn by seed. Cells are in `runs/benchmarks/`.
"""

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from fine_tuned import SEEDS, batches, fine_tuned, sentences
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from transformers import PreTrainedModel
from treebanks import LABELS, POS, TREEBANKS, WORK

from polyhead.core.heads import HeadId, HeadScores
from polyhead.importance.methods import METHODS, score_heads
from polyhead.models.devices import Precision, pick_precision
from polyhead.selection.curves import pruning_curve
from polyhead.selection.oracle import greedy_order
from polyhead.selection.ranking import rank
from polyhead.selection.score_files import read_scores, write_scores

K = 24
RANDOM_ORDERS = 5
CHEAP = tuple(
    name
    for name, row in METHODS.items()
    if name != "depth" and sum(p.count(6, 8) if p.count else 99 for p in (row.forward, row.backward)) <= 2
)
COSTLY = tuple(name for name in METHODS if name not in (*CHEAP, "depth"))
FEW_LANGUAGES = ("en", "ar", "zh")
# Costly cells are planned with one seed only.
FEW_SEEDS = (SEEDS[0], SEEDS[-1])
DEFAULT = "gradient"


@dataclass(frozen=True)
class Cell:
    """One order of heads on one language's sentences, of one fine-tuning."""

    order: str
    language: str
    seed: int

    @property
    def path(self) -> Path:
        """File of its counts, int64 `[K + 1, sentences, columns]`."""
        return WORK / "curves" / f"{self.order}.{self.language}.{self.seed}.safetensors"

    @property
    def counts(self) -> NDArray[np.int64]:
        """Counts for `metric_from_counts`, by k and sentence."""
        return load_file(self.path)["counts"]


def precision() -> Precision:
    """Precision of every pass: what `auto` means on this machine."""
    return pick_precision("auto", torch.device("cpu"))


def scores_path(method: str, language: str, seed: int) -> Path:
    return WORK / "scores" / f"{method}.{language}.{seed}.json"


def oracle_path(language: str, seed: int) -> Path:
    return WORK / "oracles" / f"{language}.{seed}.json"


def is_planned(method: str, language: str, seed: int) -> bool:
    """Whether the cell is measured: cheap methods everywhere, the others in three languages with two seeds."""
    return method in CHEAP or (language in FEW_LANGUAGES and seed in FEW_SEEDS)


def oracle_is_planned(language: str, seed: int) -> bool:
    """Whether the oracle is measured: in English with every seed, in the others with two."""
    return language == "en" or seed in FEW_SEEDS


def scored(model: PreTrainedModel, method: str, language: str, seed: int) -> HeadScores:
    """Scores of a cell, read from its file or computed."""
    path = scores_path(method, language, seed)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        keep = path.with_suffix(".partial")
        started = time.perf_counter()
        found = score_heads(method, model, batches(language), seed=seed, precision=precision(), resume_file=keep)
        write_scores(path, replace(found, languages=(language,), model=f"mini, EWT, seed {seed}"))
        keep.unlink(missing_ok=True)
        print(f"{method} {language} {seed}: scored in {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    return read_scores(path)


def curve(model: PreTrainedModel, cell: Cell, order: tuple[HeadId, ...]) -> None:
    """Ablate the first k heads of the order, k = 0..K, and save the counts."""
    if cell.path.is_file():
        return
    started = time.perf_counter()
    data = sentences(cell.language)
    found = pruning_curve(model, data, POS, LABELS, order, max_pruned=K, precision=precision())
    assert found.counts is not None
    cell.path.parent.mkdir(parents=True, exist_ok=True)
    beside = cell.path.with_suffix(".new")
    save_file({"counts": found.counts}, beside)
    beside.replace(cell.path)
    print(
        f"{cell.order} {cell.language} {cell.seed}: curve in {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True
    )


def measure(model: PreTrainedModel, language: str, seed: int, methods: list[str]) -> None:
    """Measure all curves of one language and seed: methods, random orders, the default highest first and by its signed mean."""
    for method in methods:
        if is_planned(method, language, seed):
            scores = scored(model, method, language, seed)
            order = rank(scores)
            curve(model, Cell(method, language, seed), order)
            if method == DEFAULT:
                curve(model, Cell("highest", language, seed), order[::-1])
                if scores.signed is not None:
                    curve(model, Cell("signed", language, seed), rank(scores.signed))
    heads = rank(scored(model, "magnitude", language, seed))
    for draw in range(RANDOM_ORDERS):
        order = tuple(heads[i] for i in np.random.default_rng((seed, draw)).permutation(len(heads)))
        curve(model, Cell(f"random-{draw}", language, seed), order)


def oracle(model: PreTrainedModel, language: str, seed: int) -> None:
    """The greedy order of the same sentences, and its curve."""
    path = oracle_path(language, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    found = greedy_order(model, sentences(language), POS, LABELS, n_steps=K, precision=precision(), resume_file=path)
    curve(model, Cell("oracle", language, seed), found.order)
    print(f"oracle {language} {seed}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--languages", nargs="+", choices=list(TREEBANKS), default=list(TREEBANKS))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=[m for m in METHODS if m != "random"])
    parser.add_argument("--oracles", action="store_true", help="only the greedy oracles")
    options = parser.parse_args()
    for seed in options.seeds:
        model = fine_tuned(seed)
        for language in options.languages:
            if not options.oracles:
                measure(model, language, seed, options.methods)
            elif oracle_is_planned(language, seed):
                oracle(model, language, seed)


if __name__ == "__main__":
    main()
