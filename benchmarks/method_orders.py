"""Which order of heads is good on a real encoder: every cheap method, judged on sentences that it has not seen.

    python benchmarks/method_orders.py [--seeds 42 43]   # resumable; several processes may run beside one another
    python benchmarks/method_orders.py --list            # cells there and missing, and hours still needed

The fine-tunings of `pruning_cells.py` (seeds 42 to 44). The dev set of every language is split in halves A and B by seed, at most
256 English and 128 other sentences each. A method ranks the heads on one half of English, or on one half of a target with its
labels; the order is judged without training on every half that it has not read: correct words with the first k heads masked, k =
0, 6, … 72. Methods of at most 20 passes, `signed` (the signed mean of the gradient), `rounds` (the gradient in six rounds, the
lowest heads masked before the next), and five random orders. Files in results/order_cells hold counts by k, half and sentence.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from e5 import keep, labelled, masked
from environment import RESULTS
from filelock import FileLock, Timeout
from pruning_cells import SHAPE, VARIANT_SEEDS
from transformers import PreTrainedModel
from treebanks import LABELS, TREEBANKS, WORK

from polyhead.core.heads import HeadId, HeadMask
from polyhead.importance.methods import METHODS, score_heads
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.models.devices import Precision, pick_precision
from polyhead.models.gates import gated
from polyhead.models.loading import load_tagger
from polyhead.selection.ranking import masks_for, rank

CELLS = RESULTS / "order_cells"
K, STEP, ROUNDS, RANDOM_ORDERS, MOST_PASSES = 72, 6, 6, 5, 20
ENGLISH, OTHERS = 256, 128
HALVES = ("A", "B")
SECONDS_A_SENTENCE = 0.012  # of a forward pass on one thread, for the estimate of the hours
CHEAP = tuple(
    name
    for name, row in METHODS.items()
    if name != "random" and sum(p.count(*SHAPE) if p.count else 99 for p in (row.forward, row.backward)) <= MOST_PASSES
)
ORDERS = (*CHEAP, "signed", "rounds", *(f"random-{draw}" for draw in range(RANDOM_ORDERS)))
UNLABELLED = {name for name in CHEAP if not METHODS[name].needs_labels}


@dataclass(frozen=True)
class Cell:
    """One order: made by a method on one half of a language's dev set, on one fine-tuning."""

    seed: int
    order: str
    language: str
    half: str

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.seed}.{self.order}.{self.language}{self.half}"

    @property
    def path(self) -> Path:
        """Its file."""
        return CELLS / f"{self.name}.safetensors.xz"

    @property
    def judged(self) -> list[tuple[str, str]]:
        """The halves that the order is judged on: all but its own, or with target labels the other one of its language."""
        every = [(language, half) for language in TREEBANKS for half in HALVES]
        some = every if self.language == "en" else [(self.language, half) for half in HALVES]
        return [place for place in some if place != (self.language, self.half)]


def cells() -> Iterator[Cell]:
    """English orders first; orders that read no data once, and random ones as if ranked on English."""
    for seed in VARIANT_SEEDS:
        for order in ORDERS:
            once = order.startswith("random") or order == "magnitude"
            for half in HALVES[: 1 if once else 2]:
                yield Cell(seed, order, "en", half)
    for seed in VARIANT_SEEDS:
        for language in TREEBANKS:
            for order in (*CHEAP, "signed", "rounds"):
                if language != "en" and order != "magnitude":
                    for half in HALVES:
                        yield Cell(seed, order, language, half)


@cache
def part(language: str, half: str) -> Labelled:
    """A half of a dev set, drawn by seed 42."""
    data, size = labelled(language, "dev"), ENGLISH if language == "en" else OTHERS
    drawn = np.random.default_rng(42).permutation(data.encoded.n_sentences)[: 2 * size]
    start = HALVES.index(half)
    return data.part(sorted(drawn[start::2].tolist()))


def ranking(model: PreTrainedModel, cell: Cell) -> list[HeadId]:
    """Heads in pruning order."""
    if cell.order.startswith("random"):
        heads = [HeadId(layer, head) for layer in range(SHAPE[0]) for head in range(SHAPE[1])]
        draw = int(cell.order.partition("-")[2])
        return [heads[i] for i in np.random.default_rng((cell.seed, draw)).permutation(len(heads))]
    batches = scoring_batches(part(cell.language, cell.half).encoded)
    if cell.order == "rounds":
        return in_rounds(model, batches)
    scores = score_heads(
        "gradient" if cell.order == "signed" else cell.order, model, batches, seed=cell.seed, precision=precision()
    )
    return list(rank(scores.signed if cell.order == "signed" and scores.signed is not None else scores))


def in_rounds(model: PreTrainedModel, batches: list[Batch]) -> list[HeadId]:
    """The gradient's order made in rounds: the K / ROUNDS lowest heads are masked before the next scores."""
    gone: list[HeadId] = []
    for _ in range(ROUNDS):
        with gated(model, HeadMask.without(*SHAPE, gone)):
            order = [head for head in rank(score_heads("gradient", model, batches, precision=precision())) if head not in gone]
        gone += order[: K // ROUNDS]
    return gone + order[K // ROUNDS :]


def precision() -> Precision:
    return pick_precision("auto", torch.device("cpu"))


def measure(cell: Cell, model: PreTrainedModel) -> None:
    masks = masks_for(ranking(model, cell), range(0, K + 1, STEP), SHAPE)
    found = masked(model, {f"{language}{half}": part(language, half) for language, half in cell.judged}, masks)
    keep(cell.path, {name: own for name, own in found.items() if not name.endswith("/agreeing")})


def hours(missing: list[Cell]) -> float:
    """Estimated hours of one thread: half a pass for each mask after the first, and the passes of the method."""
    total = 0.0
    for cell in missing:
        judged = sum(part(*place).encoded.n_sentences for place in cell.judged) * (1 + (K // STEP) / 2)
        row = METHODS.get(cell.order, METHODS["gradient"])
        passes = sum(p.count(*SHAPE) * weight if p.count else 0 for p, weight in ((row.forward, 1), (row.backward, 2)))
        own = 0 if cell.order.startswith("random") else part(cell.language, cell.half).encoded.n_sentences * passes
        total += judged + own * (ROUNDS if cell.order == "rounds" else 1)
    return total * SECONDS_A_SENTENCE / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, choices=VARIANT_SEEDS, default=list(VARIANT_SEEDS))
    parser.add_argument("--list", action="store_true", help="say what is missing and stop")
    options = parser.parse_args()
    wanted = [cell for cell in cells() if cell.seed in options.seeds]
    missing = [cell for cell in wanted if not cell.path.is_file()]
    print(
        f"{len(wanted) - len(missing)} of {len(wanted)} cells; about {hours(missing):.1f} hours of one thread to go",
        file=sys.stderr,
    )
    if options.list:
        return
    WORK.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        folder = WORK / "fine-tuned" / str(seed)
        if not folder.is_dir():
            print(f"{folder}: missing; python benchmarks/pruning_cells.py full makes it", file=sys.stderr)
            continue
        model = load_tagger(str(folder), labels=LABELS).eval()
        for cell in missing:
            if cell.seed == seed and not cell.path.is_file():
                started = time.perf_counter()
                try:
                    with FileLock(WORK / f"{cell.name}.lock", timeout=0):
                        measure(cell, model)
                except Timeout:
                    continue
                print(f"{cell.name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
