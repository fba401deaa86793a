"""Does bfloat16 rank heads as float32 does? For every method that can run in it.

    python benchmarks/ranking_agreement.py [--quick] [--methods gradient ...] [--sentences 256] [--seed 42]

On mBERT's shape with random weights, and on `mini` after a short fine-tuning; on mBERT's shape, methods of more than two
passes use a quarter of the sentences, and `shapley` one round of orders. No timings. Writes `results/ranking_agreement.json` and
keeps the figures of methods not requested. About half an hour for all methods.
"""

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np
from environment import RESULTS, SHARED, environment, write
from ranking_memory import mbert_sample, mbert_shape
from scipy.stats import spearmanr
from transformers import PreTrainedModel

from polyhead.core.files import read_json
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import label_set
from polyhead.data.sentences import Sentence
from polyhead.data.tasks import task
from polyhead.importance.methods import METHODS, score_heads
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.encoding import encode
from polyhead.learning.training import fit
from polyhead.models.loading import load_tagger, load_tokenizer

Row = dict[str, float]
# Methods that compute in the requested precision.
BOTH = tuple(name for name in METHODS if name not in ("relevance", "relevance-attn", "magnitude", "depth", "random"))
ONE_ROUND = 160  # passes; 2 and 12 x 13 on mBERT's shape


def main() -> None:
    parser = argparse.ArgumentParser(description="agreement of bfloat16 and float32 rankings")
    parser.add_argument("--quick", action="store_true", help="16 sentences, a random classifier on mini; writes its own file")
    parser.add_argument("--methods", nargs="+", choices=BOTH, default=list(BOTH))
    parser.add_argument("--sentences", type=int, default=None)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    name = "ranking_agreement-quick" if options.quick else "ranking_agreement"
    n = options.sentences or (16 if options.quick else 256)
    known = read_json(RESULTS / f"{name}.json") if (RESULTS / f"{name}.json").is_file() else {}
    held = known.get("agreement_bf16_fp32", {})
    agreement: dict[str, dict[str, Row]] = {
        model: {method: row for method, row in held.get(model, {}).items() if method in BOTH} for model in ("mbert-shape", "mini")
    }
    shape, mini = mbert_shape(options.seed), short_fine_tuning(options.seed, quick=options.quick)
    for method in options.methods:
        own = scoring_batches(mbert_sample(n if is_cheap(method) else n // 4, options.seed))
        agreement["mbert-shape"][method] = agreement_of(method, shape, own, max_passes=ONE_ROUND)
        agreement["mini"][method] = agreement_of(method, *mini, max_passes=None)
        print(method, json.dumps({model: rows[method] for model, rows in agreement.items()}), file=sys.stderr, flush=True)
        content = {
            "environment": environment(seed=options.seed),
            "work": f"{n} sentences of UD English-EWT dev drawn by seed, a quarter of them for methods of more than two passes; "
            "on mini 512, after 2,000 of training",
            "quick": options.quick,
            "agreement_bf16_fp32": agreement,
            "bf16_may_be_default": {m: all(_agrees(rows[m]) for rows in agreement.values()) for m in agreement["mini"]},
        }
        path = write(name, content)
    print(f"written to {path}", file=sys.stderr)


def is_cheap(method: str) -> bool:
    """At most two passes over the data."""
    counts = [passes.count for passes in (METHODS[method].forward, METHODS[method].backward)]
    return sum(99.0 if count is None else count(12, 12) for count in counts) <= 2


def agreement_of(method: str, model: PreTrainedModel, batches: Sequence[Batch], *, max_passes: float | None) -> Row:
    options = {"max_passes": max_passes} if METHODS[method].takes("max_passes") else None
    one, other = (
        score_heads(method, model, batches, precision=precision, options=options).values.ravel() for precision in ("bf16", "fp32")
    )
    lowest = set(one.argsort(kind="stable")[:12].tolist()) & set(other.argsort(kind="stable")[:12].tolist())
    return {"spearman": float(spearmanr(one, other).statistic), "of_lowest_12": len(lowest)}


def short_fine_tuning(seed: int, *, quick: bool) -> tuple[PreTrainedModel, list[Batch]]:
    """`mini`, fine-tuned on 2,000 sentences for one epoch so that its classifier is not random (not under --quick), and text."""
    train, dev = (open_corpus("ud/en_ewt", split, root=SHARED / "data") for split in ("train", "dev"))
    labels = label_set(task("pos"), [train])
    folder = SHARED / "models" / "mini"
    tokenizer = load_tokenizer(folder)
    model: PreTrainedModel = load_tagger(folder, labels=labels, seed=seed)

    def encoded(sentences: Sequence[Sentence], n: int) -> Encoded:
        chosen = np.random.default_rng(seed).choice(len(sentences), n, replace=False)
        return encode([sentences[i] for i in chosen], tokenizer, labels)

    if not quick:
        fit(model, encoded(train.sentences, 2000), TrainSpec(epochs=1, seed=seed), device="auto")
    return model, scoring_batches(encoded(dev.sentences, 64 if quick else 512))


def _agrees(row: Row) -> bool:
    return row["spearman"] >= 0.99 and row["of_lowest_12"] >= 11


if __name__ == "__main__":
    main()
