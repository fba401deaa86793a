"""The fine-tunings behind `pruning_gain.py`: a real encoder pruned in three ways, counted in nine languages.

    python benchmarks/pruning_cells.py [KIND ...]     # all kinds unless named; several processes may run beside one another
    python benchmarks/pruning_cells.py --list         # what is there and what is not

2,000 sentences of UD English-EWT drawn by seed 42, three epochs, the default settings. About 160 fine-tunings of three to five
minutes on one thread, each with about as long for its scores. Any process can be stopped: training continues from its last
state, and finished cells in results/pruning_cells are kept. Kinds:

    full       the unpruned encoder, 26 seeds; for ten of them also head scores, and scores under masks for k = 0..12
    nested     ten seeds × K = 12 and 72 × orders `ranked`, `random`, `highest`; with K = 72 also `top-down`: whole layers from
               the highest, heads of a layer at random
    sweep      five seeds × k = 1..12, pruned before fine-tuning
    screened   what the default search asks for with K = 12 in five seeds more

A cell holds correct and scored words of every sentence: of the tests, and of dev (English whole, 200 sentences of each target).
A nested cell holds them under every mask on dev (English: 500 sentences), and on the tests for k = 0 and the k that `rules`
choose on dev, or for all k (K = 12, `ranked`); with K = 72 and three seeds also after a tenth of an epoch more at k = 36 and 72.

Cells `nested.72.front` and `nested.72.taught` are of two variants that lost and were removed: small k drawn more often, and
masked sentences that also learn from the full model's predictions. Commit 29671a0 has the code that made them.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from cell_jobs import Job, counted, make, parse_kinds
from e5 import TARGETS, accuracy, cell_file, counts, fine_tuned, keep, kept, labelled, masked, tokenizer
from environment import RESULTS
from numpy.typing import NDArray
from transformers import PreTrainedModel
from treebanks import TREEBANKS, WORK

from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.importance.baselines import random_scores
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.learning.nested import NestedMasks
from polyhead.learning.training import fit
from polyhead.models.devices import pick_precision
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.resampling import redrawn
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.trials import TrialTable, search

CELLS = RESULTS / "pruning_cells"
SENTENCES, SHAPE = 2000, (12, 12)
SEEDS = tuple(range(42, 52))
POOL = tuple(range(42, 68))
SWEEP_SEEDS, SWEEP = SEEDS[:5], 12
VARIANT_SEEDS = SEEDS[:3]
LARGEST = (12, 72)
CONTROLS = {12: ("random", "highest"), 72: ("top-down", "highest", "random")}
"""Other orders than the ranked one, by the largest k."""
ARMS = ("ranked", *CONTROLS[72])
AGREEMENT = 98.0  # percent of words labelled as with all heads


def grid(largest: int) -> list[int]:
    """The k under which a nested model is scored: all to 12, then every sixth."""
    return [k for k in range(largest + 1) if k <= 12 or k % 6 == 0]


def cell(name: str) -> Path:
    return cell_file(CELLS, name)


def dev() -> dict[str, Labelled]:
    return {f"{language}.dev": labelled(language, "dev", n=None if language == "en" else 200) for language in TREEBANKS}


def tests() -> dict[str, Labelled]:
    return {f"{language}.test": labelled(language, "test") for language in TREEBANKS}


def order(seed: int, arm: str) -> list[HeadId]:
    """Heads in the order in which they are pruned."""
    if arm == "random":
        return list(rank(random_scores(HeadMask.full(*SHAPE), seed=seed)))
    if arm == "top-down":
        return within_layers(np.repeat(np.arange(SHAPE[0])[::-1], SHAPE[1]).tolist(), seed)
    ranking = list(rank(read_scores(CELLS / f"full.{seed}.scores.json")))
    return ranking[::-1] if arm == "highest" else ranking


def within_layers(layers: Sequence[int], seed: int) -> list[HeadId]:
    """An order of heads from that of their layers, heads of a layer at random."""
    generator = np.random.default_rng((seed, 5))
    drawn = [iter(generator.permutation(SHAPE[1]).tolist()) for _ in range(SHAPE[0])]
    return [HeadId(layer, next(drawn[layer])) for layer in layers]


def masks(seed: int, arm: str, ks: list[int]) -> tuple[HeadMask, ...]:
    return masks_for(order(seed, arm), ks, SHAPE)


def full(seed: int, resume_file: Path) -> None:
    model = fine_tuned(TrainSpec(seed=seed), sentences=SENTENCES, resume_file=resume_file)
    if seed in SEEDS:
        scored = labelled("en", "dev").encoded
        scores = score_heads("gradient", model, scoring_batches(scored), precision=pick_precision("auto", model.device))
        write_scores(CELLS / f"full.{seed}.scores.json", scores)
        screen = masked(model, {"en.dev": labelled("en", "dev")}, masks(seed, "ranked", list(range(SWEEP + 1))))
        keep(cell(f"screen.{seed}"), screen)
    if seed in VARIANT_SEEDS:
        save_pruned(model, WORK / "fine-tuned" / str(seed), tokenizer=tokenizer(), overwrite=True)
    keep(cell(f"full.{seed}"), counts(model, {**dev(), **tests()}))


def pruned(seed: int, k: int, resume_file: Path) -> None:
    mask = masks(seed, "ranked", [k])[0]
    model = fine_tuned(TrainSpec(seed=seed), sentences=SENTENCES, resume_file=resume_file, pruned=mask)
    keep(cell(f"sweep.{seed}.{k}"), counts(model, {**dev(), **tests()}))


def nested_model(seed: int, heads: Sequence[HeadId], largest: int, resume_file: Path) -> PreTrainedModel:
    """The encoder fine-tuned with the first k of `heads` masked, k drawn anew for every sentence."""
    together = NestedMasks(masks_for(heads, range(largest + 1), SHAPE))
    return fine_tuned(TrainSpec(seed=seed), sentences=SENTENCES, resume_file=resume_file, nested=together)


def nested(seed: int, largest: int, arm: str, resume_file: Path) -> None:
    model = nested_model(seed, order(seed, arm), largest, resume_file)
    ks = grid(largest)
    small = {"en.dev": labelled("en", "dev", n=500)}
    found = masked(model, {**dev(), **small} if arm == "ranked" else small, masks(seed, arm, ks))
    tested = ks if (largest, arm) == (SWEEP, "ranked") else sorted({0, *rules(found, ks).values()})
    found |= masked(model, tests(), masks(seed, arm, tested)) | {"tested": np.array(tested)}
    keep(cell(f"nested.{largest}.{arm}.{seed}"), found)
    if largest == LARGEST[-1] and seed in VARIANT_SEEDS and arm == "ranked":
        for k in (36, 72):
            keep(cell(f"tenth.{k}.{seed}"), a_tenth_more(model, seed, k))


def a_tenth_more(model: PreTrainedModel, seed: int, k: int) -> dict[str, NDArray[np.int64]]:
    """Dev counts of the nested model, pruned for good and trained on a tenth of the sentences at a tenth of the rate."""
    smaller = prune(_copy(model), masks(seed, "ranked", [k])[0])
    spec = TrainSpec(seed=seed, epochs=1, learning_rate=TrainSpec().rate_for(384) / 10)
    fit(smaller, labelled("en", "train", n=SENTENCES // 10).encoded, spec, device="auto")
    return counts(smaller, {**dev(), "en.dev": labelled("en", "dev", n=500)})


def _copy(model: PreTrainedModel) -> PreTrainedModel:
    other = type(model)(model.config)
    other.load_state_dict(model.state_dict())
    return other


def rules(found: dict[str, NDArray[np.int64]], ks: list[int]) -> dict[str, int]:
    """The k that each rule chooses among `ks` on dev; rules that read target text are left out where there is none."""

    def points(language: str, what: str = "correct") -> NDArray[np.float64]:
        name = f"{language}.dev"
        whole = found[f"{name}/scored" if what == "correct" else f"{name}/words"].sum()
        return np.asarray(100 * found[f"{name}/{what}"].sum(axis=1) / whole)

    def best(scores: NDArray[np.float64]) -> int:
        return ks[int(np.flatnonzero(scores >= scores.max() - 1e-9)[-1])]

    def within(scores: NDArray[np.float64], bar: float) -> int:
        return ks[int(np.flatnonzero(scores >= bar - 1e-9)[-1])]

    source = points("en")
    chosen = {"source best": best(source), "source within 0.5": within(source, source[0] - 0.5)}
    if f"{TARGETS[0]}.dev/correct" in found:
        pooled = np.mean([points(language) for language in TREEBANKS], axis=0)
        agreeing = np.mean([points(language, "agreeing") for language in TARGETS], axis=0)
        chosen |= {
            "pooled best": best(pooled),
            "pooled within 0.5": within(pooled, pooled[0] - 0.5),
            "agreement": within(agreeing, AGREEMENT),
        }
    return chosen


def screened(seed: int, score_at: Callable[[int], float]) -> TrialTable:
    """The default search with K = 12."""
    screen = kept(cell(f"screen.{seed}"))
    right, n = screen["en.dev/correct"], screen["en.dev/scored"]
    scores = 100 * right.sum(axis=1) / n.sum()
    error = float(redrawn(np.stack([right[0], n], axis=-1), accuracy, seed=0).std(ddof=1))
    return search(score_at, max_pruned=SWEEP, screen=lambda: scores.tolist(), standard_error=lambda: error)


def source_dev(name: str) -> float:
    """Points on English dev of a cell of `full` or `sweep`."""
    own = kept(cell(name))["en.dev"].sum(axis=0)
    return float(100 * own[0] / own[1])


def search_cells(seed: int, resume_file: Path) -> None:
    """Fine-tunes what the screened search asks for and is not there."""

    def score_at(k: int) -> float:
        name = f"sweep.{seed}.{k}" if k else f"full.{seed}"
        if not cell(name).is_file():
            pruned(seed, k, resume_file.with_name(f"{name}.partial"))
            resume_file.with_name(f"{name}.partial").unlink()
        return source_dev(name)

    screened(seed, score_at)
    keep(cell(f"screened.{seed}"), {"done": np.ones(1, dtype=np.int64)})


def jobs() -> Iterator[Job]:
    """All jobs, most urgent first."""
    for seed in VARIANT_SEEDS:
        yield Job("full", f"full.{seed}", (), partial(full, seed))
        yield Job("nested", f"nested.72.ranked.{seed}", (cell(f"full.{seed}"),), partial(nested, seed, 72, "ranked"))
    for seed in SEEDS:
        yield Job("full", f"full.{seed}", (), partial(full, seed))
        for largest in LARGEST:
            yield Job(
                "nested", f"nested.{largest}.ranked.{seed}", (cell(f"full.{seed}"),), partial(nested, seed, largest, "ranked")
            )
    for seed in SWEEP_SEEDS:
        for k in range(1, SWEEP + 1):
            yield Job("sweep", f"sweep.{seed}.{k}", (cell(f"full.{seed}"),), partial(pruned, seed, k))
    for largest, arm in [(k, arm) for k in reversed(LARGEST) for arm in CONTROLS[k]]:
        for seed in SEEDS:
            work = partial(nested, seed, largest, arm)
            yield Job("nested", f"nested.{largest}.{arm}.{seed}", (cell(f"full.{seed}"),), work)
    for seed in SEEDS:
        yield Job("screened", f"screened.{seed}", (cell(f"full.{seed}"),), partial(search_cells, seed))
    for seed in POOL:
        yield Job("full", f"full.{seed}", (), partial(full, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="count the cells and stop")
    options = parse_kinds(parser, ("full", "nested", "sweep", "screened"))
    wanted = list({job.name: job for job in jobs() if not options.kinds or job.kind in options.kinds}.values())
    if options.list:
        print(counted([cell(job.name) for job in wanted]))
    else:
        make(wanted, CELLS, unfinished=WORK)


if __name__ == "__main__":
    main()
