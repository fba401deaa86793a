"""Variance of scores over seeds: five seeds of a real encoder, with all heads and with 24 of 144 pruned.

    python benchmarks/seed_variance.py fits [--seeds 42 43]   # 10 fine-tunings, about four minutes each; can be stopped
    python benchmarks/seed_variance.py table                  # seconds; writes results/seed_variance.json

The 12 × 12-head encoder of `shared/models/e5` on 1,500 sentences of UD English-EWT drawn by seed 42 (three epochs, the default
settings). For each seed, heads are ranked by `gradient` on English dev and the 24 lowest are pruned before fine-tuning. Files
in results/seed_variance_cells, one per fine-tuning, hold the scored and correct words of every test sentence in nine languages.
The table holds the gain of pruning and its variance over seeds and over resampled sentences, per language and for the mean of
the eight unseen languages. No timings.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from e5 import TARGETS, accuracy, cell_file, counts, fine_tuned, keep, kept, labelled
from environment import RESULTS, environment, fits_or_table, rounded, write
from numpy.typing import NDArray
from treebanks import TREEBANKS, WORK

from polyhead.core.specs import TrainSpec
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.models.devices import pick_precision
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.resampling import redrawn
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.statistics import mean_gain

CELLS = RESULTS / "seed_variance_cells"
SEEDS, KS, TRAINING_SENTENCES = (42, 43, 44, 45, 46), (0, 24), 1500


def cell(seed: int, k: int) -> Path:
    return cell_file(CELLS, f"{seed}.{k}")


def fine_tuning(seed: int, k: int) -> None:
    """One fine-tuning and its counts for every test sentence; k = 0 also ranks the heads."""
    if cell(seed, k).is_file():
        return
    scores_file, resume_file = CELLS / f"{seed}.scores.json", WORK / f"e5.{seed}.{k}.partial"
    mask = masks_for(rank(read_scores(scores_file)), [k], (12, 12))[0] if k else None
    model = fine_tuned(TrainSpec(seed=seed), sentences=TRAINING_SENTENCES, resume_file=resume_file, pruned=mask)
    dev = labelled("en", "dev")
    CELLS.mkdir(parents=True, exist_ok=True)
    if k == 0:
        precision = pick_precision("auto", model.device)
        write_scores(scores_file, score_heads("gradient", model, scoring_batches(dev.encoded), precision=precision))
    found = counts(model, {"en.dev": dev, **{f"{name}.test": labelled(name, "test") for name in TREEBANKS}})
    keep(cell(seed, k), found)
    points = {name: round(float(accuracy(own.sum(axis=0))), 2) for name, own in found.items()}
    print(f"seed {seed}, k = {k}: {points}", file=sys.stderr, flush=True)
    resume_file.unlink()


def sides(language: str) -> NDArray[np.int64]:
    """Counts of a test set, `[pruned and unpruned, seeds, sentences, 2]`."""
    return np.stack([[kept(cell(seed, k))[f"{language}.test"] for seed in SEEDS] for k in reversed(KS)])


def gain(languages: Sequence[str]) -> dict[str, object]:
    """The mean gain of 24 pruned heads and the components of its variance.

    `model` splits the variance of one fine-tuning's gain: over seeds, over sentences shared by all seeds, and over sentences
    specific to each seed. `statistics_simulation.py` and the tests draw from it.
    """
    sets = [sides(language) for language in languages]
    found = mean_gain([(pruned, unpruned) for pruned, unpruned in sets], accuracy, seed=0)
    drawn = np.mean([redrawn(own, accuracy, seed=(0, place)) for place, own in enumerate(sets)], axis=0)
    gains = drawn[:, 0] - drawn[:, 1]
    n, s2, v, own = (
        len(SEEDS),
        float(np.var(found.by_seed, ddof=1)),
        gains.mean(axis=1).var(ddof=1),
        gains.var(axis=0, ddof=1).mean(),
    )
    u = (own - v) / (n - 1)
    return {
        "value": found.value,
        "by_seed": dict(zip(map(str, SEEDS), found.by_seed, strict=True)),
        "s2": s2,
        "v": v,
        "u": u,
        "standard_error": found.standard_error,
        "degrees_of_freedom": found.degrees_of_freedom,
        "interval": None if found.interval is None else [found.interval.low, found.interval.high],
        "p": found.p,
        "detectable": found.detectable,
        "model": {
            "seeds": max(s2 - n * u, 0.0),
            "sentences_shared": max(own - n * u, 0.0),
            "sentences_own": n * u,
            "sentences": min(each.shape[2] for each in sets),
        },
    }


def unpruned(language: str) -> dict[str, float]:
    """Test scores with all heads, over seeds."""
    scores = accuracy(sides(language)[1].sum(axis=1))
    return {"mean": scores.mean(), "variance": scores.var(ddof=1), "range": float(np.ptp(scores))}


def table() -> None:
    groups = {**{language: [language] for language in TREEBANKS}, "mean of the eight": list(TARGETS)}
    machine = environment(seed=42) | {"note": "two processes of one thread each shared the machine; no timings are claimed"}
    content: dict[str, object] = {
        "environment": machine,
        "work": f"e5 fine-tuned on {TRAINING_SENTENCES} sentences of EWT, seeds {', '.join(map(str, SEEDS))}; accuracy on whole "
        f"test sets in points; gain: the {KS[1]} lowest of 144 heads pruned before training, minus all, both of one seed",
        "unpruned": {language: rounded(unpruned(language)) for language in TREEBANKS},
        "gain": {name: rounded(gain(languages)) for name, languages in groups.items()},
    }
    print(f"written to {write('seed_variance', content)}", file=sys.stderr)


def fine_tune(seed: int) -> None:
    for k in KS:
        fine_tuning(seed, k)


if __name__ == "__main__":
    fits_or_table(__doc__, SEEDS, fine_tune, table)
