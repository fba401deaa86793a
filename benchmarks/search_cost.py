"""What each search for k costs on a real encoder: fine-tunings, forward passes and seconds of one processor thread.

    python benchmarks/search_cost.py      # a quarter of an hour on one thread; writes results/search_cost.json

The settings of `pruning_cells.py`, seed 42. Each part of a search is run once: an ordinary fine-tuning, one under nested masks,
scores by `gradient` on English dev, the ordinary model's accuracy on English dev, and that under masks. A search is the sum of
its parts: `sweep` fine-tunes and scores K + 1 models, `screened` as many as it asked for (the mean over ten seeds, from
`pruning_gain.json`) after a look at all k under masks, `nested` two. Passes are those of one sentence: a training step counts
three forward passes, a layer shared by two masks is counted once. Seconds are those of the processor, which other work hardly
changes; ratios are taken within the run. Nothing is said about scores on tests, which every search needs alike.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import fmean
from typing import Any, TypeVar

import torch
from e5 import counts, fine_tuned, labelled, masked
from environment import RESULTS, environment, rounded, write
from pruning_cells import LARGEST, SENTENCES, SHAPE, SWEEP, VARIANT_SEEDS, grid, masks, nested_model, order
from treebanks import WORK

from polyhead.core.files import read_json
from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.models.devices import pick_precision

Made = TypeVar("Made")
SEED = VARIANT_SEEDS[0]
CHOOSING = 500  # English dev sentences that choose a nested model's k


@dataclass(frozen=True)
class Part:
    """What a part of a search costs.

    Attributes:
        passes: Forward passes of one sentence; a backward pass counts as two.
        seconds: Of one processor thread.
    """

    passes: float
    seconds: float


def timed(passes: float, work: Callable[[], Made]) -> tuple[Part, Made]:
    """What some work costs, and its result."""
    started = time.process_time()
    made = work()
    return Part(passes, time.process_time() - started), made


def masked_passes(own: Sequence[HeadMask]) -> float:
    """Forward passes that scoring one sentence under these masks takes, layers below the first difference shared."""
    layers = SHAPE[0]
    changed = [(one.keep != other.keep).any(axis=1).argmax() for one, other in pairwise(own)]
    return 1 + sum((layers - int(first)) / layers for first in changed)


def parts() -> dict[str, Part]:
    """Every part, measured once."""
    spec, dev, choosing = TrainSpec(seed=SEED), labelled("en", "dev"), labelled("en", "dev", n=CHOOSING)
    trained, n, resume_file = 3.0 * spec.epochs * SENTENCES, dev.encoded.n_sentences, WORK / "search-cost.partial"
    resume_file.unlink(missing_ok=True)  # a part that continued would cost less
    fine_tuning, model = timed(trained, partial(fine_tuned, spec, sentences=SENTENCES, resume_file=resume_file))
    resume_file.unlink(missing_ok=True)
    precision, batches = pick_precision("auto", model.device), scoring_batches(dev.encoded)
    screen = masks(SEED, "ranked", list(range(SWEEP + 1)))
    found = {
        "fine-tuning": fine_tuning,
        "head scores": timed(3.0 * n, partial(score_heads, "gradient", model, batches, precision=precision))[0],
        "dev score": timed(float(n), partial(counts, model, {"en": dev}))[0],
        "dev under masks": timed(masked_passes(screen) * n, partial(masked, model, {"en": dev}, screen))[0],
    }
    for largest in LARGEST:
        heads, own = order(SEED, "ranked"), masks(SEED, "ranked", grid(largest))
        nested, model = timed(trained, partial(nested_model, SEED, heads, largest, resume_file))
        resume_file.unlink(missing_ok=True)
        found[f"nested fine-tuning, K = {largest}"] = nested
        scored = timed(masked_passes(own) * CHOOSING, partial(masked, model, {"en": choosing}, own))[0]
        found[f"nested dev under masks, K = {largest}"] = scored
    return found


def searches(found: Mapping[str, Part], screened: float) -> dict[str, dict[str, float]]:
    """What each search takes, the scores of heads included.

    Args:
        found: The parts.
        screened: Fine-tunings of the screened search.
    """

    def summed(fine_tunings: float, used: Mapping[str, float]) -> dict[str, float]:
        return {
            "fine-tunings": fine_tunings,
            **{
                what: sum(getattr(found[name], what) * n for name, n in {"head scores": 1.0, **used}.items())
                for what in ("passes", "seconds")
            },
        }

    rows = {"screened, K = 12": summed(screened, {"fine-tuning": screened, "dev score": screened, "dev under masks": 1})}
    for largest in LARGEST:
        every = largest + 1
        rows[f"sweep, K = {largest}"] = summed(every, {"fine-tuning": every, "dev score": every})
        nested = {"fine-tuning": 1, f"nested fine-tuning, K = {largest}": 1, f"nested dev under masks, K = {largest}": 1}
        rows[f"nested, K = {largest}"] = summed(2, nested)
    return rows


def main() -> None:
    torch.set_num_threads(1)
    gains: Any = read_json(RESULTS / "pruning_gain.json")
    used = fmean(gains["tables"]["default search"]["fine-tunings"]["screened"])
    found = parts()
    content = {
        "environment": environment(seed=SEED),
        "work": (__doc__ or "").split("\n\n")[2],
        "parts": {name: {"passes": own.passes, "seconds": own.seconds} for name, own in found.items()},
        "searches": searches(found, used),
    }
    print(f"written to {write('search_cost', rounded(content))}", file=sys.stderr)


if __name__ == "__main__":
    main()
