"""Rise in loss with one head off, for every head; shared lower layers are computed once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask, HeadScores
from polyhead.importance.data_pass import data_pass, labelled_sentences, report_sentences, wide
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.learning.head_means import head_means
from polyhead.learning.losses import losses_of
from polyhead.learning.resumable import kept_at, saving
from polyhead.learning.shared_prefix import masked_logits
from polyhead.models.devices import Precision, attention_kernel
from polyhead.models.model_heads import full_mask, head_mask


@dataclass(frozen=True)
class _Sums:
    """Sums over the batches so far; replaced as a whole, so that an interrupt never leaves half a step."""

    rises: NDArray[np.float64]  # [layers, heads], summed over sentences
    batches: int = 0
    seconds: float = 0.0


def ablation(
    model: PreTrainedModel, batches: Sequence[Batch], call: Call, *, fill: Literal["zero", "mean"] = "zero"
) -> HeadScores:
    """Importance `[layers, heads]`: mean over sentences of the loss with only that head off, minus the loss with all on.

    Values are signed: a negative score means that the head raises the loss. The loss of a sentence is the mean over its labelled
    words; sentences without any are skipped. `fill` is what replaces the head's output: `zero`, or its `mean` over all tokens of
    these batches. Redundancy is invisible: two heads that can replace each other both score low.

    Costs less than one pass per head: each head's ablation computes only its own layer, from the output projection on, and the
    layers above. L layers of H heads count as 1 + H(L + 1)/2 forward passes (a partial layer counts as one), plus one for the
    means under `mean`. Holds two hidden states per layer of one batch, four in DistilBERT. The order of batches matters only for
    resuming, which continues after the last batch and gives the same numbers.

    Raises:
        SettingError: No sentence has a labelled word.
        StoreError: The resume file cannot be written.

    Source: Michel, Levy, Neubig 2019, "Are sixteen heads really better than one?".
    """
    n = labelled_sentences(batches)
    present, full = head_mask(model), full_mask(model)
    partial = kept_at(call.resume_file, model, batches, {"method": call.method, "precision": call.precision})
    began = time.perf_counter()
    known = partial.load() or {}
    means = known.pop("means", None)
    if means is not None:
        means = means.to(next(model.parameters()).device)
    elif fill == "mean":
        means = head_means(model, batches, precision=call.precision, progress=call.progress)
    sums = _Sums(**known) if known else _Sums(np.zeros(present.keep.shape))
    began -= sums.seconds
    # top layer first: the layers below a mask's layer are then unchanged from the mask before
    off = sorted(present.kept, key=lambda head: (-head.layer, head.head))
    masks = [full, *(HeadMask.without(*full.shape, [head]) for head in off)]
    extra = {} if means is None else {"means": means}
    with (
        data_pass(model, batches, call, done=sums.batches) as given,
        torch.inference_mode(),
        saving(partial, lambda: {**vars(sums), **extra}) as step,
    ):
        for batch in given:
            rises = torch.zeros(len(batch.sentences), *present.keep.shape, dtype=torch.float64)
            rises[:, [head.layer for head in off], [head.head for head in off]] = _rises(
                model, batch, masks, means, call.precision
            )
            if fill == "zero":
                report_sentences(call, batch, rises)
            sums = _Sums(sums.rises + wide(rises.sum(dim=0)), sums.batches + 1, time.perf_counter() - began)
            step()
    total = np.where(present.keep, sums.rises, np.nan)
    by_layer = present.keep.sum(axis=1) * np.arange(present.n_layers, 0, -1)
    return HeadScores(
        values=total / n,
        method=call.method,
        total=total,
        n=n,
        seconds=sums.seconds,
        forward_passes=float((fill == "mean") + 1 + by_layer.sum() / present.n_layers),
        settings={"fill": fill, "precision": call.precision},
    )


def _rises(model: PreTrainedModel, batch: Batch, masks: Sequence[HeadMask], means: Tensor | None, precision: Precision) -> Tensor:
    """Rise in loss under each mask but the first, float64 `[sentences, masks]`."""
    with attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="predict"):
        found = [losses_of(logits, batch)[0] for logits in masked_logits(model, batch, masks, fill=means)]
    losses = torch.stack(found).cpu().double()  # [masks, sentences]; 0 where nothing is labelled
    return (losses[1:] - losses[0]).T
