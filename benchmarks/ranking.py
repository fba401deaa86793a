"""How fast heads are ranked: polyhead against the paper's released procedure and a masked-gradient script, in one process.

    python benchmarks/ranking.py [--quick] [--sentences 256] [--seed 42]

Everything uses the same torch, threads and sdpa attention; batches are built outside the clock. The slow baselines are warmed up
on one batch and repeated up to three times, none being begun after 200 seconds. After each pass of polyhead's the bare matrix
products of that size are timed, so that pass and floor meet the same machine. Takes about a quarter of an hour. Writes
`results/ranking.json`. Run it alone.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from baselines import masked_script, released_procedure
from environment import SHARED, environment, median, seconds, write
from ranking_floor import floor, operations, products, rate
from ranking_memory import mbert_sample, mbert_shape
from scipy.stats import spearmanr
from transformers import PreTrainedModel

from polyhead.batching import Batch, padding_share, scoring_batches, training_batches
from polyhead.checkpoint import load_tagger, load_tokenizer
from polyhead.config import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import label_set
from polyhead.data.sentences import Sentence
from polyhead.devices import Precision, has_bf16_units
from polyhead.encoding import Encoded, encode
from polyhead.heads import HeadScores
from polyhead.importance.gradient import gradient
from polyhead.importance.weight_gradient import weight_gradient, weight_gradient_released
from polyhead.tasks import task
from polyhead.training import fit

METHODS_IN_BF16: dict[str, Callable[..., HeadScores]] = {
    "gradient": gradient,
    "gradient per token": partial(gradient, per="token"),
    "gradient per batch": partial(gradient, per="batch"),
    "weight-gradient": weight_gradient,
    "weight-gradient-released": weight_gradient_released,
}
TARGETS = {"released": {"bf16": 25, "fp32": 10}, "script": {"bf16": 7, "fp32": 3}}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    precisions: list[Precision] = ["bf16", "fp32"] if has_bf16_units(torch.device("cpu")) else ["fp32"]
    memory = {p: _in_fresh_process(p, options) for p in precisions}
    encoded, model = mbert_sample(options.sentences, options.seed), mbert_shape(options.seed)
    sorted_batches = scoring_batches(encoded, pad_id=0)
    in_file_order = {
        "released": list(training_batches(encoded, pad_id=0, batch_size=8, order="file", seed=0, epoch=0, pad_to=256)),
        "script": list(training_batches(encoded, pad_id=0, batch_size=32, order="file", seed=0, epoch=0)),
    }
    scores: dict[Precision, HeadScores] = {}
    rows: dict[str, dict[str, object]] = {}
    floors: dict[Precision, dict[str, object]] = {}

    def keep(name: str, batches: Sequence[Batch], found: list[float], **more: object) -> None:
        rows[name] = {**more, "median_seconds": median(found), "seconds": found, **_size(batches)}
        print(f"{name}: {median(found):.2f} s x {len(found)}", file=sys.stderr, flush=True)

    for precision in precisions:
        bare = products(precision)
        seconds(bare, repetitions=1)
        scores[precision] = gradient(model, sorted_batches, precision=precision)  # the warm-up
        found, limits = list[float](), list[float]()
        for _ in range(2 if options.quick else 5):
            found += seconds(lambda p=precision: gradient(model, sorted_batches, precision=p), repetitions=1, warm_up=_nothing)
            limits.append(operations(sorted_batches) / rate(bare))
        keep(f"polyhead {precision}", sorted_batches, found, precision=precision, warm_up="one whole pass")
        floors[precision] = floor(found, limits, operations(sorted_batches))
    for name, work in (("released", released_procedure), ("script", masked_script)):
        for label, batches in ((f"{name}, sorted batches", sorted_batches), (name, in_file_order[name])):
            found = seconds(
                lambda w=work, b=batches: w(model, b),
                repetitions=1 if options.quick else 3,
                within=200,
                warm_up=lambda w=work, b=batches: w(model, b[-1:]),
            )
            keep(label, batches, found, precision="fp32", warm_up="one batch")
    model.requires_grad_(True)
    agreement = (
        {
            "mbert-shape": {"gradient": agreement_of(scores), **other_methods(model, sorted_batches)},
            "mini": mini_agreement(options.seed, quick=options.quick),
        }
        if len(scores) == 2
        else {}
    )
    content = {
        "environment": environment(seed=options.seed),
        "work": f"mBERT's shape with random weights, {encoded.n_sentences} sentences of UD English-EWT dev drawn by seed",
        "quick": options.quick,
        "rows": rows,
        "speed_up": {name: speed_up(rows, name, precisions) for name in TARGETS},
        "floor": floors,
        "agreement_bf16_fp32": agreement,
        "bf16_may_be_default": {
            name: bool(agreement) and all(_agrees(found[name]) for found in agreement.values()) for name in METHODS_IN_BF16
        },
        "memory": memory,
    }
    path = write("ranking-quick" if options.quick else "ranking", content)
    print(json.dumps({key: content[key] for key in ("speed_up", "floor", "agreement_bf16_fp32", "memory")}, indent=1))
    print(f"written to {path}", file=sys.stderr)


def speed_up(rows: dict[str, dict[str, object]], name: str, precisions: list[Precision]) -> dict[str, object]:
    """How many times faster than baseline `name`, and what each part of that is worth."""
    slow, padded_less = _median(rows, name), _median(rows, f"{name}, sorted batches")
    fp32, best = _median(rows, "polyhead fp32"), _median(rows, f"polyhead {precisions[0]}")
    return {
        **{p: slow / _median(rows, f"polyhead {p}") for p in precisions},
        "target": TARGETS[name],
        "of_which": {"padding": slow / padded_less, "gradients": padded_less / fp32, "precision": fp32 / best},
    }


def _size(batches: Sequence[Batch]) -> dict[str, object]:
    return {
        "batches": len(batches),
        "positions": sum(batch.n_positions for batch in batches),
        "tokens": sum(batch.n_tokens for batch in batches),
        "padding_share": padding_share(batches),
    }


def _nothing() -> None:
    """No warm-up: that was done before."""


def agreement_of(scores: dict[Precision, HeadScores]) -> dict[str, float]:
    one, other = (scores[p].values.ravel() for p in ("bf16", "fp32"))
    lowest = set(one.argsort(kind="stable")[:12].tolist()) & set(other.argsort(kind="stable")[:12].tolist())
    return {"spearman": float(spearmanr(one, other).statistic), "of_lowest_12": len(lowest)}


def other_methods(model: PreTrainedModel, batches: Sequence[Batch]) -> dict[str, dict[str, float]]:
    """The same agreement for what else is scored by gradients, and so in bf16."""
    found = {}
    for name, score in METHODS_IN_BF16.items():
        if name != "gradient":
            found[name] = agreement_of({p: score(model, batches, precision=p) for p in ("bf16", "fp32")})
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def mini_agreement(seed: int, *, quick: bool) -> dict[str, dict[str, float]]:
    """On `mini`, fine-tuned on 2,000 sentences for an epoch, so that its classifier means something (not under --quick)."""
    train, dev = (open_corpus("ud/en_ewt", split, root=SHARED / "data") for split in ("train", "dev"))
    labels = label_set(task("pos"), [train])
    folder = SHARED / "models" / "mini"
    tokenizer = load_tokenizer(folder)
    model: PreTrainedModel = load_tagger(folder, labels=labels, seed=seed)
    pad_id = int(tokenizer.pad_token_id)

    def encoded(sentences: Sequence[Sentence], n: int) -> Encoded:
        chosen = np.random.default_rng(seed).choice(len(sentences), n, replace=False)
        return encode([sentences[i] for i in chosen], tokenizer, labels)

    if not quick:
        fit(model, encoded(train.sentences, 2000), TrainSpec(epochs=1, seed=seed), pad_id=pad_id)
    batches = scoring_batches(encoded(dev.sentences, 64 if quick else 512), pad_id=pad_id)
    found: dict[Precision, HeadScores] = {p: gradient(model, batches, precision=p) for p in ("bf16", "fp32")}
    return {"gradient": agreement_of(found), **other_methods(model, batches)}


def _in_fresh_process(precision: Precision, options: argparse.Namespace) -> dict[str, float]:
    script = str(Path(__file__).with_name("ranking_memory.py"))
    command = [sys.executable, script, precision, str(options.sentences), str(options.seed), str(options.threads)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _median(rows: dict[str, dict[str, object]], name: str) -> float:
    return float(str(rows[name]["median_seconds"]))


def _agrees(row: dict[str, float]) -> bool:
    return row["spearman"] >= 0.99 and row["of_lowest_12"] >= 11


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="speed of ranking against two baselines")
    parser.add_argument("--quick", action="store_true", help="16 sentences, a random classifier on mini; written to its own file")
    parser.add_argument("--sentences", type=int, default=None)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    options.sentences = options.sentences or (16 if options.quick else 256)
    return options


if __name__ == "__main__":
    main()
