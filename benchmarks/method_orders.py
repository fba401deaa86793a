"""Which order of heads is good on a real encoder: every method, judged on sentences that it has not read.

    python benchmarks/method_orders.py [--seeds 42 43] [--labels source]   # resumable; several processes may run side by side
    python benchmarks/method_orders.py --nested gradient fisher random-0   # orders as those of a `nested` fine-tuning
    python benchmarks/method_orders.py --list                              # cells there and missing, and hours still needed

The fine-tunings of `pruning_cells.py` (seeds 42 to 44). The dev set of every language is split in halves A and B by seed, at most
256 English and 128 other sentences each. A method ranks the heads on one half of English (source labels), or on one half of a
target with its labels. The order is judged without training on every half that it has not read: correct words with the first k
heads masked, k = 0, 12, … 72 (every sixth k of an oracle).

Three seeds, all languages: methods of at most 20 passes; `signed`, the signed mean of the gradient; `rounds`, the gradient in six
rounds, the lowest heads masked before the next; five random orders. Two orders ask whether heads matter or layers: `top-down`,
whole layers from the highest, and `shuffled`, the gradient's with heads exchanged at random within every layer.

Seed 42, English, Chinese, Arabic and Japanese, 128 sentences a half, K = 36: the greedy oracle of 24 candidates a step, also
judged on its own half (and once, as `oracle-all`, with all heads as candidates, English, K = 12); `ablation`, `integrated`, `l0`;
`shapley` of at most 400 passes; `subset`, 100 epochs on half A for k = 36 and 72, judged at that k alone.

`--nested` fine-tunes seed 42 under nested masks, K = 72, with the order that each named method found on half A of English, and
judges it like the orders.

Files in results/order_cells hold, by half, scored words of every sentence and correct ones for every k; the order; and the
milliseconds of processor time that it took on one thread (-1 after an interruption). To try this script at a small size, set
POLYHEAD_ORDER_SENTENCES (at most so many a half) and POLYHEAD_ORDER_CELLS (another folder).
"""

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from e5 import cell_file, keep, kept, labelled, masked, once
from environment import RESULTS
from pruning_cells import SHAPE, VARIANT_SEEDS, nested_model, within_layers
from pruning_cells import order as order_of_arm
from transformers import PreTrainedModel
from treebanks import LABELS, POS, TREEBANKS, WORK

from polyhead.core.heads import HeadId, HeadMask
from polyhead.importance.methods import METHODS, score_heads
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.models.devices import Precision, pick_precision
from polyhead.models.gates import gated
from polyhead.models.loading import load_tagger
from polyhead.selection.oracle import greedy_order
from polyhead.selection.ranking import masks_for, rank
from polyhead.studies.oracle_candidates import CANDIDATES, oracle_shortlist

CELLS = Path(os.environ.get("POLYHEAD_ORDER_CELLS", RESULTS / "order_cells"))
MOST = int(os.environ.get("POLYHEAD_ORDER_SENTENCES", "256"))
K, STEP, ROUNDS, RANDOM_ORDERS, MOST_PASSES = 72, 12, 6, 5, 20
ENGLISH, OTHERS = min(MOST, 256), min(MOST, 128)
HALVES = ("A", "B")
SEED = VARIANT_SEEDS[0]
SECONDS_A_SENTENCE = 0.006  # of a forward pass on one thread, for the estimate of the hours
TRAINING_HOURS = 0.1  # of a nested fine-tuning

CHEAP = tuple(
    name
    for name, row in METHODS.items()
    if name not in ("random", "depth")  # depth is `top-down`, the heads of a layer in the order of their numbers
    and not row.takes("n_lowest")
    and sum(p.count(*SHAPE) if p.count else 99 for p in (row.forward, row.backward)) <= MOST_PASSES
)
GRADIENTS = ("signed", "rounds")
RANDOM = tuple(f"random-{draw}" for draw in range(RANDOM_ORDERS))
LAYERS, SHUFFLED = "top-down", "shuffled"
BLIND = (*RANDOM, LAYERS, "magnitude")
"""Orders that read no sentence."""

COSTLY_K, CHECKED_K, ORACLE_STEP = 36, 12, 6
COSTLY_LANGUAGES = ("en", "zh", "ar", "ja")
COSTLY_PASSES, SUBSET_EPOCHS = 400, 100
OPTIONS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "integrated": ("integrated", {}),
    "l0": ("l0", {"n_lowest": COSTLY_K}),
    "ablation": ("ablation", {}),
    "subset-36": ("subset", {"n_lowest": 36, "epochs": SUBSET_EPOCHS}),
    "subset-72": ("subset", {"n_lowest": 72, "epochs": SUBSET_EPOCHS}),
    "shapley": ("shapley", {"n_lowest": COSTLY_K, "max_passes": COSTLY_PASSES}),
}
"""Costly orders but the oracle: method and its options."""

COSTLY = ("integrated", "l0", "ablation", "subset-36", "subset-72", "oracle", "shapley")


@dataclass(frozen=True)
class Cell:
    """One order: made by a method on one half of a language's dev set, on one fine-tuning; or a nested fine-tuning with it."""

    seed: int
    order: str
    language: str
    half: str
    nested: bool = False

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{'nested.' if self.nested else ''}{self.seed}.{self.order}.{self.language}{self.half}"

    @property
    def path(self) -> Path:
        """Its file."""
        return cell_file(CELLS, self.name)

    @property
    def kind(self) -> str:
        """What it counts as in the estimate."""
        if self.nested:
            return "nested fine-tunings"
        labels = "source" if self.language == "en" else "target"
        return f"{labels} labels, {'one seed' if self.costly else 'three seeds'}"

    @property
    def costly(self) -> bool:
        """Whether it belongs to the part with one seed."""
        return self.order in (*COSTLY, "oracle-all")

    @property
    def ks(self) -> list[int]:
        """The numbers of heads masked."""
        if self.order.startswith("subset"):
            return [0, int(self.order.partition("-")[2])]
        oracles = {"oracle": COSTLY_K, "oracle-all": CHECKED_K}
        if self.order in oracles:
            return list(range(0, oracles[self.order] + 1, ORACLE_STEP))
        return list(range(0, K + 1, STEP))

    @property
    def read(self) -> int:
        """Sentences that the order was made on."""
        return 0 if self.order in BLIND else part(self.language, self.half, small=self.costly).encoded.n_sentences

    @property
    def judged(self) -> list[tuple[str, str]]:
        """The halves that the order is judged on: all but its own, or with target labels the other one of its language.

        The oracle is judged on its own as well, to show by how much that flatters.
        """
        languages = COSTLY_LANGUAGES if self.costly else TREEBANKS
        some = [(language, half) for language in languages for half in HALVES]
        if self.language != "en":
            some = [(self.language, half) for half in HALVES]
        own = () if self.order in (*BLIND, "oracle", "oracle-all") else ((self.language, self.half),)
        return [place for place in some if place not in own]


def cells() -> Iterator[Cell]:
    """Source labels first: seed 42, the other seeds, then the costly orders; then target labels in the same order."""
    for seed in VARIANT_SEEDS:
        for order in dict.fromkeys((*BLIND, *CHEAP, *GRADIENTS, SHUFFLED)):
            for half in HALVES[: 1 if order in BLIND else 2]:
                yield Cell(seed, order, "en", half)
    yield from costly("en")
    yield Cell(SEED, "oracle-all", "en", "A")
    for seed in VARIANT_SEEDS:
        for language in sorted(set(TREEBANKS) - {"en"}, key=lambda language: language not in COSTLY_LANGUAGES):
            for order in (*CHEAP, *GRADIENTS):
                if order not in BLIND:
                    for half in HALVES:
                        yield Cell(seed, order, language, half)
    for language in COSTLY_LANGUAGES:
        if language != "en":
            yield from costly(language)


def costly(language: str) -> Iterator[Cell]:
    for order in COSTLY:
        for half in HALVES[: 1 if order.startswith("subset") else 2]:
            yield Cell(SEED, order, language, half)


@cache
def part(language: str, half: str, *, small: bool = False) -> Labelled:
    """A half of a dev set, drawn by seed 42; small: at most as many sentences as of other languages than English."""
    data, size = labelled(language, "dev"), ENGLISH if language == "en" else OTHERS
    drawn = np.random.default_rng(42).permutation(data.encoded.n_sentences)[: 2 * size]
    own = drawn[HALVES.index(half) :: 2]
    return data.part(sorted(own[: OTHERS if small else size].tolist()))


def ranking(model: PreTrainedModel, cell: Cell, resume_file: Path) -> list[HeadId]:
    """Heads in pruning order; the oracle's are the first K."""
    if cell.order in RANDOM:
        heads = [HeadId(layer, head) for layer in range(SHAPE[0]) for head in range(SHAPE[1])]
        return [heads[i] for i in np.random.default_rng((cell.seed, RANDOM.index(cell.order))).permutation(len(heads))]
    if cell.order == LAYERS:
        return order_of_arm(cell.seed, LAYERS)
    data = part(cell.language, cell.half, small=cell.costly)
    batches = scoring_batches(data.encoded)
    if cell.order == "rounds":
        return in_rounds(model, batches)
    if cell.order.startswith("oracle"):
        shortlist = oracle_shortlist(model, batches, seed=cell.seed, precision=precision()) if cell.order == "oracle" else None
        options = {"shortlist": shortlist, "precision": precision(), "resume_file": resume_file}
        return list(greedy_order(model, data, POS, LABELS, n_steps=cell.ks[-1], **options).order)
    of_gradient = "gradient" if cell.order in ("signed", SHUFFLED) else cell.order
    method, given = OPTIONS.get(cell.order, (of_gradient, {}))
    scores = score_heads(method, model, batches, seed=cell.seed, precision=precision(), options=given, resume_file=resume_file)
    order = list(rank(scores.signed if cell.order == "signed" and scores.signed is not None else scores))
    return within_layers([head.layer for head in order], cell.seed) if cell.order == SHUFFLED else order


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


@lru_cache(maxsize=1)
def tuned(seed: int) -> PreTrainedModel | None:
    """The ordinary fine-tuning of this seed, if it is there."""
    folder = WORK / "fine-tuned" / str(seed)
    if not folder.is_dir():
        print(f"{folder}: missing; python benchmarks/pruning_cells.py full makes it", file=sys.stderr)
        return None
    return load_tagger(str(folder), labels=LABELS).eval()


def measure(cell: Cell, model: PreTrainedModel, resume_file: Path) -> None:
    """Rank, judge, keep."""
    resumed, started = resume_file.is_file(), time.process_time()
    order = ranking(model, cell, resume_file)
    spent = -1 if resumed else round(1000 * (time.process_time() - started))  # -1: not known
    judge(cell, model, order, spent)


def judge(cell: Cell, model: PreTrainedModel, order: list[HeadId], milliseconds: int) -> None:
    """Counts under the first k heads of the order."""
    places = {f"{language}{half}": part(language, half) for language, half in cell.judged}
    found = masked(model, places, masks_for(order, cell.ks, SHAPE))
    counts = {name: own for name, own in found.items() if name.endswith(("/correct", "/scored"))}
    facts = {
        "order": [head.layer * SHAPE[1] + head.head for head in order],
        "ks": cell.ks,
        "milliseconds": [milliseconds],
        "read": [cell.read],
    }
    keep(cell.path, counts | {name: np.array(own, dtype=np.int64) for name, own in facts.items()})


def order_of(cell: Cell) -> list[HeadId]:
    """The order that a nested fine-tuning takes from the cell of its method; ends the program where there is none."""
    source = Cell(cell.seed, cell.order, cell.language, cell.half)
    if not source.path.is_file():
        sys.exit(f"{source.name}: not there yet; run python benchmarks/method_orders.py --labels source first")
    order = [HeadId(*divmod(int(place), SHAPE[1])) for place in kept(source.path)["order"]]
    if len(order) < K or source.order.startswith("subset"):
        sys.exit(f"{cell.order}: no order of {K} heads; name a method that ranks them all")
    return order


def fine_tune(cell: Cell, resume_file: Path) -> None:
    """A nested fine-tuning with the order of a cell."""
    order, started = order_of(cell), time.process_time()
    model = nested_model(cell.seed, order, K, resume_file)
    judge(cell, model, order, round(1000 * (time.process_time() - started)))


def do(cell: Cell) -> None:
    """Make the cell unless it is there, or another process is at it."""

    def work() -> None:
        resume_file = WORK / f"{cell.name}.{MOST}.partial"
        if cell.nested:
            fine_tune(cell, resume_file)
        elif (model := tuned(cell.seed)) is not None:
            measure(cell, model, resume_file)
        resume_file.unlink(missing_ok=True)

    if not cell.path.is_file():
        once(cell.path, work)


def sentence_passes(cell: Cell) -> float:
    """Estimated forward passes, over one sentence each: a backward pass like two."""
    judged = sum(part(*place).encoded.n_sentences for place in cell.judged) * len(cell.ks)
    layers, heads = SHAPE
    share = (layers + 1) / (2 * layers)
    if cell.nested or cell.order in BLIND:
        own = 0.0
    elif cell.order == "oracle":
        own = cell.ks[-1] * (CANDIDATES * share + 1 + 3)
    elif cell.order == "oracle-all":
        own = sum((layers * heads - step) * share + 1 for step in range(cell.ks[-1]))
    elif cell.order.startswith("subset"):
        own = 3.0 * SUBSET_EPOCHS
    elif cell.order == "shapley":
        own = COSTLY_PASSES
    else:
        row = METHODS.get(cell.order, METHODS["gradient"])
        own = sum(p.count(*SHAPE) * weight if p.count else 0 for p, weight in ((row.forward, 1), (row.backward, 2)))
    return judged + cell.read * own * (ROUNDS if cell.order == "rounds" else 1)


def estimate(wanted: Iterable[Cell]) -> str:
    """A line for every kind: cells there, and hours of one thread to go."""
    there, every, hours = Counter[str](), Counter[str](), defaultdict[str, float](float)
    for cell in wanted:
        every[cell.kind] += 1
        there[cell.kind] += cell.path.is_file()
        if not cell.path.is_file():
            hours[cell.kind] += sentence_passes(cell) * SECONDS_A_SENTENCE / 3600 + TRAINING_HOURS * cell.nested
    lines = [
        f"{kind}: {there[kind]} of {n} cells; about {hours[kind]:.1f} hours of one thread to go" for kind, n in every.items()
    ]
    return "\n".join([*lines, f"together: {there.total()} of {every.total()} cells; about {sum(hours.values()):.1f} hours"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, choices=VARIANT_SEEDS, default=list(VARIANT_SEEDS))
    parser.add_argument("--labels", choices=["source", "target"], help="only orders with labels of these languages")
    orders = (*CHEAP, *GRADIENTS, SHUFFLED, LAYERS, *RANDOM, *COSTLY)
    parser.add_argument("--nested", nargs="+", metavar="ORDER", choices=orders, help="fine-tune with the orders of these methods")
    parser.add_argument("--list", action="store_true", help="say what is missing and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    asked = {None: ("source", "target")}.get(options.labels, (options.labels,))
    wanted = [cell for cell in cells() if cell.seed in options.seeds and cell.kind.partition(" ")[0] in asked]
    if options.nested:
        wanted = [Cell(SEED, order, "en", "A", nested=True) for order in options.nested]
        for cell in wanted:
            order_of(cell)
    print(estimate(wanted), file=sys.stderr, flush=True)
    if not options.list:
        for cell in wanted:
            do(cell)


if __name__ == "__main__":
    main()
