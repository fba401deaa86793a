"""Which heads a model has, and the live modules of each layer's attention, as its family's row says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from torch import nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError
from polyhead.core.heads import HeadMask
from polyhead.models import pruning_record
from polyhead.models.architectures import Architecture, architecture
from polyhead.models.sites import AttentionSite, check_site, module_at, modules_in, part_holders

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PretrainedConfig, PreTrainedModel

_WRAPPERS = {
    "module": "a parallel wrapper; pass its .module",
    "get_base_model": "a PEFT model; pass .merge_and_unload(), or .get_base_model() to omit the adapter",
}


def row_of(model: PreTrainedModel) -> Architecture:
    """The row of a model's family.

    Raises:
        ArchitectureError: The model is a wrapper or not of Transformers, or its family has no row.
    """
    for name, advice in _WRAPPERS.items():
        if hasattr(model, name):
            raise ArchitectureError(f"{type(model).__name__} is {advice}")
    if not hasattr(model, "config") or not hasattr(model, "base_model"):
        raise ArchitectureError(f"{type(model).__name__} is not a Transformers model; pass what from_pretrained returns")
    return architecture(model.config)


def full_mask(model: PreTrainedModel) -> HeadMask:
    """Every head of the unpruned model, `[layers, heads]`.

    Raises:
        ArchitectureError: The model is a wrapper, or its family has no row.
    """
    row_of(model)
    return full_mask_of(model.config)


def full_mask_of(config: PretrainedConfig) -> HeadMask:
    """Every head of the unpruned model that a config describes, `[layers, heads]`; layers that share weights are one layer.

    Raises:
        ArchitectureError: The family has no row.
    """
    return HeadMask.full(prod(getattr(config, name) for name in architecture(config).layer_counts), config.num_attention_heads)


def recorded_mask(model: PreTrainedModel) -> HeadMask:
    """The heads the model still has according to its config, not checked against the weights.

    Raises:
        ArchitectureError: The model is quantized.
        CheckpointError: The record is corrupt, or for a model of another size.
    """
    row_of(model)
    return recorded_heads(model.config)


def recorded_heads(config: PretrainedConfig) -> HeadMask:
    """The heads of a model with this config, `[layers, heads]`, and how many share a key; no weights are read.

    Raises:
        ArchitectureError: The family has no row, or the model is quantized.
        CheckpointError: The record of pruned heads is corrupt, or for a model of another size.
    """
    row, full = architecture(config), full_mask_of(config)
    full = replace(full, group=full.n_heads // getattr(config, row.key_heads) if row.key_heads else 1)
    record = getattr(config, pruning_record.KEY, None)
    if record is None:
        return full
    if not pruning_record.is_ours(record):
        raise ArchitectureError("the model is quantized, so its heads cannot be gated or pruned; load it unquantized")
    return replace(pruning_record.read_record(record, full, folder=config.name_or_path), group=full.group)


def head_mask(model: PreTrainedModel) -> HeadMask:
    """The heads the model still has, `[layers, heads]` in the unpruned numbering.

    Raises:
        ArchitectureError: The family has no row, or the shapes of the weights contradict the config's record.
        CheckpointError: The record of pruned heads is corrupt.

    >>> import polyhead as ph
    >>> model = ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model
    >>> mask = head_mask(model)
    >>> mask.n_layers, mask.n_heads, mask.n_pruned
    (4, 8, 0)
    """
    require(model=(model, nn.Module))
    mask = recorded_mask(model)
    attention_sites(model)
    return mask


def attention_sites(model: PreTrainedModel, *, mask: HeadMask | None = None) -> tuple[AttentionSite, ...]:
    """The attention of every layer, bottom up; live modules, not copies.

    Args:
        model: With any task head or none; may be compiled.
        mask: The heads that the weights hold; default: those that the config records.

    Raises:
        ArchitectureError: The family has no row, or the weights have an unexpected shape.
        CheckpointError: The record of pruned heads is corrupt.
    """
    row, config = row_of(model), model.config
    mask = recorded_mask(model) if mask is None else mask
    if row.mixes_heads and getattr(config, row.mixes_heads, False):
        wrong = f"{row.mixes_heads} is {getattr(config, row.mixes_heads)!r}, so heads are mixed before the output projection"
        raise ArchitectureError(f"{type(model).__name__}: {wrong} and none can be gated or pruned alone")
    head_dim = getattr(config, row.head_dim) if row.head_dim else config.hidden_size // config.num_attention_heads
    group = config.num_attention_heads // getattr(config, row.key_heads) if row.key_heads else 1
    with plain_modules(model):
        layers = layers_of(model, mask.n_layers)
        paths = (row.attention, row.query, row.key, row.value, row.output)
        found = [[module_at(layer, path) for path in paths] for layer in layers]
    sites = []
    for i, (layer, (attention, query, key, value, output)) in enumerate(zip(layers, found, strict=True)):
        site = AttentionSite(
            i,
            layer,
            attention,
            query,
            key,
            value,
            output,
            head_dim=head_dim,
            kept=tuple(int(head) for head in mask.keep[i].nonzero()[0]),
            uses=config.num_hidden_layers // mask.n_layers,
            group=group,
            fused_by_head=row.fused_by_head,
            also=tuple(part_holders(layer, row.also)),
            needs_a_head=row.needs_a_head,
        )
        check_site(site)
        sites.append(site)
    return tuple(sites)


@contextmanager
def plain_modules(model: PreTrainedModel) -> Iterator[None]:
    """A context in which a module that a path of the row names and the model lacks is an `ArchitectureError`."""
    try:
        yield
    except AttributeError as error:
        kind = f"{type(model).__name__}: {error}"
        raise ArchitectureError(f"{kind}; expected the modules of a plain {model.config.model_type!r} model") from None


def layers_of(model: PreTrainedModel, n_layers: int) -> list[nn.Module]:
    """The layers with weights of their own, bottom up, which must be `n_layers`.

    Raises:
        AttributeError: The path of the row does not exist.
        ArchitectureError: There are none, or another number.
    """
    layers = list(modules_in(model.base_model, row_of(model).layers.split(".")))
    if not layers:
        raise ArchitectureError(f"{type(model).__name__}: the model has no layers")
    if len(layers) != n_layers:
        raise ArchitectureError(f"the model holds {len(layers)} layers but its config says {n_layers}")
    return layers
