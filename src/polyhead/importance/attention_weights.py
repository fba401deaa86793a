"""Attention weights of every layer, computed from queries and keys as the model runs: the same under every attention kernel."""

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.learning.batching import Batch
from polyhead.models.architectures import AttentionSite, Projection, attention_sites, full_mask
from polyhead.models.devices import Precision, attention_kernel
from polyhead.models.gates import gated

Receive = Callable[[AttentionSite, Tensor], None]


def each_attention(model: PreTrainedModel, batch: Batch, receive: Receive, *, precision: Precision) -> None:
    """Nothing comes back: `receive` is given every layer's attention in turn, bottom up, while the batch runs through the model.

    It is given the layer's site and the natural logarithm of the weights, `[rows, kept heads, queries, keys]`, in the order of
    `site.kept`; float32, or float64 for a model of float64. They are logarithms because a weight of 1e-50 would be 0: shares
    among some of the keys can then still be had. Keys that are padding have −inf; queries that are padding have rows as well,
    and these mean nothing. Nothing is kept, so memory is that of one layer. Layers without heads are passed over.

    Costs one forward pass, and one product of queries and keys a layer beside it. `output_attentions` is never asked for: under
    fused kernels Transformers gives none, and switching kernels would change what is measured.

    Args:
        model: A token classifier, pruned or not, in eval mode (attention's dropout is never applied here).
        batch: On the model's device.
        receive: Called once a layer, without a graph if the block around has none.
        precision: That of the block around; logits of attention are float32 under both.

    Raises:
        ArchitectureError: The family has no row in `ARCHITECTURES`.
    """
    visible = batch.attention_mask.bool()[:, None, None, :]
    with ExitStack() as stack:
        # hooks see nothing of compiled code; under gates, here of a mask that keeps every head, all of it runs eagerly
        stack.enter_context(gated(model, full_mask(model)))
        for site in attention_sites(model):
            if site.kept:
                _watch(stack, site, visible, receive)
        stack.enter_context(attention_kernel(visible.device, visible.shape[-1], precision, work="predict"))
        model(input_ids=batch.input_ids, attention_mask=batch.attention_mask if batch.has_padding else None)


def _watch(stack: ExitStack, site: AttentionSite, visible: Tensor, receive: Receive) -> None:
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, args: object, output: Tensor) -> None:
        seen[module] = output

    def give(module: nn.Module, args: object) -> None:
        query, key = _heads(site, "query", seen[site.query]), _heads(site, "key", seen[site.key])
        seen.clear()
        receive(site, _log_weights(query, key, visible))

    for module in dict.fromkeys((site.query, site.key)):
        stack.callback(module.register_forward_hook(keep).remove)
    stack.callback(site.output.register_forward_pre_hook(give).remove)


def _heads(site: AttentionSite, projection: Projection, joined: Tensor) -> Tensor:
    """What a projection puts out, `[rows, kept heads, length, head_dim]`, in float32 at least."""
    heads = joined[..., site.head_rows(projection).to(joined.device)]
    return heads.to(torch.promote_types(joined.dtype, torch.float32)).transpose(1, 2)


def _log_weights(query: Tensor, key: Tensor, visible: Tensor) -> Tensor:
    with torch.autocast(query.device.type, enabled=False):
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        weights: Tensor = logits.masked_fill(~visible, -torch.inf).log_softmax(dim=-1)
    return weights
