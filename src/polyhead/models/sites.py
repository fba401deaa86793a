"""Where the heads of one layer are in its weights; no other module reshapes a projection."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from polyhead.core.errors import ArchitectureError

Projection = Literal["query", "key", "value"]
PROJECTIONS: tuple[Projection, ...] = ("query", "key", "value")


@dataclass(frozen=True, eq=False)
class Part:
    """A parameter in which every head, or every neuron, has entries of its own along one dimension.

    Attributes:
        module: Holds the parameter.
        name: The parameter's name in the module.
        dim: The dimension along which they are told apart.
        index: int64 `[blocks, entries]`, on the CPU: positions along `dim` for each one in the order of `kept`. Heads that share
            a key have the same positions.
    """

    module: nn.Module
    name: str
    dim: int
    index: Tensor

    @property
    def parameter(self) -> nn.Parameter:
        """The live parameter."""
        found: nn.Parameter = getattr(self.module, self.name)
        return found

    def positions(self, blocks: Tensor | slice) -> Tensor:
        """Positions along `dim` of some blocks, int64, ascending and without repetition."""
        found: Tensor = torch.unique(self.index[blocks])
        return found

    @property
    def per_block(self) -> int:
        """Weights of one head or neuron."""
        return prod(size for dim, size in enumerate(self.parameter.shape) if dim != self.dim) * self.index.shape[1]


class GateSite(Protocol):
    """What gates see of a layer: the input of a linear layer, `[..., len(kept) * width]`, in blocks that each have a gate."""

    @property
    def layer(self) -> int:
        """0-based index."""

    @property
    def output(self) -> nn.Linear:
        """The linear layer."""

    @property
    def kept(self) -> tuple[int, ...]:
        """Heads or neurons still present, in the unpruned numbering and in the order of their blocks."""

    @property
    def width(self) -> int:
        """Entries of one block: the width of a head, or 1 for a neuron."""


@dataclass(frozen=True, eq=False)
class AttentionSite:
    """The attention of one layer: live modules, and the heads they still hold.

    Attributes:
        layer: 0-based index.
        block: The whole layer; the attention itself in families that have no module for a layer.
        attention: The module that computes attention.
        query, key, value: Projections into heads; the same module where the family fuses them.
        output: The output projection; its input `[..., len(kept) * head_dim]` is the concatenated head outputs.
        head_dim: Width of one head.
        kept: Heads still present, in the unpruned numbering and in the order of their blocks.
        uses: Times that a forward pass runs the layer: more than 1 where layers share weights.
        group: Heads that share one key and value in the unpruned model; 1 where every head has its own.
        fused_by_head: Whether the rows of a fused projection are `[heads, 3, head_dim]` instead of `[3, heads, head_dim]`.
        also: Other holders of one block per head: a linear layer's rows, a parameter's entries, or an embedding's columns.
        needs_a_head: Whether a layer without heads holds one block of zeros.
    """

    layer: int
    block: nn.Module
    attention: nn.Module
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output: nn.Linear
    head_dim: int
    kept: tuple[int, ...]
    uses: int = 1
    group: int = 1
    fused_by_head: bool = False
    also: tuple[tuple[nn.Module, str], ...] = ()
    needs_a_head: bool = False

    @property
    def inputs(self) -> tuple[nn.Linear, ...]:
        """The distinct modules among query, key and value: three, or one where they are fused."""
        return tuple(dict.fromkeys((self.query, self.key, self.value)))

    @property
    def width(self) -> int:
        """As `head_dim`."""
        return self.head_dim

    @property
    def n_blocks(self) -> int:
        """Blocks in the weights: one per head, or the block of zeros of a layer without heads."""
        return len(self.kept) or int(self.needs_a_head)

    @property
    def queries_per_key(self) -> int:
        """Kept heads per key and value that the layer still has."""
        keys = {head // self.group for head in self.kept}
        return len(self.kept) // len(keys) if keys else self.group

    @property
    def weights_per_head(self) -> int:
        """Weights that belong to one head, biases included; of a shared key, the head's share."""
        return round(self.weights_of(range(self.group)) / self.group)

    def weights_of(self, heads: Collection[int]) -> int:
        """Weights of some heads of the unpruned layer, biases included; a key and value that several of them share count once."""
        keys = {head // self.group for head in heads}
        parts = replace(self, kept=(0,)).parts()
        return sum(part.per_block * len(keys if part.module in (self.key, self.value) else heads) for part in parts)

    def head_rows(self, projection: Projection) -> Tensor:
        """Rows of the projection's weight for each kept head: int64 `[len(kept), head_dim]`, on the CPU."""
        return self._rows(projection)[: len(self.kept)]

    def head_columns(self) -> Tensor:
        """Columns of the output projection's weight for each kept head: int64 `[len(kept), head_dim]`, on the CPU."""
        return blocks(self.n_blocks, self.head_dim)[: len(self.kept)]

    def split(self, joined: Tensor) -> Tensor:
        """The output projection's input `[..., len(kept) * head_dim]` as a view `[..., len(kept), head_dim]`."""
        return joined.view(*joined.shape[:-1], len(self.kept), self.head_dim)

    def parts(self) -> tuple[Part, ...]:
        """Every parameter that has entries per head: projections with their biases, then those of `also`, then the output."""
        n = self.n_blocks
        if len(self.inputs) == 1:
            rows = [(self.query, torch.cat([self._rows(name) for name in PROJECTIONS], dim=1))]
        else:
            rows = list(zip(self.inputs, map(self._rows, PROJECTIONS), strict=True))
        found = []
        for module, name in self.also:
            if isinstance(module, nn.Linear):
                rows.append((module, blocks(n, self.head_dim)))
            elif isinstance(module, nn.Embedding):
                found.append(Part(module, name, 1, blocks(n, 1)))
            else:
                found.append(Part(module, name, 0, blocks(n, self.head_dim)))
        by_row = [
            Part(module, name, 0, index)
            for module, index in rows
            for name in ("weight", "bias")
            if getattr(module, name) is not None
        ]
        return (*by_row, *found, Part(self.output, "weight", 1, blocks(n, self.head_dim)))

    def _rows(self, projection: Projection) -> Tensor:
        n, width = self.n_blocks, self.head_dim
        if len(self.inputs) == 1:
            third = PROJECTIONS.index(projection)
            if self.fused_by_head:
                return blocks(n, 3 * width).view(n, 3, width)[:, third]
            return blocks(n, width) + third * n * width
        if projection == "query" or self.group == 1:
            return blocks(n, width)
        own = blocks(n, 1)[:, 0] // self.queries_per_key
        return blocks(n, width)[own]


def blocks(n: int, width: int) -> Tensor:
    """Positions of n blocks that lie one after the other, int64 `[n, width]`, on the CPU."""
    # not on the default device, which is meta while a checkpoint is loaded
    return torch.arange(n * width, device="cpu").view(n, width)


def modules_in(module: nn.Module, path: list[str]) -> Iterator[nn.Module]:
    """The modules in the list that a path names; `*` goes through every element of a list."""
    if not path:
        yield from module.children()
    elif path[0] == "*":
        for child in module.children():
            yield from modules_in(child, path[1:])
    else:
        yield from modules_in(getattr(module, path[0]), path[1:])


def module_at(module: nn.Module, path: str) -> Any:
    """The module that a dotted path names, from `module`, which an empty path names; a leading `/` is not read."""
    for name in path.split(".") if path else ():
        module = getattr(module, name)
    return module


def part_holders(layer: nn.Module, paths: tuple[str, ...]) -> Iterator[tuple[nn.Module, str]]:
    """Holders of blocks beside the projections, each with the name of its parameter; a model may lack them."""
    for path in paths:
        parent, _, name = path.rpartition(".")
        holder = module_at(layer, parent)
        found = getattr(holder, name, None)
        if isinstance(found, nn.Parameter):
            yield holder, name
        elif found is not None:
            yield found, "weight"


def check_site(site: AttentionSite) -> None:
    """Refuse modules that are no plain linear layers, or whose shapes do not fit the heads.

    Raises:
        ArchitectureError: Names the layer.
    """
    holders = (module for module, name in site.also if name == "weight" and not isinstance(module, nn.Embedding))
    for module in (*site.inputs, site.output, *holders):
        if not isinstance(module, nn.Linear):
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            wanted = "torch.nn.Linear (merge adapters, load unquantized)"
            raise ArchitectureError(f"layer {site.layer}: a projection is a {kind}; expected {wanted}")
    if len(site.inputs) == 2 or len({id(module.weight) for module in site.inputs}) < len(site.inputs):
        raise ArchitectureError(f"layer {site.layer}: query, key and value share weights; expected three, or one fused")
    parts = site.parts()
    sizes = tuple(part.parameter.shape[part.dim] for part in parts if part.name == "weight")
    expected = tuple(len(part.positions(slice(None))) for part in parts if part.name == "weight")
    if sizes != expected:
        need = f"the config has {len(site.kept)} heads of width {site.head_dim}, which need {expected}"
        step = "the config and the weights belong to different models"
        raise ArchitectureError(f"layer {site.layer}: the projections have {sizes} head rows and columns, but {need}; {step}")
