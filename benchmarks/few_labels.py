"""With a few labelled sentences of a target: prune by sign, learn gates, fine-tune, or combine them?

    python benchmarks/few_labels.py             # several processes may run beside one another; can be stopped
    python benchmarks/few_labels.py --list      # what is there, and hours for the rest
    python benchmarks/few_labels.py --tiny DIR  # one small cell of each kind into another folder, a minute: a trial
    python benchmarks/few_labels_table.py       # seconds; writes results/few_labels.json from the cells that are there

Start: the encoder fine-tuned on 2,000 sentences of English EWT, seeds 42 to 44 (`pruning_cells.py full`, folder `fine-tuned` of
POLYHEAD_BENCHMARKS). n = 10, 25, 100 labelled sentences of a target are drawn by the same seed from its training data, smaller
sets inside larger ones, so source fine-tuning, draw and later training vary together. Targets: Chinese, Arabic, Japanese, German:
four families, four scripts, far from English and near. German GSD's training data is not at hand, so its labelled sentences come
from its dev split, which plays no other part here. Each arm is scored once on the whole test splits; nothing is chosen there.

Settings of every arm are chosen once for all targets and n, on dev sets of Dutch and Persian, which are not targets (n = 10 and
100, seed 42, 200 dev sentences each): steps and rate of fine-tuning, rate and penalty of gates, and whether k is chosen by loss
or accuracy on the n sentences. Of the first four gate settings the one at the edge of the grid was best, so two more go further,
and again the furthest was best; fine-tuning did best with the most steps. Longer training was not tried with either. Finished
cells lie in results/few_labels_cells.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from e5 import accuracy, cell_file, counts, keep, kept, labelled, once, with_labels
from environment import RESULTS, SHARED
from few_label_arms import Criterion, Gating, Tuning, by_sign, folded, learnt_gates, pruned, tuned
from numpy.typing import NDArray
from transformers import PreTrainedModel
from treebanks import LABELS, TREEBANKS, WORK

from polyhead.core.heads import HeadMask
from polyhead.data.corpora import open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.sentences import Dataset
from polyhead.learning.inference import Labelled
from polyhead.models.loading import load_tagger

Counts = NDArray[np.int64]
Choice = TypeVar("Choice")
TARGETS, SIZES, SEEDS = ("zh", "ar", "ja", "de"), (10, 25, 100), (42, 43, 44)
CHOSEN_ON, CHOSEN_WITH = ("nl", "fa"), (10, 100)
LABELLED_SPLIT: dict[str, Split] = {"de": "dev"}
MINUTES = {"settings": 4.0, "further": 1.0, "source": 0.2, "few": 3.0}  # of one thread, as measured on one cell of each kind
ARMS = ("signs", "gates", "tuned", "tuned then pruned", "pruned then tuned")


@dataclass(frozen=True)
class Design:
    """What is tried; the defaults are those of the measurement."""

    cells: Path = RESULTS / "few_labels_cells"
    targets: Sequence[str] = TARGETS
    sizes: Sequence[int] = SIZES
    seeds: Sequence[int] = SEEDS
    chosen_on: Sequence[str] = CHOSEN_ON
    chosen_with: Sequence[int] = CHOSEN_WITH
    dev: int = 200
    test: int | None = None
    tunings: Sequence[Tuning] = tuple(Tuning(steps, rate) for steps in (40, 100) for rate in (3e-5, 1e-4, 3e-4))
    gatings: Sequence[Gating] = tuple(Gating(60, rate, pull) for rate in (0.03, 0.1) for pull in (0.001, 0.01))
    further: Sequence[Gating] = tuple(Gating(120, 0.1, pull) for pull in (0.0001, 0.001))
    criteria: Sequence[Criterion] = ("loss", "accuracy")

    def cell(self, name: str) -> Path:
        """The file of a cell."""
        return cell_file(self.cells, name)


@dataclass(frozen=True)
class Settings:
    """Chosen settings, and the mean dev accuracy in points of every setting by its name."""

    tuning: Tuning
    gating: Gating
    criterion: Criterion
    points: Mapping[str, float] = field(default_factory=dict)


TINY = Design(
    targets=("zh",),
    sizes=(10,),
    seeds=(42,),
    chosen_on=("nl",),
    chosen_with=(10,),
    dev=10,
    test=10,
    tunings=(Tuning(2, 1e-4), Tuning(4, 1e-4)),
    gatings=(Gating(3, 0.1, 0.01),),
    further=(Gating(4, 0.1, 0.01),),
)


def source(seed: int) -> PreTrainedModel:
    """The encoder fine-tuned on English."""
    return load_tagger(WORK / "fine-tuned" / str(seed), labels=LABELS)


def first(data: Dataset, n: int, *, seed: int) -> Dataset:
    """The first n sentences of a random order."""
    order = np.random.default_rng(seed).permutation(len(data.sentences))
    return replace(data, sentences=tuple(data.sentences[i] for i in order[:n]))


def drawn(language: str, n: int, seed: int) -> Labelled:
    """`n` labelled sentences; those of a smaller n are among them."""
    data = open_corpus(TREEBANKS[language], LABELLED_SPLIT.get(language, "train"), root=SHARED / "data")
    return with_labels(first(data, n, seed=seed))


def name_of(setting: Tuning | Gating | Criterion) -> str:
    if isinstance(setting, Tuning):
        return f"tuned: {setting.steps} steps, rate {setting.rate:g}"
    if isinstance(setting, Gating):
        return f"gates: {setting.steps} steps, rate {setting.rate:g}, penalty {setting.pull:g}"
    return f"signs: k by {setting}"


def settings_cell(design: Design, language: str, n: int) -> None:
    """Dev counts under every setting."""
    model, few = source(SEEDS[0]), drawn(language, n, SEEDS[0])
    dev = {"dev": labelled(language, "dev", n=design.dev)}
    found: dict[str, Counts] = {"source": counts(model, dev)["dev"]}
    for how in design.tunings:
        found[name_of(how)] = counts(tuned(model, few.encoded, how, seed=SEEDS[0]), dev)["dev"]
    for gating in design.gatings:
        found[name_of(gating)] = counts(folded(model, learnt_gates(model, few.encoded, gating, seed=SEEDS[0])), dev)["dev"]
    for criterion in design.criteria:
        found[name_of(criterion)] = counts(pruned(model, by_sign(model, few, by=criterion)), dev)["dev"]
    keep(design.cell(f"settings.{language}.{n}"), found)


def further_cell(design: Design, language: str, n: int) -> None:
    """Dev counts with gates beyond the edge of the first grid."""
    model, few = source(SEEDS[0]), drawn(language, n, SEEDS[0])
    dev = {"dev": labelled(language, "dev", n=design.dev)}
    gates = {name_of(how): learnt_gates(model, few.encoded, how, seed=SEEDS[0]) for how in design.further}
    keep(design.cell(f"further.{language}.{n}"), {name: counts(folded(model, own), dev)["dev"] for name, own in gates.items()})


def settings(design: Design) -> Settings:
    """The settings with the highest mean dev accuracy, ties to the one named first."""
    cells = [
        {name: own for kind in ("settings", "further") for name, own in kept(design.cell(f"{kind}.{language}.{n}")).items()}
        for language in design.chosen_on
        for n in design.chosen_with
    ]
    points = {name: float(np.mean([accuracy(cell[name].sum(axis=0)) for cell in cells])) for name in sorted(cells[0])}

    def best(candidates: Sequence[Choice], named: Callable[[Choice], str]) -> Choice:
        return max(candidates, key=lambda one: points[named(one)])

    return Settings(
        best(design.tunings, name_of), best((*design.gatings, *design.further), name_of), best(design.criteria, name_of), points
    )


def source_cell(design: Design, language: str, seed: int) -> None:
    test = {"test": labelled(language, "test", n=design.test)}
    keep(design.cell(f"source.{language}.{seed}"), {"source": counts(source(seed), test)["test"]})


def few_cell(design: Design, language: str, n: int, seed: int) -> None:
    """Test counts of every arm, heads that were kept, gates in thousandths, and labelled words of the n sentences."""
    model, few, chosen = source(seed), drawn(language, n, seed), settings(design)
    test = {"test": labelled(language, "test", n=design.test)}

    def scored(own: PreTrainedModel) -> Counts:
        return counts(own, test)["test"]

    mask = by_sign(model, few, by=chosen.criterion)
    gates = learnt_gates(model, few.encoded, chosen.gating, seed=seed)
    smaller = pruned(model, mask)
    found = {"signs": scored(smaller), "gates": scored(folded(model, gates))}
    found["pruned then tuned"] = scored(tuned(smaller, few.encoded, chosen.tuning, seed=seed))
    model = tuned(model, few.encoded, chosen.tuning, seed=seed)
    after = by_sign(model, few, by=chosen.criterion)
    found |= {"tuned": scored(model), "tuned then pruned": scored(pruned(model, after))}
    facts = {
        "kept by signs": kept_heads(mask),
        "kept by signs after tuning": kept_heads(after),
        "gates in thousandths": (1000 * gates).round().long().numpy(),
        "words": np.array([sum(label is not None for sentence in few.gold for label in sentence)]),
    }
    keep(design.cell(f"few.{language}.{n}.{seed}"), found | facts)


def needs_settings(name: str) -> bool:
    return name.startswith("few.")


def kept_heads(mask: HeadMask) -> Counts:
    return np.asarray(mask.keep, dtype=np.int64)


def jobs(design: Design) -> Iterator[tuple[str, Callable[[], None]]]:
    """Names of cells and their work, in the order in which one needs another."""
    for language in design.chosen_on:
        for n in design.chosen_with:
            yield f"settings.{language}.{n}", partial(settings_cell, design, language, n)
            yield f"further.{language}.{n}", partial(further_cell, design, language, n)
    for seed in design.seeds:
        for language in design.targets:
            yield f"source.{language}.{seed}", partial(source_cell, design, language, seed)
        for n in design.sizes:
            for language in design.targets:
                yield f"few.{language}.{n}.{seed}", partial(few_cell, design, language, n, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="count the cells and stop")
    parser.add_argument("--tiny", type=Path, metavar="DIR", help="a trial: few steps and sentences, cells into DIR")
    options = parser.parse_args()
    design = replace(TINY, cells=options.tiny) if options.tiny else Design()
    wanted = list(jobs(design))
    missing = [name for name, _ in wanted if not design.cell(name).is_file()]
    hours = sum(MINUTES[name.partition(".")[0]] for name in missing) / 60
    print(f"{len(wanted) - len(missing)} of {len(wanted)} cells; about {hours:.1f} hours of one thread for the rest", flush=True)
    if options.list:
        return
    for name, work in wanted:
        if needs_settings(name) and any(not design.cell(other).is_file() for other, _ in wanted if not needs_settings(other)):
            continue
        once(design.cell(name), work)


if __name__ == "__main__":
    main()
