"""A position bias that all layers share, in a model whose layers hold different heads: every layer takes its heads' columns.

The embedding itself stays whole. What is installed here has no weights of its own, so checkpoints do not change.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from polyhead.models.architectures import architecture
from polyhead.models.sites import AttentionSite, module_at

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel


def select_bias(model: PreTrainedModel, sites: Sequence[AttentionSite], heads: Sequence[Sequence[int]]) -> None:
    """Make every layer use the bias of its own heads; a second call replaces the first. Does nothing without a shared bias.

    Args:
        model: Its family may have a shared bias.
        sites: All layers.
        heads: For each layer, the columns of the shared embedding in the order of its blocks.
    """
    row = architecture(model.config)
    if not row.shared_bias:
        return
    inside = not row.shared_bias.startswith("/")
    for site, kept in zip(sites, heads, strict=True):
        own = tuple(kept) or (0,) * site.needs_a_head  # a block of zeros takes no notice of it
        _replace_hook(site.attention, _Argument(row.bias_argument, None if inside else own))
        if inside:
            # passed on, the bias of one layer would be that of other heads: every layer looks up its own
            parent, _, name = row.shared_bias.rpartition(".")
            table = module_at(sites[0].block, row.shared_bias)
            setattr(site.attention, row.owns_bias, True)
            if site is sites[0]:
                _replace_hook(table, _Columns(own))
            else:
                setattr(module_at(site.block, parent), name, _Lookup(table, own))


@dataclass(frozen=True)
class _Argument:
    """A pre-hook of an attention module: the bias it is given, reduced to its heads, or None so that it looks up its own."""

    name: str
    heads: tuple[int, ...] | None

    def install(self, module: nn.Module) -> None:
        module.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], named: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.name in named:
            return args, {**named, self.name: self._own(named[self.name])}
        place = list(inspect.signature(type(module).forward).parameters).index(self.name) - 1
        if len(args) <= place:
            return args, dict(named)
        return (*args[:place], self._own(args[place]), *args[place + 1 :]), dict(named)

    def _own(self, bias: Tensor | None) -> Tensor | None:
        if bias is None or self.heads is None:
            return None
        return bias.index_select(1, torch.tensor(self.heads, dtype=torch.int64, device=bias.device))


@dataclass(frozen=True)
class _Columns:
    """A hook of an embedding with one column per head: the columns of some heads."""

    heads: tuple[int, ...]

    def install(self, module: nn.Module) -> None:
        module.register_forward_hook(self)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output.index_select(-1, torch.tensor(self.heads, dtype=torch.int64, device=output.device))


class _Lookup(nn.Module):
    """Looks up some heads' columns in an embedding that another layer holds."""

    def __init__(self, table: nn.Embedding, heads: tuple[int, ...]) -> None:
        super().__init__()
        self._table = (table,)  # in a tuple: not a submodule, so it is neither saved nor counted twice
        self.heads = heads

    @property
    def weight(self) -> Tensor:
        """The whole embedding's."""
        return self._table[0].weight

    def forward(self, buckets: Tensor) -> Tensor:
        """Biases `[..., heads]` of position buckets `[...]`."""
        found = nn.functional.embedding(buckets.to(self.weight.device), self.weight).to(buckets.device)
        return found.index_select(-1, torch.tensor(self.heads, dtype=torch.int64, device=found.device))


def _replace_hook(module: nn.Module, hook: _Argument | _Columns) -> None:
    for hooks in (module._forward_hooks, module._forward_pre_hooks):
        for key in [key for key, known in hooks.items() if isinstance(known, _Argument | _Columns)]:
            del hooks[key]
    hook.install(module)
