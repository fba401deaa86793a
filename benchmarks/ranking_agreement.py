"""Whether bfloat16 ranks heads as float32 does, for every method that is scored in it by default.

    python benchmarks/ranking_agreement.py [--quick] [--sentences 256] [--seed 42]

On mBERT's shape with random weights, and on `mini` after a short fine-tuning. Times nothing. Writes
`results/ranking_agreement.json`; takes a few minutes.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from environment import SHARED, environment, write
from ranking_memory import mbert_sample, mbert_shape
from scipy.stats import spearmanr
from transformers import PreTrainedModel

from polyhead.batching import Batch, scoring_batches
from polyhead.checkpoint import load_tagger, load_tokenizer
from polyhead.config import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import label_set
from polyhead.data.sentences import Sentence
from polyhead.devices import Precision
from polyhead.encoding import Encoded, encode
from polyhead.heads import HeadScores
from polyhead.importance.gradient import gradient
from polyhead.importance.weight_gradient import weight_gradient, weight_gradient_released
from polyhead.tasks import task
from polyhead.training import fit

METHODS: dict[str, Callable[..., HeadScores]] = {
    "gradient": gradient,
    "gradient per token": partial(gradient, per="token"),
    "gradient per batch": partial(gradient, per="batch"),
    "weight-gradient": weight_gradient,
    "weight-gradient-released": weight_gradient_released,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="agreement of bfloat16 and float32 rankings")
    parser.add_argument("--quick", action="store_true", help="16 sentences, a random classifier on mini; its own file")
    parser.add_argument("--sentences", type=int, default=None)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    encoded = mbert_sample(options.sentences or (16 if options.quick else 256), options.seed)
    agreement = {
        "mbert-shape": agreements(mbert_shape(options.seed), scoring_batches(encoded, pad_id=0)),
        "mini": mini_agreement(options.seed, quick=options.quick),
    }
    content = {
        "environment": environment(seed=options.seed),
        "work": f"{encoded.n_sentences} sentences of UD English-EWT dev drawn by seed; on mini 512, after 2,000 of training",
        "quick": options.quick,
        "agreement_bf16_fp32": agreement,
        "bf16_may_be_default": {name: all(_agrees(found[name]) for found in agreement.values()) for name in METHODS},
    }
    path = write("ranking_agreement-quick" if options.quick else "ranking_agreement", content)
    print(json.dumps(content["agreement_bf16_fp32"], indent=1))
    print(f"written to {path}", file=sys.stderr)


def agreement_of(scores: dict[Precision, HeadScores]) -> dict[str, float]:
    one, other = (scores[p].values.ravel() for p in ("bf16", "fp32"))
    lowest = set(one.argsort(kind="stable")[:12].tolist()) & set(other.argsort(kind="stable")[:12].tolist())
    return {"spearman": float(spearmanr(one, other).statistic), "of_lowest_12": len(lowest)}


def agreements(model: PreTrainedModel, batches: Sequence[Batch]) -> dict[str, dict[str, float]]:
    """Of every method."""
    found = {}
    for name, score in METHODS.items():
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
    return agreements(model, batches)


def _agrees(row: dict[str, float]) -> bool:
    return row["spearman"] >= 0.99 and row["of_lowest_12"] >= 11


if __name__ == "__main__":
    main()
