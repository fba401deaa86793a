"""Many masks on one model: layers below the first difference between two masks are not computed again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, Silent
from polyhead.learning.batching import Batch
from polyhead.learning.inference import no_labels, place_labels
from polyhead.models.architectures import AttentionSite, attention_sites
from polyhead.models.devices import PrecisionChoice, attention_kernel, autocast, placement
from polyhead.models.gates import gated

# What modules gave in the last pass that computed them.
_Kept = dict[nn.Module, Any]


def masked_labels(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    masks: Sequence[HeadMask],
    words_per_sentence: Sequence[int],
    *,
    precision: PrecisionChoice = "auto",
    progress: Progress | None = None,
) -> list[list[NDArray[np.int64]]]:
    """The label ids predicted under every mask: `[masks][sentences][words]`; the same as a plain pass under `gated` for each.

    Costs one forward pass for the first mask, and for each other one the layers from its first difference to the mask before
    on: nested masks in the order of a ranking share most of their lower layers.

    Args:
        model: A token classifier; left as it was found.
        batches: All sentences, from `scoring_batches`.
        masks: In an order in which neighbours differ little.
        words_per_sentence: As `Encoded` has them.
        precision: Of the matrix products; `auto` is bf16 where the device has units for it.
        progress: Told of every batch.
    """
    watch = progress or Silent()
    ids = [no_labels(words_per_sentence) for _ in masks]
    device, chosen = placement(model, precision=precision)
    was_training = model.training
    model.eval()
    watch.start(len(batches), "masks")
    try:
        with torch.inference_mode(), autocast(device, chosen):
            for batch in batches:
                here = batch.to(device)
                with attention_kernel(device, here.input_ids.shape[1], chosen, work="predict"):
                    for place, logits in enumerate(masked_logits(model, here, masks)):
                        place_labels(ids[place], batch, logits)
                watch.advance(1)
    finally:
        watch.stop()
        model.train(was_training)
    return ids


def masked_logits(
    model: PreTrainedModel, batch: Batch, masks: Iterable[HeadMask | Tensor], *, fill: Tensor | None = None
) -> Iterator[Tensor]:
    """Logits `[rows, length, labels]` of one batch under every mask in turn, without recomputing what two neighbours share.

    Layers below the first one in which two neighbours differ, in any sentence, are not computed again, nor is that layer's
    attention (in DistilBERT, its projections into heads): only what its heads write changes. What these gave is held, that is
    two hidden states a layer (in DistilBERT four). A mask is asked for when its logits are, so the masks may depend on what came
    before.

    Args:
        model: In the mode and precision wanted.
        batch: On the model's device.
        masks: Each one for all sentences, or booleans `[sentences, layers, heads]`, True = keep, with a mask for every sentence
            of the batch. Tensors are compared where they are: best on the CPU. They may be written to between two.
        fill: What a head that is off puts in instead of zero, as `gated` has it.
    """
    sites = attention_sites(model)
    kept: _Kept = {}
    before: Tensor | None = None
    logits: Tensor | None = None
    for mask in masks:
        keep = torch.from_numpy(mask.keep.copy()) if isinstance(mask, HeadMask) else mask.clone()
        start = 0 if before is None else _first_difference(before, keep)
        if logits is None or start < len(sites):
            by_sentence = not isinstance(mask, HeadMask)
            gates = keep.to(batch.input_ids.device) if by_sentence else mask
            with _from_layer(sites, start, kept), gated(model, gates, rows=batch.rows if by_sentence else None, fill=fill):
                logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        before = keep
        yield logits


def _first_difference(one: Tensor, other: Tensor) -> int:
    """The lowest layer in which two masks `[…, layers, heads]` differ; the number of layers if they do not."""
    differ = (one.to(other.device) != other).any(-1)  # [layers], or [sentences, layers]
    differ = differ.any(0) if differ.ndim > 1 else differ
    return int(differ.nonzero()[0]) if bool(differ.any()) else int(differ.numel())


@contextmanager
def _from_layer(sites: Sequence[AttentionSite], start: int, kept: _Kept) -> Iterator[None]:
    """A block in which what lies before the output projection of layer `start` gives what it gave last time.

    Layers below are not computed, nor the attention of that layer, whose input is as it was; what the rest gives is kept for
    next time.
    """
    with ExitStack() as stack:
        for site in sites[:start]:
            stack.enter_context(_repeating(site.block, kept[site.block]))
        for site in sites[start:]:
            for part in (site.block, *_before_heads_go(site)):
                if site.layer == start and part is not site.block and part in kept:
                    stack.enter_context(_repeating(part, kept[part]))
                else:
                    stack.callback(part.register_forward_hook(_keeping(kept)).remove)
        yield


def _before_heads_go(site: AttentionSite) -> tuple[nn.Module, ...]:
    """The attention module; where the output projection is inside it, the projections into heads."""
    return site.inputs if any(module is site.output for module in site.attention.modules()) else (site.attention,)


def _keeping(kept: _Kept) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        # beside its output, eager attention gives its weights, which nothing here asks for
        kept[module] = (output[0], *(None for _ in output[1:])) if isinstance(output, tuple) else output

    return hook


@contextmanager
def _repeating(module: nn.Module, output: Any) -> Iterator[None]:
    """A block in which the module gives that output, whatever goes in."""
    # a wrapper (a compiled block, a device hook) may have put a forward of its own on the instance
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = lambda *args, **kwargs: output
    try:
        yield
    finally:
        if own is None:
            module.__dict__.pop("forward", None)
        else:
            module.__dict__["forward"] = own
