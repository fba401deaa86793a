"""Rise in loss with one head off, for every head; shared lower layers are computed once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.gate_pass import require_labelled
from polyhead.learning.batching import Batch
from polyhead.learning.head_means import head_means
from polyhead.learning.resumable import Partial, kept_at, saving
from polyhead.learning.scoring_mode import losses_of, scoring_mode
from polyhead.learning.shared_prefix import masked_logits
from polyhead.models.architectures import full_mask, head_mask
from polyhead.models.devices import Precision, attention_kernel, pick_precision

Fill = Literal["zero", "mean"]


@dataclass(frozen=True)
class _Sums:
    """Sums over the batches so far; replaced as a whole, so that an interrupt never leaves half a step."""

    rises: NDArray[np.float64]  # [layers, heads], summed over sentences
    n: int = 0
    batches: int = 0
    seconds: float = 0.0


def ablation(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    fill: Fill = "zero",
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
    resume_file: Path | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: mean over sentences of the loss with only that head off, minus the loss with all on.

    Values are signed: a negative score means that the head raises the loss. The loss of a sentence is the mean over its labelled
    words; sentences without any are skipped. Redundancy is invisible: two heads that can replace each other both score low.

    Costs less than one pass per head: each head's ablation computes only its own layer, from the output projection on, and the
    layers above. L layers of H heads count as 1 + H(L + 1)/2 forward passes (a partial layer counts as one), plus one for the
    means under `mean`. Holds two hidden states per layer of one batch, four in DistilBERT. The model is unchanged afterwards.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; their order matters only for resuming from `resume_file`.
        fill: What replaces the head's output: `zero`, or its `mean` over all tokens of these batches.
        precision: Precision of matrix products; losses stay float32. `auto`: bf16 where the device supports it.
        progress: Updated after every batch.
        resume_file: File for partial results. A second call with the same arguments continues after its last batch and gives the
            same numbers. The caller removes it.

    Raises:
        SettingError: `fill` is unknown, or no sentence has a labelled word.
        StoreError: The file cannot be written.

    Source: Michel, Levy, Neubig 2019, "Are sixteen heads really better than one?".
    """
    if fill not in ("zero", "mean"):
        raise SettingError(f"fill {fill!r}: expected zero or mean")
    method = "ablation" if fill == "zero" else "ablation-mean"
    present = head_mask(model)
    device = next(model.parameters()).device
    chosen = pick_precision(precision, device)
    partial = kept_at(resume_file, model, batches, {"method": method, "precision": chosen})
    began = time.perf_counter()
    known = partial.load()
    means = None
    if fill == "mean":
        means = known.pop("means").to(device) if known else head_means(model, batches, precision=chosen, progress=progress)
    first = _Sums(**known) if known else _Sums(np.zeros(present.keep.shape))
    sums = _over_batches(model, batches, present, partial, first, means, precision=chosen, progress=progress, began=began)
    require_labelled(sums.n)
    gone = np.where(present.keep, 0.0, np.nan)
    by_layer = present.keep.sum(axis=1) * np.arange(present.n_layers, 0, -1)
    return HeadScores(
        values=sums.rises / sums.n + gone,
        method=method,
        total=sums.rises + gone,
        n=sums.n,
        seconds=sums.seconds,
        forward_passes=float((fill == "mean") + 1 + by_layer.sum() / present.n_layers),
        settings={"fill": fill, "precision": chosen},
    )


def _over_batches(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    present: HeadMask,
    partial: Partial,
    sums: _Sums,
    means: Tensor | None,
    *,
    precision: Precision,
    progress: Progress | None,
    began: float,
) -> _Sums:
    device = next(model.parameters()).device
    full = full_mask(model)
    # top layer first: the layers below a mask's layer are then unchanged from the mask before
    off = sorted(present.kept, key=lambda head: (-head.layer, head.head))
    masks = [full, *(HeadMask.without(full.n_layers, full.n_heads, [head]) for head in off)]
    began -= sums.seconds
    extra = {} if means is None else {"means": means}
    watch = progress or Silent()
    watch.start(len(batches), "ablate heads")
    try:
        if sums.batches:
            watch.advance(sums.batches)
        with scoring_mode(model, precision), torch.inference_mode(), saving(partial, lambda: {**vars(sums), **extra}) as step:
            for batch in batches[sums.batches :]:
                rises, n = _rises(model, batch.to(device), masks, means, precision)
                after = sums.rises.copy()
                for head, rise in zip(off, rises, strict=True):
                    after[head.layer, head.head] += rise
                sums = _Sums(after, sums.n + n, sums.batches + 1, time.perf_counter() - began)
                step()
                watch.advance(1)
    finally:
        watch.stop()
    return sums


def _rises(
    model: PreTrainedModel, batch: Batch, masks: Sequence[HeadMask], means: Tensor | None, precision: Precision
) -> tuple[NDArray[np.float64], int]:
    """Rise in loss under each mask but the first, summed over the batch's labelled sentences, and the number of these."""
    with attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="predict"):
        found = [losses_of(logits, batch) for logits in masked_logits(model, batch, masks, fill=means)]
    # in this order: MPS has no float64
    losses = torch.stack([losses for losses, _ in found]).cpu().double().numpy()  # [masks, sentences]
    rises: NDArray[np.float64] = (losses[1:] - losses[0]).sum(axis=1)
    return rises, int(found[0][1].sum())
