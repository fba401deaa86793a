"""Do some heads harm a language? Held and Yang 2023 on a real encoder: they are removed, and nothing is retrained.

    python benchmarks/harmful_heads.py [full|removed ...]   # all kinds unless named; resumable, several processes side by side
    python benchmarks/harmful_heads.py --list               # cells there and missing, and hours of one thread still needed
    python benchmarks/harmful_heads.py --table              # results/harmful_heads.json from the cells that are there

Natural language inference: 6,000 English pairs of MultiNLI drawn by seed 42, three epochs, the default settings, three seeds. On
300 pairs of a target's XNLI dev set heads are valued in two ways, with the same labels: Shapley values of at most 400 passes over
them, as two rounds of random orders, and the signed gradient. Test: 500 premises of XNLI with their three hypotheses, the same
rows in every language. Kinds:

    full      the fine-tuned encoder, three seeds: test with all heads in four targets
    removed   the same test without the heads of negative Shapley value (`shapley`); without those whose signed gradient says that
              they harm (`gradient`); without as many of the lowest signed gradient as `shapley` removes (`gradient, same
              number`); and without as many at random (`random`), drawn anew for every seed and target

A cell in results/harmful_heads_cells holds the label predicted for every test pair and the right one, never text. To try this
script at a small size, set POLYHEAD_NLI_PAIRS (at most so many pairs of everything) and POLYHEAD_NLI_CELLS (another folder).
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cell_jobs import Job, estimate, make, parse_kinds
from e5 import cell_file, encoder, keep, kept, tokenizer
from environment import RESULTS, SHARED, environment, rounded, write
from numpy.typing import NDArray
from transformers import AutoConfig, PreTrainedModel
from treebanks import WORK

from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import independent, open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.labels import LabelSet
from polyhead.data.sampling import sample
from polyhead.data.tasks import task
from polyhead.importance.baselines import random_scores
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoding import encode, model_limit, token_types
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_labels
from polyhead.learning.metrics import metric_columns, metric_from_columns, sentence_counts
from polyhead.learning.training import fit
from polyhead.models.devices import pick_precision
from polyhead.models.loading import load_tagger
from polyhead.models.saving import save_pruned
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.statistics import SeedMean, mean_gain

CELLS = Path(os.environ.get("POLYHEAD_NLI_CELLS", RESULTS / "harmful_heads_cells"))
MOST = int(os.environ.get("POLYHEAD_NLI_PAIRS", "6000"))
UNFINISHED = WORK / f"nli-{MOST}"
TARGETS = ("ar", "sw", "ur", "zh")
"""Two families that the encoder saw much of, and two that it saw little of."""

SEEDS = tuple(range(42, 45))
ARMS = ("shapley", "gradient", "gradient, same number", "random")
DIFFERENCES = (("shapley", "gradient"), ("shapley", "gradient, same number"), ("shapley", "random"))
METRICS = ("accuracy", "macro_f1")
NLI = task("nli")
LABELS, SHAPE, BLOCK = LabelSet(NLI.labels), (12, 12), 3
TRAINED, SHAPLEY_PAIRS, PREMISES, PASSES, LOWEST = 6000, 300, 500, 400, 36
SECONDS_A_PAIR = 0.01  # of a forward pass on one thread, for the estimate of the hours

Counts = NDArray[np.int64]


@cache
def pairs(language: str, split: Split, n: int) -> Labelled:
    """The first `n` pairs of a language's split in the order of seed 42; of a test, whole premises: the same rows everywhere."""
    data = open_corpus(f"xnli/{language}", split, root=SHARED / "data")
    n = min(n, MOST)
    if split == "test":
        drawn = np.sort(np.random.default_rng(42).permutation(len(data) // BLOCK)[: max(1, n // BLOCK)])
        chosen = [data.sentences[BLOCK * premise + i] for premise in drawn for i in range(BLOCK)]
    else:
        chosen = list(sample(data, n, seed=42))
    config = AutoConfig.from_pretrained(encoder())
    encoded = encode(chosen, tokenizer(), LABELS, model_limit=model_limit(config), token_types=token_types(config))
    return Labelled(encoded, [sentence.labels for sentence in chosen])


def predicted(model: PreTrainedModel, target: str, masks: Sequence[HeadMask]) -> dict[str, Counts]:
    """Label of every test pair: `predicted`, `[masks, pairs]`, and `gold`, `[pairs]`."""
    data = pairs(target, "test", BLOCK * PREMISES)
    precision = pick_precision("auto", model.device)
    ids, _ = masked_labels(model, scoring_batches(data.encoded), masks, data.encoded.words_per_sentence, precision=precision)
    return {"predicted": ids, "gold": np.array([LABELS.index(label or "") for (label,) in data.gold])}


def folder(seed: int) -> Path:
    """The fine-tuned encoder."""
    return UNFINISHED / str(seed)


def full(seed: int, resume_file: Path) -> None:
    model = load_tagger(str(encoder()), labels=LABELS, seed=seed, kind="sentence")
    fit(model, pairs("en", "train", TRAINED).encoded, TrainSpec(seed=seed), device="auto", resume_file=resume_file)
    save_pruned(model, folder(seed), tokenizer=tokenizer(), overwrite=True)
    found = {target: predicted(model, target, [HeadMask.full(*SHAPE)]) for target in TARGETS}
    keep(cell(f"full.{seed}"), {f"{target}/{name}": own for target, both in found.items() for name, own in both.items()})


def removed(seed: int, target: str, resume_file: Path) -> None:
    model, whole = load_tagger(folder(seed), labels=LABELS, kind="sentence"), HeadMask.full(*SHAPE)
    batches, precision = scoring_batches(pairs(target, "dev", SHAPLEY_PAIRS).encoded), pick_precision("auto", model.device)
    options = {"n_lowest": LOWEST, "max_passes": PASSES}
    values = score_heads("shapley", model, batches, seed=seed, precision=precision, options=options, resume_file=resume_file)
    signed = score_heads("gradient", model, batches, precision=precision).signed
    assert signed is not None
    n = int((values.values < 0).sum())
    chance = random_scores(whole, seed=1000 * seed + TARGETS.index(target))
    same, random = (masks_for(list(rank(own)), [n], SHAPE)[0] for own in (signed, chance))
    masks = [HeadMask(values.values >= 0), HeadMask(signed >= 0), same, random]
    bounds = {"shapley": values.values, "low": values.low, "high": values.high, "signed": signed}
    facts = {
        "removed": np.array([mask.n_pruned for mask in masks]),
        "passes_x10": np.array([round(10 * values.forward_passes)]),
        **{f"{name}_x1e6": np.rint(own * 1e6).astype(np.int64) for name, own in bounds.items() if own is not None},
    }
    keep(cell(f"removed.{target}.{seed}"), predicted(model, target, masks) | facts)


def cell(name: str) -> Path:
    return cell_file(CELLS, name)


def jobs() -> Iterator[Job]:
    """All jobs with the passes of a pair that they cost, most urgent first."""
    test = min(BLOCK * PREMISES, MOST)
    for seed in SEEDS:
        yield Job("full", f"full.{seed}", (), partial(full, seed), 3 * 3.5 * min(TRAINED, MOST) + len(TARGETS) * test)
    for seed in SEEDS:
        for target in TARGETS:
            needs = (cell(f"full.{seed}"), folder(seed) / "config.json")
            passes = (PASSES + 3) * min(SHAPLEY_PAIRS, MOST) + len(ARMS) * test
            yield Job("removed", f"removed.{target}.{seed}", needs, partial(removed, seed, target), passes)


def by_premise(ids: Counts, gold: Counts) -> Counts:
    """Counts of a test, `[premises, columns]`."""
    names = [[[LABELS.names[i]] for i in own.tolist()] for own in (gold, ids)]
    return independent("xnli/en", sentence_counts(NLI, names[0], names[1], labels=LABELS)[None])[0]


def counts(seed: int, target: str) -> dict[str, Counts]:
    """By arm, and `all heads`."""
    whole, own = kept(cell(f"full.{seed}")), kept(cell(f"removed.{target}.{seed}"))
    found = {"all heads": by_premise(whole[f"{target}/predicted"][0], whole[f"{target}/gold"])}
    return found | {arm: by_premise(ids, own["gold"]) for arm, ids in zip(ARMS, own["predicted"], strict=True)}


def compared(sides: Sequence[Mapping[str, NDArray[Any]]], one: str, other: str) -> dict[str, SeedMean]:
    """By metric, one arm less another over the targets, in points, from counts `[seeds, premises, columns]` of each target."""

    def points(metric: str) -> SeedMean:
        columns = metric_columns(NLI, metric)
        sets = [(own[one][..., columns], own[other][..., columns]) for own in sides]
        return mean_gain(sets, lambda summed: 100 * metric_from_columns(summed), seed=0, parallel=["xnli"] * len(sets))

    return {metric: points(metric) for metric in METRICS}


def described(found: SeedMean) -> dict[str, Any]:
    interval = None if found.interval is None else [found.interval.low, found.interval.high]
    return {"value": found.value, "interval": interval, "by_seed": list(found.by_seed)}


def table() -> dict[str, Any]:
    """What removing gains over all heads, and the ways of choosing compared, in each target and in the mean of all four.

    Three seeds give intervals and no p values.
    """
    every = {seed: [job.name for job in jobs() if job.name.endswith(f".{seed}")] for seed in SEEDS}
    seeds = [seed for seed, names in every.items() if all(cell(name).is_file() for name in names)]
    if not seeds:
        return {}
    by_seed = {target: [counts(seed, target) for seed in seeds] for target in TARGETS}
    data = {target: {arm: np.stack([one[arm] for one in own]) for arm in own[0]} for target, own in by_seed.items()}
    found: dict[str, Any] = {"seeds": seeds}
    for place, sides in {**{target: [own] for target, own in data.items()}, "mean": [*data.values()]}.items():
        found[place] = {}
        for one, other in (*((arm, "all heads") for arm in ARMS), *DIFFERENCES):
            both = compared(sides, one, other)
            found[place][f"{one} less {other}"] = {metric: described(value) for metric, value in both.items()}
    cells = {target: [kept(cell(f"removed.{target}.{seed}")) for seed in seeds] for target in TARGETS}
    whole = {
        target: metric_from_columns(own["all heads"].sum(axis=(0, 1), dtype=np.float64)[metric_columns(NLI)])
        for target, own in data.items()
    }
    found["accuracy with all heads"] = {target: 100 * float(value) for target, value in whole.items()}
    found["heads removed"] = {
        target: {arm: [int(one["removed"][i]) for one in own] for i, arm in enumerate(ARMS)} for target, own in cells.items()
    }
    found["passes of shapley"] = sorted({int(one["passes_x10"][0]) / 10 for own in cells.values() for one in own})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="say what is missing and stop")
    parser.add_argument("--table", action="store_true", help="write results/harmful_heads.json from the cells that are there")
    options = parse_kinds(parser, ("full", "removed"))
    if options.table:
        found = rounded(table())
        print(json.dumps(found, indent=1))
        if MOST >= TRAINED:
            write("harmful_heads", {"environment": environment(seed=42), "pairs": TRAINED, "results": found})
        return
    torch.set_num_threads(1)
    wanted = [job for job in jobs() if not options.kinds or job.kind in options.kinds]
    print(estimate(wanted, CELLS, seconds=SECONDS_A_PAIR), file=sys.stderr, flush=True)
    if not options.list:
        make(wanted, CELLS, unfinished=UNFINISHED)


if __name__ == "__main__":
    main()
