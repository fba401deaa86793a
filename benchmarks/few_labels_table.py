"""What a few labelled sentences of a target are worth, from the cells of `few_labels.py`.

    python benchmarks/few_labels_table.py       # seconds; writes results/few_labels.json from the cells that are there

Gains are differences in test accuracy, in points, over the source model as it is and over fine-tuning all weights on the same
sentences, both of the same draw: the mean over draws (and over the four targets) with a 95 % interval from draws and sentences.
Three draws give no p. Rows use the draws for which all cells of that n are there, and say how many. No timings.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from e5 import kept
from environment import environment, rounded, write
from few_labels import ARMS, CHOSEN_ON, CHOSEN_WITH, LABELLED_SPLIT, SEEDS, SIZES, TARGETS, Design, settings
from numpy.typing import NDArray
from pruning_cells import SENTENCES
from pruning_gain import gain, points, row

Counts = NDArray[np.int64]
Cells = Mapping[str, Mapping[str, Counts]]
"""By language, the counts of every arm, and the facts of the cell."""


def cells(design: Design, n: int) -> dict[int, Cells]:
    """By draw, the cells of n labelled sentences with those of the source; draws for which one is missing are left out."""
    found = {}
    for seed in design.seeds:
        paths = {name: (design.cell(f"few.{name}.{n}.{seed}"), design.cell(f"source.{name}.{seed}")) for name in design.targets}
        if all(path.is_file() for both in paths.values() for path in both):
            found[seed] = {name: {**kept(few), **kept(source)} for name, (few, source) in paths.items()}
    return found


def arm_of(found: Mapping[int, Cells], arm: str) -> list[dict[str, Counts]]:
    """Test counts of an arm: one dict by language for each draw."""
    return [{name: own[arm] for name, own in by_language.items()} for by_language in found.values()]


def compared(found: Mapping[int, Cells], arm: str, base: str, languages: Sequence[str]) -> dict[str, Any]:
    """The gain of one arm over another in the mean of the languages, and in each."""
    pairs = list(zip(arm_of(found, arm), arm_of(found, base), strict=True))
    return {"mean": row(gain(pairs, languages)), **{name: row(gain(pairs, [name])) for name in languages}}


def accuracies(found: Mapping[int, Cells], arm: str) -> dict[str, float]:
    """Mean test accuracy over draws, in points."""
    sides = arm_of(found, arm)
    return {name: float(np.mean([points(side[name]) for side in sides])) for name in sides[0]}


def pruned_heads(found: Mapping[int, Cells], key: str) -> dict[str, list[int]]:
    """Heads pruned in each draw, by language."""
    return {name: [int((own[name][key] == 0).sum()) for own in found.values()] for name in next(iter(found.values()))}


def table(design: Design, n: int) -> dict[str, Any]:
    """Every arm with n labelled sentences; empty if no draw is complete."""
    found = cells(design, n)
    if not found:
        return {}
    pruned = {
        "signs": "kept by signs",
        "tuned then pruned": "kept by signs after tuning",
        "pruned then tuned": "kept by signs",
    }
    gates = np.concatenate([own["gates in thousandths"].ravel() for each in found.values() for own in each.values()]) / 1000
    return {
        "draws": list(found),
        "labelled_words": {name: [int(each[name]["words"][0]) for each in found.values()] for name in design.targets},
        "source": {"accuracy": accuracies(found, "source")},
        "arms": {
            arm: {
                "accuracy": accuracies(found, arm),
                "over the source model": compared(found, arm, "source", design.targets),
                **({} if arm == "tuned" else {"over fine-tuning": compared(found, arm, "tuned", design.targets)}),
                **({"heads_pruned": pruned_heads(found, pruned[arm])} if arm in pruned else {}),
            }
            for arm in ARMS
        },
        "gates": {"smallest": float(gates.min()), "median": float(np.median(gates)), "largest": float(gates.max())},
    }


def main() -> None:
    design = Design()
    chosen = settings(design)
    content: dict[str, object] = {
        "environment": environment(seed=SEEDS[0]) | {"note": "one thread, beside other work; no timings are claimed"},
        "work": f"e5 fine-tuned on {SENTENCES} sentences of EWT; test accuracy in points; 95 % intervals from draws and "
        "sentences; source fine-tuning, draw and later training share a seed and vary together",
        "targets": list(TARGETS),
        "labelled sentences from": {name: LABELLED_SPLIT.get(name, "train") for name in TARGETS},
        "settings": {
            "chosen on": f"dev of {' and '.join(CHOSEN_ON)}, n = {' and '.join(map(str, CHOSEN_WITH))}, mean of the four",
            "tuning": asdict(chosen.tuning),
            "gating": asdict(chosen.gating),
            "k by": chosen.criterion,
            "dev accuracy": dict(chosen.points),
        },
        "by_n": {str(n): own for n in SIZES if (own := table(design, n))},
    }
    print(f"written to {write('few_labels', rounded(content, 4))}", file=sys.stderr)


if __name__ == "__main__":
    main()
