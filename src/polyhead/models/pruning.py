"""Pruning: smaller matrices, and a record of the pruned heads and neurons in the config."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError, CheckpointError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models import pruning_record, row_record
from polyhead.models.architectures import ARCHITECTURES, architecture
from polyhead.models.model_heads import attention_sites, full_mask, recorded_mask
from polyhead.models.model_neurons import full_neurons, has_neurons, neuron_sites, pruned_neurons, recorded_neurons
from polyhead.models.named_masks import check_masks, head_masks, take_mask_names
from polyhead.models.neuron_sites import NeuronSite
from polyhead.models.position_bias import select_bias
from polyhead.models.sites import AttentionSite, Part, module_at

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

Model = TypeVar("Model", bound="PreTrainedModel")


def prune(model: Model, mask: HeadMask | Mapping[str, HeadMask], *, neurons: NeuronMask | None = None) -> Model:
    """The same model, changed in place: the weights of all heads outside `mask`, and neurons outside `neurons`, are removed.

    Given several masks by name, such as one per language, only heads that none of them keeps are removed. The forward pass then
    takes `mask_names`, a name (or None: all heads left) for each row of the batch, and gives the logits of the model pruned to
    that mask alone; without `mask_names` all heads that are left are used. New names replace those the model had. A plain mask
    leaves the names, whose masks lose the same heads.

    Logits equal those under `gated(model, mask, neurons=neurons)`. What was pruned before stays pruned, and the numbering is
    always that of the unpruned model, so pruning twice means pruning by both masks. A layer may lose all its heads, all its
    neurons, or both: the biases of its output layers, residuals and norms are left of it. Where heads share keys, the keys that a
    layer keeps must keep equally many heads. Layers that share weights are one layer of the mask. The linear layers stay the same
    modules but get new, smaller parameters of the same dtype, device and `requires_grad`. Gradients are dropped; build the
    optimiser afterwards. The model gets its own config, which records what is pruned: `head_mask(model)`, `neuron_mask(model)`,
    `copy.deepcopy` and `save_pretrained` preserve it. The config's numbers of heads and neurons, such as `intermediate_size`,
    stay those of the unpruned model.

    Args:
        model: Of a family in `ARCHITECTURES`; a compiled model compiles again at its next call.
        mask: True = keep, `[layers, heads]` of the unpruned model; or several by name.
        neurons: True = keep, `[layers, neurons]` of the unpruned model, for all names alike. None removes no neuron.

    Raises:
        TypeError: A mask is not a `HeadMask`, or `neurons` is not a `NeuronMask`.
        SettingError: A name is not allowed, or a mask does not have the shape of the unpruned model, or keeps unequal numbers of
            heads that share keys.
        ArchitectureError: The family has no row, or none for neurons, or the weights are quantized, wrapped or not in memory.

    >>> import polyhead as ph
    >>> model = ph.load_tagger("polyhead/tiny", labels=ph.LabelSet(("O", "B-PER", "I-PER")), seed=42)
    >>> model = prune(model, ph.HeadMask.without(4, 8, [ph.HeadId(2, 5)]))
    >>> ph.head_mask(model).pruned
    (HeadId(layer=2, head=5),)
    """
    require(model=(model, nn.Module), neurons=(neurons, NeuronMask | None))
    has = recorded_mask(model)
    if isinstance(mask, Mapping):
        check_masks(mask, has)
        keep, masks = HeadMask(np.any([own.keep for own in mask.values()], axis=0)), dict(mask)
    else:
        keep, masks = mask, head_masks(model)
    check_mask(keep, has)
    sites, left = attention_sites(model), pruned_neurons(model)
    feed_forward: tuple[NeuronSite, ...] = ()
    if neurons is not None:
        feed_forward, own = neuron_sites(model), recorded_neurons(model.config)
        if neurons.shape != own.shape:
            unpruned = f"{own.n_layers} x {own.n_neurons} before pruning"
            raise SettingError(f"mask of {neurons.n_layers} layers x {neurons.n_neurons} neurons: this model has {unpruned}")
        left = own & neurons
    parts = [part for site in sites for part in site.parts()] + [part for own in feed_forward for part in own.parts()]
    if any(part.parameter.is_meta for part in parts):
        raise ArchitectureError("the weights are not in memory (meta device or offloaded); load the model without offloading")
    _remove(model, sites, has & keep, masks=masks, feed_forward=feed_forward, neurons=left)
    return model


def prune_to_record(model: PreTrainedModel, record: Mapping[str, object], *, folder: str) -> None:
    """Reduce an unpruned model, also an empty one, to the shape of a record, and write the record; nothing else is checked.

    Args:
        model: With the config that the record was read from.
        record: The value of `quantization_config`, which `is_ours`.
        folder: Of the config, for errors; empty if it was not read from a file.

    Raises:
        ArchitectureError: The family has no row, or the weights have an unexpected shape.
        CheckpointError: The record is corrupt, or has neurons of a family whose row does not say where they are.
    """
    full = full_mask(model)
    keep = pruning_record.read_record(record, full, folder=folder)
    masks = pruning_record.read_masks(record, keep, folder=folder)
    feed_forward: tuple[NeuronSite, ...] = ()
    neurons = None
    if pruning_record.NEURONS in record:
        if not has_neurons(model.config):
            wrong = f"{pruning_record.NEURONS}, but polyhead cannot prune neurons of model_type {model.config.model_type!r}"
            raise CheckpointError(f"{Path(folder, 'config.json')}: {pruning_record.KEY} has {wrong}; use another checkpoint")
        whole = full_neurons(model)
        feed_forward, neurons = neuron_sites(model, mask=whole), pruning_record.read_neurons(record, whole, folder=folder)
    _remove(model, attention_sites(model, mask=full), keep, masks=masks, feed_forward=feed_forward, neurons=neurons)


def check_mask(mask: HeadMask, has: HeadMask) -> None:
    """Check that a mask fits a model whose own mask, of whatever heads, is `has`.

    Raises:
        TypeError: The mask is not a `HeadMask`.
        SettingError: It does not have the shape of the unpruned model.
    """
    require(mask=(mask, HeadMask))
    if mask.keep.shape != has.keep.shape:
        unpruned = f"{has.n_layers} x {has.n_heads} before pruning"
        raise SettingError(f"mask of {mask.n_layers} layers x {mask.n_heads} heads: this model has {unpruned}")


def _remove(
    model: PreTrainedModel,
    sites: Sequence[AttentionSite],
    keep: HeadMask,
    *,
    masks: Mapping[str, HeadMask],
    feed_forward: Sequence[NeuronSite],
    neurons: NeuronMask | None,
) -> None:
    """Reduce sites to the heads in `keep` and to the `neurons`, which they must hold, and write the record; unchecked.

    Named masks lose the heads that are not in `keep`. `neurons` are those that the model then has; None for all.
    """
    row = architecture(model.config)
    check_groups(sites, keep)
    for site in sites:
        wanted = [block for block, head in enumerate(site.kept) if keep.keep[site.layer, head]]
        if len(wanted) < len(site.kept):
            _reduce(site.parts(), wanted, block_of_zeros=site.needs_a_head)
            left = dataclasses.replace(site, kept=tuple(site.kept[block] for block in wanted))
            keys = left.n_blocks // left.queries_per_key
            counts = {
                row.head_count: left.n_blocks,
                row.width: left.n_blocks * site.head_dim,
                row.key_count: keys,
                row.group_size: left.queries_per_key,
            }
            for name, value in counts.items():
                if name:
                    setattr(site.attention, name, value)
    for own in feed_forward:
        wanted = [column for column, neuron in enumerate(own.kept) if neurons is None or neurons.keep[own.layer, neuron]]
        if len(wanted) < len(own.kept):
            _reduce(own.parts(), wanted)
            holder, _, name = row.neuron_count.rpartition(".")
            if name and hasattr(counter := module_at(sites[own.layer].block, holder), name):
                setattr(counter, name, len(wanted))
    is_pruned = keep != full_mask(model)
    if is_pruned:
        select_bias(model, sites, [keep.keep[site.layer].nonzero()[0].tolist() for site in sites])
    if is_pruned or masks or (neurons is not None and neurons.n_pruned):
        own_config(model)
        pruning_record.keep_record(model.config, keep, {name: keep & mask for name, mask in masks.items()}, neurons)
        if row.model_type not in ARCHITECTURES:
            getattr(model.config, pruning_record.KEY)[row_record.KEY] = row_record.write_row(row)
    if masks:
        take_mask_names(model)


def check_groups(sites: Sequence[AttentionSite], keep: HeadMask) -> None:
    """Refuse a mask under which the keys of a layer would serve different numbers of heads.

    Raises:
        SettingError: With the heads to leave or to prune as well.
    """
    for site in sites:
        kept = [int(head) for head in keep.keep[site.layer].nonzero()[0] if head in site.kept]
        counts = Counter(head // site.group for head in kept)
        if len(set(counts.values())) < 2:
            continue
        most, fewest = max(counts.values()), min(counts.values())
        leave = [h for h in site.kept if 0 < counts[h // site.group] < most and h not in kept]
        leave = [h for key in counts for h in [x for x in leave if x // site.group == key][: most - counts[key]]]
        also = [h for key in counts for h in [x for x in kept if x // site.group == key][fewest:]]
        ways = [f"prune {_named(site, also)} as well"]
        if all(counts[key] + sum(h // site.group == key for h in leave) == most for key in counts):
            ways.insert(0, f"leave {_named(site, leave)}")
        held = ", ".join(f"{count} of {key * site.group}..{(key + 1) * site.group - 1}" for key, count in sorted(counts.items()))
        wrong = f"heads that share a key must stay in equal numbers, but {held} would stay"
        raise SettingError(f"layer {site.layer}: {wrong}; {' or '.join(ways)}")


def fitted(model: PreTrainedModel, mask: HeadMask) -> HeadMask:
    """The mask without the keys that would keep fewer heads than another key of their layer; it can be pruned to.

    Raises:
        ArchitectureError: The family has no row.
    """
    keep = mask.keep.copy()
    for site in attention_sites(model):
        by_key = keep[site.layer].reshape(-1, site.group)
        by_key[by_key.sum(axis=1) < by_key.sum(axis=1).max()] = False
    return HeadMask(keep)


def _named(site: AttentionSite, heads: Sequence[int]) -> str:
    return ", ".join(f"{site.layer}.{head}" for head in heads)


def full_state(model: PreTrainedModel) -> dict[str, Tensor]:
    """The model's weights at the unpruned shape, zeros for pruned heads and neurons; unpruned tensors are shared, not copied.

    Raises:
        ArchitectureError: As `attention_sites`.
    """
    names = {module: name for name, module in model.named_modules()}
    state: dict[str, Tensor] = dict(model.state_dict())
    heads = tuple(range(full_mask(model).n_heads))
    found = [(site.kept, site.parts(), dataclasses.replace(site, kept=heads).parts()) for site in attention_sites(model)]
    if (left := pruned_neurons(model)) is not None:
        neurons = tuple(range(left.n_neurons))
        found += [(site.kept, site.parts(), dataclasses.replace(site, kept=neurons).parts()) for site in neuron_sites(model)]
    for own_blocks, parts, whole in found:
        kept, blocks = torch.tensor(own_blocks, dtype=torch.int64), slice(len(own_blocks))
        for small, large in zip(parts, whole, strict=True):
            key = f"{names[small.module]}.{small.name}"
            own = small.positions(blocks)
            state[key] = _spread(state[key], small.dim, own, large.positions(kept), len(large.positions(slice(None))))
    return state


def reorder_heads(model: PreTrainedModel) -> None:
    """Move the heads of every layer by one place, the last one to the first, in place; logits stay the same.

    Heads that share a key move together. The config still numbers the heads by place: use it to check that a place means nothing.
    """
    sites, moved = attention_sites(model), []
    for site in sites:
        order = torch.arange(len(site.kept)).roll(site.queries_per_key if site.group > 1 else 1)
        moved.append([site.kept[block] for block in order])
        if len(order):
            for part in site.parts():
                to, origin = (index.flatten().to(part.parameter.device) for index in (part.index, part.index[order]))
                with torch.no_grad():
                    part.parameter.index_copy_(part.dim, to, part.parameter.index_select(part.dim, origin))
    select_bias(model, sites, moved)


def _reduce(parts: Sequence[Part], wanted: Sequence[int], *, block_of_zeros: bool = False) -> None:
    empty = not wanted and block_of_zeros
    blocks = torch.tensor([0] if empty else wanted, dtype=torch.int64, device="cpu")
    for part in parts:
        _shrink(part, part.positions(blocks))
        if empty:
            with torch.no_grad():
                part.parameter.zero_()


def _shrink(part: Part, index: Tensor) -> None:
    setattr(part.module, part.name, _selected(part.parameter, index, part.dim))
    if part.name == "weight":
        sizes = ("num_embeddings", "embedding_dim") if isinstance(part.module, nn.Embedding) else ("out_features", "in_features")
        setattr(part.module, sizes[part.dim], len(index))


def _selected(parameter: Tensor, index: Tensor, dim: int) -> nn.Parameter:
    # index_select copies: a slice would keep the whole old matrix in memory
    chosen = parameter.detach().index_select(dim, index.to(parameter.device))
    return nn.Parameter(chosen, requires_grad=parameter.requires_grad)


def _spread(small: Tensor, dim: int, own: Tensor, to: Tensor, size: int) -> Tensor:
    shape = [*small.shape]
    shape[dim] = size
    return small.new_zeros(shape).index_copy_(dim, to.to(small.device), small.index_select(dim, own.to(small.device)))


def own_config(model: PreTrainedModel) -> None:
    """Give a model its own copy of its config: models built from one config share it, but what is removed belongs to one."""
    shared = model.config
    own = copy.deepcopy(shared)
    for module in model.modules():
        if module.__dict__.get("config") is shared:
            module.config = own
