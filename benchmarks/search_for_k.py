"""The screened search against a sweep of thirteen fine-tunings, three seeds.

    python benchmarks/search_for_k.py fits [--seeds 42]   # 39 fine-tunings of about four minutes; continues after a stop
    python benchmarks/search_for_k.py table               # seconds; writes results/search_for_k.json

`mini` on 4,000 sentences of UD English-EWT drawn by seed, heads ranked by `gradient` on English dev, the lowest k = 0..12 pruned
before fine-tuning. Regret, in points: best of the thirteen minus the chosen one, on English dev and on the mean test score of the
eight other languages. No timings.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from environment import SHARED, environment, write
from fine_tuned import MINI, SEEDS, sentences, tokenizer
from method_cells import precision
from treebanks import LABELS, POS, TREEBANKS, WORK
from trial_baselines import always_zero, evenly_spaced, random_ks

from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.sampling import sample
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.inference import evaluate
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts
from polyhead.learning.training import fit
from polyhead.models.loading import load_tagger
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.resampling import redrawn
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.trials import regret, search

K, TRAINING_SENTENCES, RANDOM_FIVES = 12, 4000, 1000
FOLDER = WORK / "search"
ACCURACY = partial(metric_from_counts, POS)


def training_text() -> Encoded:
    data = sample(open_corpus(TREEBANKS["en"], "train", root=SHARED / "data"), TRAINING_SENTENCES, seed=42)
    return encode(
        data.sentences, tokenizer(), LABELS, model_limit=model_limit(load_tagger(str(MINI), labels=LABELS, seed=0).config)
    )


def place(seed: int, k: int) -> Path:
    return FOLDER / f"{seed}.{k}.json"


def trial(seed: int, k: int, train: Encoded) -> None:
    """One fine-tuning with the k lowest heads pruned: dev and test accuracy in points; k = 0 also ranks and screens."""
    if place(seed, k).is_file():
        return
    model = load_tagger(str(MINI), labels=LABELS, seed=seed)
    prune(model, masks(seed)[k] if k else HeadMask.full(model.config.num_hidden_layers, model.config.num_attention_heads))
    fit(model, train, TrainSpec(seed=seed), device="auto", resume_file=FOLDER / f"{seed}.{k}.partial")
    data = {"dev": sentences("en", n=None), **{name: sentences(name, split="test", n=None) for name in TREEBANKS}}
    found = evaluate(model, data, POS, LABELS, device=model.device, precision=precision())
    points = {name: 100 * evaluation.metrics["accuracy"] for name, evaluation in found.items()}
    record: dict[str, Any] = {"seed": seed, "k": k, "dev": points.pop("dev"), "tests": points}
    if k == 0:
        batches = scoring_batches(data["dev"].encoded)
        write_scores(FOLDER / f"{seed}.scores.json", score_heads("gradient", model, batches, precision=precision()))
        counts = masked_counts(model, {"dev": data["dev"]}, POS, LABELS, masks(seed), precision=precision())
        record["screen"] = [100 * float(ACCURACY(by_name["dev"].sum(axis=0))) for by_name in counts]
        record["standard_error"] = 100 * float(redrawn(found["dev"].counts, ACCURACY, seed=0).std(ddof=1))
        save_pruned(model, FOLDER / f"{seed}.full", tokenizer=tokenizer())
    write_json_atomic(place(seed, k), record)
    print(f"seed {seed}, k = {k}: dev {record['dev']:.2f}", file=sys.stderr, flush=True)


def masks(seed: int) -> tuple[HeadMask, ...]:
    scores = read_scores(FOLDER / f"{seed}.scores.json")
    return masks_for(rank(scores), range(K + 1), (scores.n_layers, scores.n_heads))


def compared(seed: int) -> dict[str, Any]:
    """Choice, cost and regret of every strategy on one seed's sweep."""
    rows = {k: read_json(place(seed, k)) for k in range(K + 1)}
    dev = {k: row["dev"] for k, row in rows.items()}
    unseen = {k: float(np.mean([value for name, value in row["tests"].items() if name != "en"])) for k, row in rows.items()}
    zero = rows[0]
    table = search(
        dev.__getitem__,
        max_pruned=K,
        how="screened",
        screen=lambda: zero["screen"],
        standard_error=lambda: zero["standard_error"],
    )
    tables = {
        "screened": [table],
        "sweep": [search(dev.__getitem__, max_pruned=K, how="sweep")],
        "always k = 0": [always_zero(dev)],
        "five evenly spaced": [evenly_spaced(dev)],
        "random fives": [random_ks(dev, seed=draw) for draw in range(RANDOM_FIVES)],
    }
    strategies = {
        name: {
            "trainings": float(np.mean([len(own.trials) for own in found])),
            "k": found[0].chosen if len(found) == 1 else None,
            "dev_regret": float(np.mean([regret(own, dev) for own in found])),
            "test_regret": float(np.mean([regret(own, unseen) for own in found])),
        }
        for name, found in tables.items()
    }
    return {"dev": dev, "mean_test": unseen, "reason": table.reason, "strategies": strategies}


def table(seeds: Sequence[int]) -> dict[str, object]:
    done = [seed for seed in seeds if all(place(seed, k).is_file() for k in range(K + 1))]
    by_seed = {seed: compared(seed) for seed in done}
    means = {
        name: {
            figure: round(float(np.mean([found["strategies"][name][figure] for found in by_seed.values()])), 3)
            for figure in ("trainings", "dev_regret", "test_regret")
        }
        for name in next(iter(by_seed.values()))["strategies"]
    }
    return {"environment": environment(seed=seeds[0]), "seeds": done, "means": means, "by_seed": by_seed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["fits", "table"])
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    options = parser.parse_args()
    if options.stage == "table":
        content = {"work": __doc__.split("\n\n")[2], **table(options.seeds)}
        print(f"written to {write('search_for_k', content)}", file=sys.stderr)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    train = training_text()
    for seed in options.seeds:
        for k in range(K + 1):
            trial(seed, k, train)


if __name__ == "__main__":
    main()
