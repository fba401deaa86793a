"""Speed of ranking: polyhead against the paper's released procedure and a masked-gradient script, in one process.

    python benchmarks/ranking.py [--quick] [--sentences 256] [--seed 42]

Two shapes: mBERT's, with random weights, and the real encoder of `e5.py`, fine-tuned on UD English-EWT. All variants use the same
torch, threads and sdpa attention; building batches is not timed. They run in rounds, one after the other; the released
procedure, which takes minutes, runs in two of the five. Ratios are of medians over rounds. After each pass of polyhead the bare
matrix products of that size are timed, so that pass and floor see the same machine. On the real encoder, all of EWT dev is then
ranked in full and until the lowest heads are settled. Takes about 30 minutes. Writes `results/ranking.json`. Run nothing else.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from baselines import masked_script, released_procedure
from e5 import fine_tuned, labelled, tokenizer
from environment import environment, median, write
from ranking_floor import floor, operations, products, rate
from ranking_memory import mbert_sample, mbert_shape
from ranking_parts import parts
from ranking_settled import LOWEST, early_stops, rates
from transformers import PreTrainedModel
from treebanks import LABELS, WORK

from polyhead.core.specs import TrainSpec
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, scoring_batches, training_batches
from polyhead.learning.encoded import Encoded
from polyhead.models.devices import Precision, has_bf16_units
from polyhead.models.loading import load_tagger
from polyhead.models.saving import save_pruned

Work = tuple[Sequence[Batch], Callable[[Sequence[Batch]], object]]
ROUNDS, SLOW_ROUNDS = 5, (1, 3)
TARGETS = {"released": {"bf16": 25, "fp32": 10}, "script": {"bf16": 7, "fp32": 3}}
FLOOR_TARGET, SETTLED_TARGET = 0.85, 150
SENTENCES = 2000  # of EWT, that the real encoder is fine-tuned on


@dataclass(frozen=True, eq=False)
class Shape:
    """A model and the sentences that it is timed on."""

    work: str
    model: PreTrainedModel
    encoded: Encoded

    @property
    def width(self) -> int:
        """Of the hidden states."""
        return int(self.model.config.hidden_size)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    precisions: list[Precision] = ["bf16", "fp32"] if has_bf16_units(torch.device("cpu")) else ["fp32"]
    memory = {p: _in_fresh_process(p, options) for p in precisions}
    dev = f"{options.sentences} sentences of UD English-EWT dev drawn by seed"
    shapes = {
        "mbert": lambda: Shape(
            f"mBERT's shape with random weights, {dev}", mbert_shape(options.seed), mbert_sample(options.sentences, options.seed)
        ),
        "e5": lambda: Shape(
            f"a real encoder of 12 layers, 384 wide, fine-tuned on {SENTENCES} sentences of EWT, {dev}",
            real_tagger(options.seed),
            labelled("en", "dev", n=options.sentences).encoded,
        ),
    }
    content: dict[str, Any] = {"environment": environment(seed=options.seed), "quick": options.quick, "memory": memory}
    for name, make in shapes.items():
        content[name] = compared(make(), precisions, rounds=1 if options.quick else ROUNDS)
        path = write("ranking-quick" if options.quick else "ranking", content)
    content["e5"]["until_settled"] = settled(content["e5"], precisions[0], options)
    path = write("ranking-quick" if options.quick else "ranking", content)
    shown = {name: {key: content[name][key] for key in ("speed_up", "floor", "parts")} for name in shapes}
    print(json.dumps({**shown, "memory": memory, "until_settled": content["e5"]["until_settled"]}, indent=1))
    print(f"written to {path}", file=sys.stderr)


def real_tagger(seed: int) -> PreTrainedModel:
    """The fine-tuned encoder of that seed; its baselines need all parameters in float32."""
    folder = WORK / "fine-tuned" / str(seed)
    if not (folder / "config.json").is_file():
        model = fine_tuned(TrainSpec(seed=seed), sentences=SENTENCES, resume_file=WORK / f"full.{seed}.partial")
        save_pruned(model, folder, tokenizer=tokenizer())
    return load_tagger(str(folder), labels=LABELS).eval()


def compared(shape: Shape, precisions: Sequence[Precision], *, rounds: int) -> dict[str, Any]:
    """All ways of ranking one model on the same sentences, the floor, and what the rest goes to."""
    batches = scoring_batches(shape.encoded)
    in_file_order = {
        "released": training_batches(shape.encoded, batch_size=8, order="file", seed=0, epoch=0, pad_to=256),
        "script": training_batches(shape.encoded, batch_size=32, order="file", seed=0, epoch=0),
    }
    baselines = {"released": released_procedure, "script": masked_script}
    run = partial(score_heads, "gradient", shape.model)
    work: dict[str, Work] = {f"polyhead {p}": (batches, partial(run, precision=p)) for p in precisions}
    for name, baseline in baselines.items():
        work[f"{name}, sorted batches"] = (batches, partial(baseline, shape.model))
        work[name] = (in_file_order[name], partial(baseline, shape.model))
    needed = operations(batches, shape.width)
    bare = {p: products(p, shape.width) for p in precisions}
    found, limits = measured(work, bare, needed, rounds, shape.width)
    shape.model.requires_grad_(True)
    return {
        "work": shape.work,
        "rows": {name: row(found[name], work[name][0]) for name in work},
        "speed_up": {name: speed_up(found, name, precisions) for name in TARGETS},
        "floor": {
            p: {**floor(list(found[f"polyhead {p}"].values()), limits[p], needed), "target": FLOOR_TARGET} for p in precisions
        },
        "parts": {p: parts(shape.model, batches, p) for p in precisions},
    }


def settled(e5: Mapping[str, Any], precision: Precision, options: argparse.Namespace) -> dict[str, Any]:
    """Early stops on EWT dev, and their speed-up over the released procedure.

    Every batch of the released procedure has 8 rows of 256 positions, so its time on the whole split is that of its batches on
    the sample, times how many more there are.
    """
    model, encoded = real_tagger(options.seed), labelled("en", "dev", n=200 if options.quick else None).encoded
    lowest, orders = (LOWEST[-1:], 2) if options.quick else (LOWEST, 40)
    seeds = [options.seed + i for i in range(1 if options.quick else ROUNDS)]
    stops: dict[str, Any] = early_stops(model, encoded, precision, seeds, lowest)
    batches = training_batches(encoded, batch_size=8, order="file", seed=0, epoch=0, pad_to=256)
    slow = e5["rows"]["released"]
    released = slow["median_seconds"] / slow["batches"] * len(batches)
    for own in stops["lowest"].values():
        own["speed_up_over_released"] = released / own["median"]["seconds"]
    return {
        **stops,
        "precision": precision,
        "released_seconds": released,
        "target": SETTLED_TARGET,
        "rates": rates(model, encoded, precision, orders, lowest),
    }


def measured(
    work: Mapping[str, Work],
    bare: Mapping[Precision, Callable[[], None]],
    n_operations: float,
    rounds: int,
    width: int,
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
                    limits[p].append(n_operations / rate(bare[p], width))
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
