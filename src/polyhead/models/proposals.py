"""Rows proposed for a model of an unknown family from the shapes of its modules; nothing here is proven."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import TYPE_CHECKING

from torch import nn

from polyhead.models.architectures import ARCHITECTURES, Architecture
from polyhead.models.sites import module_at

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

# attributes in which Transformers' modules store sizes that pruning changes
_STORED = {
    "head_count": r"(num|n)_?(attention_)?heads?|nh|heads",
    "width": r"all_head_size|inner_dim|dim|embed_dim|hidden_size|attention_dim|proj_dim",
    "key_count": r"(num|n)_?(key_value|kv)_heads",
    "group_size": r"(num|n)_?(key_value|kv)_groups|n_rep",
}
_MOST = 48


def proposals(model: PreTrainedModel) -> list[Architecture]:
    """Rows that the shapes of the model's modules allow, the likeliest first; at most 48.

    A list of `num_hidden_layers` equal layers is looked for, in it three linear layers of one module (or a fused one) with one
    block of rows per head, and a linear layer with as many columns.
    """
    found = [row for path, layer in _layer_lists(model) for row in _rows(model, path, layer)]
    return list(dict.fromkeys(found))[:_MOST]


def nearest_row(model: PreTrainedModel) -> str:
    """The family of the table most of whose paths exist in the model."""

    def resolved(row: Architecture) -> int:
        lists = [layer for path, layer in _layer_lists(model) if path == row.layers]
        paths = (row.attention, row.query, row.key, row.value, row.output)
        return len(lists) + sum(_has(layer, path) for layer in lists[:1] for path in paths)

    return max(ARCHITECTURES.values(), key=resolved).model_type


def _has(module: nn.Module, path: str) -> bool:
    try:
        module_at(module, path)
    except AttributeError:
        return False
    return True


def _layer_lists(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    """Path of each list of as many equal modules as the config has layers, with the lowest."""
    count = getattr(model.config, "num_hidden_layers", None)
    for path, module in model.base_model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and len({type(child) for child in module}) == 1:
            yield path, module[0]


def _rows(model: PreTrainedModel, layers: str, layer: nn.Module) -> Iterator[Architecture]:
    config = model.config
    n_heads = getattr(config, "num_attention_heads", None)
    hidden = getattr(config, "hidden_size", None)
    if not isinstance(n_heads, int) or not isinstance(hidden, int) or n_heads < 1:
        return
    own = getattr(config, "head_dim", None)
    head_dim = own if isinstance(own, int) and own else hidden // n_heads
    keys = getattr(config, "num_key_value_heads", None)
    n_keys = keys if isinstance(keys, int) and keys and n_heads % keys == 0 else n_heads
    linear = {path: module for path, module in layer.named_modules() if isinstance(module, nn.Linear)}
    for parent, attention in layer.named_modules():
        inside = [path for path in linear if path.rpartition(".")[0] == parent]
        for query, key, value, by_head in _projections(inside, linear, n_heads * head_dim, n_keys * head_dim):
            outputs = _outputs(linear, (query, key, value), n_heads * head_dim, hidden)
            also = tuple(_also(parent, attention, {query, key, value, *outputs[:1]}, n_heads, n_heads * head_dim))
            base = Architecture(
                model_type=config.model_type,
                layers=layers,
                attention=parent,
                query=query,
                key=key,
                value=value,
                output=query,
                head_dim="head_dim" if own == head_dim and own != hidden // n_heads else "",
                fused_by_head=by_head,
                key_heads="num_key_value_heads" if n_keys < n_heads else "",
                also=also,
                feed_forward="intermediate_size" if hasattr(config, "intermediate_size") else "",
                classifier=_classifier(model),
            )
            sizes = {
                "head_count": n_heads,
                "width": n_heads * head_dim,
                "key_count": n_keys,
                "group_size": n_heads // n_keys,
            }
            stored = [_stored(attention, pattern, sizes[name]) for name, pattern in _STORED.items()]
            for output, needs_a_head, (head_count, stored_width, key_count, group_size) in product(
                outputs, (False, True), product(*stored)
            ):
                yield replace(
                    base,
                    output=output,
                    needs_a_head=needs_a_head,
                    head_count=head_count,
                    width=stored_width,
                    key_count=key_count,
                    group_size=group_size,
                )


def _projections(
    paths: Sequence[str], linear: dict[str, nn.Linear], width: int, key_width: int
) -> Iterator[tuple[str, str, str, bool]]:
    """Paths that may be query, key and value; whether a fused one may be blocked by head."""
    for path in paths:
        if linear[path].out_features == 3 * width:
            yield path, path, path, False
            yield path, path, path, True
    fits = [path for path in paths if linear[path].out_features in (width, key_width)]
    named = {letter: [path for path in fits if path.rpartition(".")[2].startswith(letter)] for letter in "qkv"}
    if all(len(found) == 1 for found in named.values()):
        yield named["q"][0], named["k"][0], named["v"][0], False
    elif len(fits) <= 4:
        for query, key, value in permutations(fits, 3):
            if linear[query].out_features == width and linear[key].out_features == linear[value].out_features == key_width:
                yield query, key, value, False


def _outputs(linear: dict[str, nn.Linear], inputs: Sequence[str], width: int, hidden: int) -> list[str]:
    """Linear layers from all heads to the hidden state, those that follow the projections closely first."""
    order = list(linear)
    last = max(order.index(path) for path in inputs)
    fits = [p for p, m in linear.items() if p not in inputs and (m.in_features, m.out_features) == (width, hidden)]
    return sorted(fits, key=lambda path: (order.index(path) < last, abs(order.index(path) - last)))[:3]


def _also(parent: str, attention: nn.Module, known: set[str], n_heads: int, width: int) -> Iterator[str]:
    """Further holders of one block per head in the attention module."""
    prefix = f"{parent}." if parent else ""
    for name, child in attention.named_children():
        if f"{prefix}{name}" not in known and (
            (isinstance(child, nn.Linear) and child.out_features == width)
            or (isinstance(child, nn.Embedding) and child.embedding_dim == n_heads)
        ):
            yield f"{prefix}{name}"
    for name, parameter in attention.named_parameters(recurse=False):
        if parameter.shape == (width,):
            yield f"{prefix}{name}"


def _stored(attention: nn.Module, pattern: str, value: int) -> list[str]:
    found = [name for name, known in vars(attention).items() if type(known) is int and known == value]
    found = [name for name in found if re.fullmatch(pattern, name)]
    return [*found[:2], ""]


def _classifier(model: PreTrainedModel) -> str:
    """The last linear layer outside the base model, by name."""
    names = [name for name, child in model.named_children() if isinstance(child, nn.Linear) and child is not model.base_model]
    return names[-1] if names else "classifier"
