"""The heads that the greedy oracle tries at each step on models with too many heads to try all."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from transformers import PreTrainedModel

from polyhead.core.heads import HeadId, HeadMask
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch
from polyhead.models.devices import PrecisionChoice
from polyhead.models.gates import gated
from polyhead.selection.oracle import Shortlist
from polyhead.selection.ranking import rank

CANDIDATES: Final = 24


def oracle_shortlist(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    size: int = CANDIDATES,
    seed: int = 42,
    precision: PrecisionChoice = "auto",
) -> Shortlist:
    """A shortlist from three sources, so that no importance method alone chooses for the oracle.

    Half of it are the heads with the lowest signed gradient, scored again at every step with the heads pruned so far masked; a
    quarter are the next heads by `magnitude`, and the rest are drawn at random. Where `size` heads or fewer are left, it is all.

    Costs one forward and one backward pass over the data for every step.

    Args:
        model: A token classifier, pruned or not; unchanged afterwards.
        batches: Labelled sentences, those on which the oracle chooses.
        size: Heads in a step.
        seed: Random seed.
        precision: Precision of the gradients' matrix products.
    """
    by_magnitude = rank(score_heads("magnitude", model, []))

    def heads(on: HeadMask) -> Sequence[HeadId]:
        if on.n_kept <= size:
            return on.kept
        with gated(model, on):
            scores = score_heads("gradient", model, batches, precision=precision)
        assert scores.signed is not None
        chosen = [head for head in rank(scores.signed) if on.keep[head.layer, head.head]][: size // 2]
        left = [head for head in by_magnitude if on.keep[head.layer, head.head] and head not in chosen]
        n_by_magnitude = (size - len(chosen)) // 2
        chosen += left[:n_by_magnitude]
        others, random = left[n_by_magnitude:], np.random.default_rng((seed, on.n_kept))
        drawn = random.choice(len(others), size=size - len(chosen), replace=False)
        return [*chosen, *(others[i] for i in drawn)]

    return Shortlist(f"{size} by signed gradient, magnitude and chance, seed {seed}", size, heads)
