"""Pruning: smaller matrices, and a record of the pruned heads in the config."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.models import pruning_record
from polyhead.models.architectures import PROJECTIONS, AttentionSite, architecture, attention_sites, full_mask, recorded_mask
from polyhead.models.named_masks import check_masks, head_masks, take_mask_names

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

Model = TypeVar("Model", bound="PreTrainedModel")


def prune(model: Model, mask: HeadMask | Mapping[str, HeadMask]) -> Model:
    """The same model, changed in place: the weights of all heads outside `mask` are removed.

    Given several masks by name, such as one per language, only heads that none of them keeps are removed. The forward pass then
    takes `mask_names`, a name (or None: all heads left) for each row of the batch, and gives the logits of the model pruned to
    that mask alone; without `mask_names` all heads that are left are used. New names replace those the model had. A plain mask
    leaves the names, whose masks lose the same heads.

    Logits equal those under `gated(model, mask)`. Heads pruned before stay pruned, and the numbering is always that of the
    unpruned model, so pruning twice means pruning by both masks. A layer may lose all its heads. The projections stay the same
    modules but get new, smaller parameters of the same dtype, device and `requires_grad`. Gradients are dropped; build the
    optimiser afterwards. The model gets its own config, which records the pruned heads: `head_mask(model)`, `copy.deepcopy` and
    `save_pretrained` preserve it.

    Args:
        model: Of a family in `ARCHITECTURES`; a compiled model compiles again at its next call.
        mask: True = keep, `[layers, heads]` of the unpruned model; or several by name.

    Raises:
        TypeError: A mask is not a `HeadMask`.
        SettingError: A name is not allowed, or a mask does not have the shape of the unpruned model.
        ArchitectureError: The family has no row, or the weights are quantized, wrapped or not in memory.

    >>> import polyhead as ph
    >>> model = ph.load_tagger("polyhead/tiny", labels=ph.LabelSet(("O", "B-PER", "I-PER")), seed=42)
    >>> model = prune(model, ph.HeadMask.without(4, 8, [ph.HeadId(2, 5)]))
    >>> ph.head_mask(model).pruned
    (HeadId(layer=2, head=5),)
    """
    require(model=(model, nn.Module))
    has = recorded_mask(model)
    if isinstance(mask, Mapping):
        check_masks(mask, has)
        keep, masks = HeadMask(np.any([own.keep for own in mask.values()], axis=0)), dict(mask)
    else:
        keep, masks = mask, head_masks(model)
    check_mask(keep, has)
    sites = attention_sites(model)
    if any(module.weight.is_meta for site in sites for module in (*site.inputs, site.output)):
        raise ArchitectureError("the weights are not in memory (meta device or offloaded); load the model without offloading")
    remove_heads(model, sites, has & keep, masks=masks)
    return model


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


def remove_heads(
    model: PreTrainedModel, sites: tuple[AttentionSite, ...], keep: HeadMask, *, masks: Mapping[str, HeadMask]
) -> None:
    """Reduce `sites` to the heads in `keep`, which they must hold, and write the record; unchecked, also for meta weights.

    Named masks lose the heads that are not in `keep`.
    """
    row = architecture(model.config)
    for site in sites:
        wanted = [block for block, head in enumerate(site.kept) if keep.keep[site.layer, head]]
        if len(wanted) < len(site.kept):
            _reduce(site, torch.tensor(wanted, dtype=torch.int64))
            setattr(site.attention, row.head_count, len(wanted))
            setattr(site.attention, row.width, len(wanted) * site.head_dim)
    if keep != full_mask(model) or masks:
        _own_config(model)
        own = {name: keep & mask for name, mask in masks.items()}
        pruning_record.keep_record(model.config, keep, own)
    if masks:
        take_mask_names(model)


def full_state(model: PreTrainedModel) -> dict[str, Tensor]:
    """The model's weights at the unpruned shape, zeros for pruned heads; unpruned tensors are shared, not copied.

    Raises:
        ArchitectureError: As `attention_sites`.
    """
    names = {module: name for name, module in model.named_modules()}
    state: dict[str, Tensor] = dict(model.state_dict())
    heads = tuple(range(full_mask(model).n_heads))
    for site in attention_sites(model):
        whole = dataclasses.replace(site, kept=heads)
        kept = torch.tensor(site.kept, dtype=torch.int64)
        for module, rows in _rows(whole, kept):
            for key in (f"{names[module]}.weight", f"{names[module]}.bias"):
                if key in state:
                    state[key] = _spread(state[key], rows, 0, whole.n_rows)
        key = f"{names[site.output]}.weight"
        state[key] = _spread(state[key], whole.head_columns()[kept].flatten(), 1, len(heads) * site.head_dim)
    return state


def _reduce(site: AttentionSite, blocks: Tensor) -> None:
    for module, rows in _rows(site, blocks):
        _shrink(module, rows, 0)
    _shrink(site.output, site.head_columns()[blocks].flatten(), 1)


def _rows(site: AttentionSite, blocks: Tensor) -> list[tuple[nn.Linear, Tensor]]:
    rows = [site.head_rows(name)[blocks].flatten() for name in PROJECTIONS]
    if len(site.inputs) == 1:
        return [(site.query, torch.cat(rows))]
    return list(zip(site.inputs, rows, strict=True))


def _shrink(linear: nn.Linear, index: Tensor, dim: int) -> None:
    linear.weight = _selected(linear.weight, index, dim)
    if dim == 0:
        linear.out_features = len(index)
        if linear.bias is not None:
            linear.bias = _selected(linear.bias, index, 0)
    else:
        linear.in_features = len(index)


def _selected(parameter: Tensor, index: Tensor, dim: int) -> nn.Parameter:
    # index_select copies: a slice would keep the whole old matrix in memory
    chosen = parameter.detach().index_select(dim, index.to(parameter.device))
    return nn.Parameter(chosen, requires_grad=parameter.requires_grad)


def _spread(small: Tensor, index: Tensor, dim: int, size: int) -> Tensor:
    shape = [*small.shape]
    shape[dim] = size
    return small.new_zeros(shape).index_copy_(dim, index.to(small.device), small)


def _own_config(model: PreTrainedModel) -> None:
    # models built from one config object share it, but the record of pruned heads belongs to one model
    shared = model.config
    own = copy.deepcopy(shared)
    for module in model.modules():
        if module.__dict__.get("config") is shared:
            module.config = own
