"""Which learning rate a small real encoder wants: four rates × three seeds, judged on dev sets alone.

    python benchmarks/learning_rate.py fits [--seeds 42 43]   # 12 fine-tunings, about four minutes each; can be stopped
    python benchmarks/learning_rate.py table                  # seconds; writes results/learning_rate.json

1,500 sentences of UD English-EWT drawn by seed 42, three epochs, the default settings but for the rate. The rate is chosen on the
mean of four dev sets (English, Chinese, Arabic, Japanese) and confirmed on the mean of the other five; no test split is read.
Every rate is compared with the default 3e-4, paired by seed. Files in results/learning_rate_cells, one per fine-tuning, hold the
correct and scored words of every dev sentence. No timings.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from e5 import accuracy, cell_file, counts, fine_tuned, keep, kept, labelled
from environment import RESULTS, environment, fits_or_table, write
from treebanks import TREEBANKS, WORK

from polyhead.core.specs import TrainSpec
from polyhead.selection.statistics import mean_gain

CELLS = RESULTS / "learning_rate_cells"
SEEDS, SENTENCES = (42, 43, 44), 1500
RATES, DEFAULT = (5e-5, 1e-4, 2e-4, 3e-4), 3e-4
CHOSEN_ON = ("en", "zh", "ar", "ja")
CONFIRMED_ON = tuple(language for language in TREEBANKS if language not in CHOSEN_ON)


def cell(rate: float, seed: int) -> Path:
    return cell_file(CELLS, f"{rate:.0e}.{seed}")


def fine_tuning(rate: float, seed: int) -> None:
    """One fine-tuning and its counts for every dev sentence."""
    if cell(rate, seed).is_file():
        return
    resume_file = WORK / f"rate.{rate:.0e}.{seed}.partial"
    model = fine_tuned(TrainSpec(learning_rate=rate, seed=seed), sentences=SENTENCES, resume_file=resume_file)
    found = counts(model, {language: labelled(language, "dev") for language in TREEBANKS})
    keep(cell(rate, seed), found)
    points = {language: round(float(accuracy(own.sum(axis=0))), 2) for language, own in found.items()}
    print(f"rate {rate:g}, seed {seed}: {points}", file=sys.stderr, flush=True)
    resume_file.unlink()


def scores(rate: float, language: str) -> list[float]:
    """Dev accuracy by seed."""
    return [float(accuracy(kept(cell(rate, seed))[language].sum(axis=0))) for seed in SEEDS]


def against_default(rate: float, languages: Sequence[str]) -> dict[str, object]:
    """The gain of a rate over the default, mean of languages, paired by seed."""
    own = [np.stack([[kept(cell(each, seed))[language] for seed in SEEDS] for each in (rate, DEFAULT)]) for language in languages]
    found = mean_gain([(pair[0], pair[1]) for pair in own], accuracy, seed=0)
    interval = None if found.interval is None else [round(found.interval.low, 2), round(found.interval.high, 2)]
    return {"gain": round(found.value, 2), "interval": interval, "by_seed": [round(each, 2) for each in found.by_seed]}


def table() -> None:
    by_rate = {
        f"{rate:.0e}": {
            "dev": {language: [round(each, 2) for each in scores(rate, language)] for language in TREEBANKS},
            **{
                name: {
                    "mean": round(float(np.mean([scores(rate, language) for language in languages])), 2),
                    **({} if rate == DEFAULT else {"over_default": against_default(rate, languages)}),
                }
                for name, languages in (("chosen_on", CHOSEN_ON), ("confirmed_on", CONFIRMED_ON))
            },
        }
        for rate in RATES
    }
    content: dict[str, object] = {
        "environment": environment(seed=42) | {"note": "one thread each, beside other work; no timings are claimed"},
        "work": f"e5 fine-tuned on {SENTENCES} sentences of EWT, seeds {', '.join(map(str, SEEDS))}; accuracy on whole dev sets "
        f"in points; gains over {DEFAULT:g} with 95 % intervals from seeds and sentences",
        "chosen_on": CHOSEN_ON,
        "confirmed_on": CONFIRMED_ON,
        "rates": by_rate,
    }
    print(f"written to {write('learning_rate', content)}", file=sys.stderr)


def fine_tune(seed: int) -> None:
    for rate in RATES:
        fine_tuning(rate, seed)


if __name__ == "__main__":
    fits_or_table(__doc__, SEEDS, fine_tune, table)
