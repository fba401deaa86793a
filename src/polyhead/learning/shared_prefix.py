"""Many masks on one model: layers below the first difference between neighbouring masks are computed once."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.learning.batching import Batch
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites
from polyhead.models.repeating import repeating
from polyhead.models.sites import AttentionSite


@dataclass
class _Kept:
    """What the passes so far have stored.

    Attributes:
        outputs: Each module's outputs in the last pass that computed it, in the order of its calls.
        order: Layers in the order in which the first pass ran them.
    """

    outputs: dict[nn.Module, list[Any]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    def prefix(self, start: int) -> int:
        """The highest layer up to `start` below which all layers have run before any other layer runs."""
        while start and max(i for i, layer in enumerate(self.order) if layer < start) > self.order.index(start):
            start -= 1
        return start

    def once(self, layer: int) -> bool:
        """Whether a pass runs the layer once."""
        return self.order.count(layer) == 1


def masked_logits(
    model: PreTrainedModel, batch: Batch, masks: Iterable[HeadMask | Tensor], *, fill: Tensor | None = None
) -> Iterator[Tensor]:
    """Logits of one batch under each mask in turn, as the model gives them; layers shared by neighbours are computed once.

    Layers below the first difference between neighbours, in any sentence, are not computed again, nor is that layer's attention
    (where the attention module holds the output projection, its projections into heads). This holds two to four hidden states per
    layer in memory. Masks are read lazily, so a mask may depend on the logits before it.

    Args:
        model: In the mode and precision wanted.
        batch: On the model's device.
        masks: Each a mask for all sentences, or booleans `[sentences, layers, heads]`, True = keep, one mask per sentence of the
            batch. Tensors are compared on their device, best the CPU, and may be overwritten between two masks.
        fill: Outputs of ablated heads, as in `gated`.
    """
    sites = attention_sites(model)
    kept = _Kept()
    before: Tensor | None = None
    logits: Tensor | None = None
    for mask in masks:
        keep = torch.from_numpy(mask.keep.copy()) if isinstance(mask, HeadMask) else mask.clone()
        start = 0 if before is None else _first_difference(before, keep)
        if logits is None or start < len(sites):
            by_sentence = not isinstance(mask, HeadMask)
            gates = keep.to(batch.input_ids.device) if by_sentence else mask
            with (
                _from_layer(sites, kept.prefix(start) if start < len(sites) else start, kept),
                gated(model, gates, rows=batch.rows if by_sentence else None, fill=fill),
            ):
                logits = model(**batch.inputs).logits
        before = keep
        yield logits


def _first_difference(one: Tensor, other: Tensor) -> int:
    """The lowest layer in which two masks `[…, layers, heads]` differ; the number of layers if they are equal."""
    differ = (one.to(other.device) != other).any(-1).reshape(-1, other.shape[-2]).any(0)
    return int(differ.nonzero()[0]) if bool(differ.any()) else len(differ)


@contextmanager
def _from_layer(sites: Sequence[AttentionSite], start: int, kept: _Kept) -> Iterator[None]:
    """A context that repeats the stored outputs below the output projection of layer `start` and stores those of the rest."""

    first = not kept.order

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        kept.outputs[module].append(output)

    def keep_output(module: nn.Module, args: Any, output: Any) -> None:
        # eager attention also returns its weights, which are not needed
        keep(module, args, (output[0], *(None for _ in output[1:])) if isinstance(output, tuple) else output)

    with ExitStack() as stack:
        for site in sites[:start]:
            stack.enter_context(repeating(site.block, kept.outputs[site.block]))
        for site in sites[start:]:
            if first:
                stack.callback(site.block.register_forward_pre_hook(partial(_note, kept, site.layer)).remove)
            for part in (site.block, *_before_gates(site)):
                # a layer may pass on more than its hidden state
                if site.layer == start and part is not site.block and part in kept.outputs and kept.once(start):
                    stack.enter_context(repeating(part, kept.outputs[part]))
                else:
                    kept.outputs[part] = []
                    stack.callback(part.register_forward_hook(keep if part is site.block else keep_output).remove)
        yield


def _note(kept: _Kept, layer: int, module: nn.Module, args: Any) -> None:
    kept.order.append(layer)


def _before_gates(site: AttentionSite) -> tuple[nn.Module, ...]:
    """The attention module, or the projections into heads if it contains the output projection."""
    return site.inputs if any(module is site.output for module in site.attention.modules()) else (site.attention,)
