"""Pruning after fine-tuning: heads removed from the fine-tuned model, which is then repaired if the search asks for it."""

from dataclasses import replace
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from polyhead.compression.repair import repaired
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.models.devices import Precision
from polyhead.models.pruning import prune
from polyhead.studies.inputs import Inputs
from polyhead.studies.settings import RunSettings

# Training sentences of all sources that a repair reads; it does not use their labels.
SENTENCES = 512


def prune_after(
    full: PreTrainedModel, mask: HeadMask, settings: RunSettings, inputs: Inputs, *, precision: Precision, progress: Progress
) -> PreTrainedModel:
    """The fine-tuned model without the heads outside `mask`; trains nothing, and without a repair costs nothing."""
    how = settings.search.repair
    if how == "none":
        return prune(full, mask)
    batches = repair_text(inputs, seed=settings.sample_seed)
    return repaired(full, mask, batches, how=how, precision=precision, progress=progress)


def repair_text(inputs: Inputs, *, seed: int) -> list[Batch]:
    """Batches of `SENTENCES` training sentences drawn by the seed, or of all if there are no more."""
    train = inputs.train
    drawn = set(np.random.default_rng(seed).permutation(train.n_sentences)[:SENTENCES].tolist())
    some = replace(train, windows=tuple(window for window in train.windows if window.sentence in drawn))
    return scoring_batches(some)


def repair_facts(settings: RunSettings) -> dict[str, Any]:
    """What decides a repaired model's weights beside the full model's and the mask; empty where nothing is repaired."""
    how = settings.search.repair
    return {} if how == "none" else {"repair": {"how": how, "sentences": SENTENCES, "seed": settings.sample_seed}}


def pruning_note(settings: RunSettings) -> str:
    """Part of a sentence on pruning and repair after fine-tuning; empty if heads were pruned before it."""
    if settings.search.prune == "before":
        return ""
    if settings.search.repair == "none":
        return "heads pruned after fine-tuning, without training again"
    text = f"the text of at most {SENTENCES} training sentences"
    return f"heads pruned after fine-tuning, without training again; repaired by {settings.search.repair} on {text}"
