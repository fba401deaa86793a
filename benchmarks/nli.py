"""Natural language inference on a real encoder: English to fourteen languages under nested masks; and Held and Yang's claim.

    python benchmarks/nli.py [full|nested|held ...]   # all kinds unless named; resumable, several processes may run side by side
    python benchmarks/nli.py --list                   # cells there and missing, and hours of one thread still needed
    python benchmarks/nli.py --table                  # gains of the cells that are there, in results/nli.json

6,000 pairs of MultiNLI's English training pairs drawn by seed 42, three epochs, the default settings. Tests are 500 premises of
XNLI's test set with their three hypotheses, the same 1,500 rows in all fifteen languages. Kinds:

    full     the unpruned encoder, five seeds: scores of the gradient on English dev, tests of all languages
    nested   five seeds x orders `ranked` (the gradient's) and `random`, K = 72; k is the largest that loses at most half a point
             on 600 pairs of English dev; tests with all heads and with the chosen k masked
    held     Held and Yang 2023: heads that harm a language are removed and nothing is retrained. Three seeds of `full`, four
             targets: Shapley values on 300 pairs of the target's dev set, at most 400 passes over them; the gradient's sign with
             the same pairs and labels; and as many random heads as Shapley removes. Judged on the target's test.

A cell in results/nli_cells holds correct predictions of every test pair, by language and mask, and never text. To try this script
at a small size, set POLYHEAD_NLI_PAIRS (at most so many pairs of everything) and POLYHEAD_NLI_CELLS (another folder).
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from cell_jobs import Job, estimate, make, parse_kinds
from e5 import accuracy, cell_file, encoder, keep, kept, tokenizer
from environment import RESULTS, SHARED, environment, rounded, write
from numpy.typing import NDArray
from transformers import AutoConfig, PreTrainedModel
from treebanks import WORK

from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import independent, open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.labels import LabelSet
from polyhead.data.sampling import sample
from polyhead.data.tasks import NLI
from polyhead.importance.baselines import random_scores
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoding import encode, model_limit, token_types
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_labels
from polyhead.learning.nested import NestedMasks
from polyhead.learning.training import fit
from polyhead.models.devices import pick_precision
from polyhead.models.loading import load_tagger
from polyhead.models.saving import save_pruned
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.statistics import SeedMean, mean_gain

CELLS = Path(os.environ.get("POLYHEAD_NLI_CELLS", RESULTS / "nli_cells"))
MOST = int(os.environ.get("POLYHEAD_NLI_PAIRS", "6000"))
LANGUAGES = ("en", "ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
TARGETS = ("ar", "sw", "ur", "zh")
"""Of the part about removing heads without training: two families that the encoder saw much of, and two that it saw little of."""

SEEDS, HELD_SEEDS = tuple(range(42, 47)), tuple(range(42, 45))
ARMS = ("ranked", "random")
LABELS, SHAPE, K, LOSS, BLOCK = LabelSet(NLI), (12, 12), 72, 0.5, 3
TRAINED, CHOOSING, SHAPLEY_PAIRS, PREMISES, PASSES = 6000, 600, 300, 500, 400
SECONDS_A_PAIR = 0.02  # of a forward pass on one thread, for the estimate of the hours
GRID = tuple(k for k in range(K + 1) if k <= 12 or k % 6 == 0)


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


def correct(model: PreTrainedModel, data: Labelled, masks: Sequence[HeadMask]) -> NDArray[np.int64]:
    """Whether every pair is labelled right, `[masks, pairs]`."""
    ids, _ = masked_labels(
        model,
        scoring_batches(data.encoded),
        masks,
        data.encoded.words_per_sentence,
        precision=pick_precision("auto", model.device),
    )
    gold = np.array([LABELS.index(label or "") for (label,) in data.gold])
    return np.asarray((ids == gold).astype(np.int64))


def tests(model: PreTrainedModel, masks: Sequence[HeadMask]) -> dict[str, NDArray[np.int64]]:
    return {language: correct(model, pairs(language, "test", BLOCK * PREMISES), masks) for language in LANGUAGES}


def trained(seed: int, resume_file: Path, nested: NestedMasks | None = None) -> PreTrainedModel:
    model = load_tagger(str(encoder()), labels=LABELS, seed=seed, kind="sentence")
    resume_file.parent.mkdir(parents=True, exist_ok=True)
    encoded = pairs("en", "train", TRAINED).encoded
    fit(model, encoded, TrainSpec(seed=seed), mask=nested, device="auto", resume_file=resume_file)
    return model


def scores_file(seed: int) -> Path:
    return CELLS / f"full.{seed}.scores.json"


def model_folder(seed: int) -> Path:
    return WORK / f"nli-{MOST}" / str(seed)


def full(seed: int, resume_file: Path) -> None:
    model = trained(seed, resume_file)
    batches = scoring_batches(pairs("en", "dev", TRAINED).encoded)
    write_scores(scores_file(seed), score_heads("gradient", model, batches, precision=pick_precision("auto", model.device)))
    if seed in HELD_SEEDS:
        save_pruned(model, model_folder(seed), tokenizer=tokenizer(), overwrite=True)
    keep(cell(f"full.{seed}"), tests(model, [HeadMask.full(*SHAPE)]))


def order(seed: int, arm: str) -> list[HeadId]:
    """Heads in the order in which they are pruned."""
    return list(rank(read_scores(scores_file(seed)) if arm == "ranked" else random_scores(HeadMask.full(*SHAPE), seed=seed)))


def nested(seed: int, arm: str, resume_file: Path) -> None:
    masks = masks_for(order(seed, arm), range(K + 1), SHAPE)
    model = trained(seed, resume_file, NestedMasks(masks))
    dev = correct(model, pairs("en", "dev", CHOOSING), [masks[k] for k in GRID])
    points = 100 * dev.mean(axis=1)
    k = GRID[int(np.flatnonzero(points >= points[0] - LOSS)[-1])]
    found = tests(model, [masks[0], masks[k]])
    keep(cell(f"nested.{arm}.{seed}"), found | {"dev": dev, "k": np.array([k])})


def held(seed: int, target: str, resume_file: Path) -> None:
    model, whole = load_tagger(model_folder(seed), labels=LABELS, kind="sentence"), HeadMask.full(*SHAPE)
    batches, precision = scoring_batches(pairs(target, "dev", SHAPLEY_PAIRS).encoded), pick_precision("auto", model.device)
    options = {"n_lowest": K // 2, "max_passes": PASSES}
    values = score_heads(
        "shapley", model, batches, seed=seed, precision=precision, options=options, resume_file=resume_file
    ).values
    signed = score_heads("gradient", model, batches, precision=precision).signed
    assert signed is not None
    n = int((values < 0).sum())
    random = masks_for(list(rank(random_scores(whole, seed=seed))), [n], SHAPE)[0]
    masks = [whole, HeadMask(values >= 0), HeadMask(signed >= 0), random]
    found = correct(model, pairs(target, "test", BLOCK * PREMISES), masks)
    removed = np.array([mask.n_pruned for mask in masks])
    keep(cell(f"held.{target}.{seed}"), {"correct": found, "removed": removed, "shapley": np.rint(values * 1e6).astype(np.int64)})


def cell(name: str) -> Path:
    return cell_file(CELLS, name)


def jobs() -> Iterator[Job]:
    """All jobs with the passes of a pair that they cost, most urgent first."""
    n_tests, trained_passes = len(LANGUAGES) * min(BLOCK * PREMISES, MOST), 3 * 3.5 * min(TRAINED, MOST)
    dev = min(2490, MOST)
    for seed in SEEDS:
        yield Job("full", f"full.{seed}", (), partial(full, seed), trained_passes + n_tests + 3 * dev)
    for seed in SEEDS:
        for arm in ARMS:
            passes = trained_passes + 2 * n_tests + len(GRID) * min(CHOOSING, MOST)
            yield Job("nested", f"nested.{arm}.{seed}", (cell(f"full.{seed}"),), partial(nested, seed, arm), passes)
    for seed in HELD_SEEDS:
        for target in TARGETS:
            passes = (PASSES + 3) * min(SHAPLEY_PAIRS, MOST) + 4 * min(BLOCK * PREMISES, MOST)
            yield Job("held", f"held.{target}.{seed}", (cell(f"full.{seed}"),), partial(held, seed, target), passes)


def counted(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Right and scored pairs by premise, `[seeds, premises, 2]`, from right pairs of every seed."""
    right = np.stack(rows)
    return independent("xnli/en", np.stack([right, np.ones_like(right)], axis=-1))


def found_gain(found: SeedMean) -> dict[str, object]:
    interval = found.interval
    return {
        "gain": found.value,
        "interval": None if interval is None else [interval.low, interval.high],
        "p": found.p,
        "seeds": len(found.by_seed),
    }


def table() -> dict[str, object]:
    """Gains of the cells that are there, by language and over all, with intervals over seeds and premises."""
    results: dict[str, object] = {}
    for arm in ARMS:
        seeds = [seed for seed in SEEDS if cell(f"nested.{arm}.{seed}").is_file()]
        if not seeds:
            continue
        masked = [kept(cell(f"nested.{arm}.{seed}")) for seed in seeds]
        whole = [kept(cell(f"full.{seed}")) for seed in seeds]
        sets = {
            language: (counted([own[language][1] for own in masked]), counted([own[language][0] for own in whole]))
            for language in LANGUAGES
        }
        own = {language: found_gain(mean_gain([pair], accuracy, seed=0)) for language, pair in sets.items()}
        others = [pair for language, pair in sets.items() if language != "en"]
        own["targets"] = found_gain(mean_gain(others, accuracy, seed=0, parallel=["xnli"] * len(others)))
        scores = {language: float(accuracy(pair[1].sum(axis=(0, 1)))) for language, pair in sets.items()}
        results[f"nested {arm}"] = {"k": [int(one["k"][0]) for one in masked], "gains": own, "unpruned": scores}
    for target in TARGETS:
        seeds = [seed for seed in HELD_SEEDS if cell(f"held.{target}.{seed}").is_file()]
        if not seeds:
            continue
        cells = [kept(cell(f"held.{target}.{seed}")) for seed in seeds]
        results[f"held {target}"] = {
            name: {
                "removed": [int(one["removed"][i]) for one in cells],
                **found_gain(
                    mean_gain(
                        [(counted([one["correct"][i] for one in cells]), counted([one["correct"][0] for one in cells]))],
                        accuracy,
                        seed=0,
                    )
                ),
            }
            for i, name in enumerate(("shapley", "gradient", "random"), start=1)
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="say what is missing and stop")
    parser.add_argument("--table", action="store_true", help="write results/nli.json from the cells that are there")
    options = parse_kinds(parser, ("full", "nested", "held"))
    if options.table:
        found = rounded(table())
        print(json.dumps(found, indent=1))
        if MOST >= TRAINED:
            write("nli", {"environment": environment(seed=42), "pairs": TRAINED, "results": found})
        return
    torch.set_num_threads(1)
    wanted = [job for job in jobs() if not options.kinds or job.kind in options.kinds]
    print(estimate(wanted, CELLS, seconds=SECONDS_A_PAIR), file=sys.stderr, flush=True)
    if not options.list:
        make(wanted, CELLS, unfinished=WORK / f"nli-{MOST}")


if __name__ == "__main__":
    main()
