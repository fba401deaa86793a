"""Temporary, differentiable gates on heads and neurons: a pre-hook on the linear layer that reads their outputs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError, PolyheadError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.model_neurons import full_neurons, neuron_sites
from polyhead.models.sites import AttentionSite, GateSite

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

_COMPILED = "gated is used inside code that torch compiles or exports; compile the model alone, or prune it and compile that"
_LOCK = threading.Lock()
_OWNERS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def gated(
    model: PreTrainedModel,
    gates: HeadMask | Tensor,
    *,
    rows: Tensor | None = None,
    fill: Tensor | None = None,
    neurons: NeuronMask | Tensor | None = None,
) -> AbstractContextManager[None]:
    """A context in which each head's output is multiplied by its gate before the output projection; it removes its hooks.

    With `neurons`, each neuron's activation (in a gated unit, the product) is multiplied by its gate before the linear layer
    that reads it. Gates use the unpruned numbering; gates of pruned heads and neurons are ignored. They stay float32 (or float64)
    under autocast, and gradients flow to them. Nested blocks multiply. Call `backward` inside the block, because gradient
    checkpointing recomputes the forward pass there. Compiled modules ignore hooks, so all compiled code runs eagerly inside the
    block. The block itself must not be part of a compiled or exported function.

    Only one thread at a time can use a model; a second one gets an error. Give each thread a copy, made outside any block.

    Args:
        model: Any family of `ARCHITECTURES`, pruned or not, also compiled.
        gates: A mask (False = 0), or numbers or booleans of shape `[layers, heads]`; `[sentences, layers, heads]` for gates per
            sentence; `[sentences, positions, layers, heads]` for gates per token. Each forward pass reads a tensor again, so it
            may be changed in place inside the block.
        rows: int64 `[batch rows]`, the sentence of each row of the batch; default: one row per sentence, in order.
        neurons: Gates of the feed-forward blocks: a mask, or numbers or booleans like `gates` with neurons in place of heads.
            None gates no neuron.
        fill: `[layers, heads, head_dim]`, the output of a head whose gate is 0, for example its mean from `head_means`; zero by
            default. A gate g between 0 and 1 mixes: g times the head's own output plus 1 − g times this.

    Raises:
        TypeError: The gates, or `neurons`, are neither a mask nor a tensor, or `rows` or `fill` is not a tensor.
        SettingError: The gates do not fit the model or (in the forward pass) the batch; gates or `fill` are not finite at the
            start of the block; another thread uses the model; or the model is copied inside the block.
        ArchitectureError: The family has no row in `ARCHITECTURES`, or none for neurons, or the block is inside code that torch
            compiles or exports.

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> with gated(tagger.model, ph.HeadMask.without(4, 8, [ph.HeadId(2, 5)])):
    ...     tags = tagger.predict([["Where", "is", "the", "station", "?"]])
    """
    if torch.compiler.is_compiling():  # raised here, because Dynamo cannot trace an error inside a context manager
        raise ArchitectureError(_COMPILED)
    require(model=(model, nn.Module), gates=(gates, HeadMask | Tensor), rows=(rows, Tensor | None), fill=(fill, Tensor | None))
    require(neurons=(neurons, NeuronMask | Tensor | None))
    return _gated(model, gates, rows, fill, neurons)


@contextmanager
def _gated(
    model: PreTrainedModel,
    gates: HeadMask | Tensor,
    rows: Tensor | None,
    fill: Tensor | None,
    neurons: NeuronMask | Tensor | None,
) -> Iterator[None]:
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and importing it takes seconds
            try:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            except RuntimeError:  # between the compiled parts of a function
                raise ArchitectureError(_COMPILED) from None
        sites, full = attention_sites(model), full_mask(model)
        given = [_gates("gates", sites, gates, full.shape)]
        if neurons is not None:
            given.append(_gates("neurons", neuron_sites(model), neurons, full_neurons(model).shape))
        for kind in given:
            _check(kind)
        _check_rows(rows, given)
        _check_fill(fill, sites, full)
        stack.enter_context(only_this_thread(model))
        for kind in given:
            for site in kind.sites:
                # a mask is immutable, so a layer that keeps all its heads needs no hook
                if site.kept and not (kind.mask is not None and kind.mask.keep[site.layer, list(site.kept)].all()):
                    index = torch.tensor(site.kept, device=kind.values.device)
                    hook = _Hook(site, index, kind.values, rows, fill if kind is given[0] else None)
                    stack.callback(site.output.register_forward_pre_hook(hook).remove)
        yield


@dataclass(frozen=True, eq=False)
class _Gates:
    """The gates of heads or neurons: the argument that gave them, where they act, the mask if they are one, and numbers."""

    name: str
    sites: Sequence[GateSite]
    shape: tuple[int, int]
    mask: HeadMask | NeuronMask | None
    values: Tensor


def _gates(name: str, sites: Sequence[GateSite], gates: HeadMask | NeuronMask | Tensor, shape: tuple[int, int]) -> _Gates:
    if isinstance(gates, Tensor):
        return _Gates(name, sites, shape, None, gates)
    return _Gates(name, sites, shape, gates, torch.from_numpy(gates.keep.copy()))


@dataclass(frozen=True, eq=False)
class _Hook:
    """Gates of one layer; refuses to be copied or pickled with its model, because nothing would remove it from the copy."""

    site: GateSite
    kept: Tensor
    gates: Tensor
    rows: Tensor | None
    fill: Tensor | None

    def __call__(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        site, z = self.site, args[0]
        own = None if self.fill is None else self.fill[site.layer, list(site.kept)].to(z.device)
        # chosen in each pass: every recomputation under gradient checkpointing needs its own graph
        gates = self.gates[..., site.layer, :].index_select(-1, self.kept)
        if gates.dtype == torch.bool:
            columns = _of_rows(gates.repeat_interleave(site.width, dim=-1).to(z.device), self.rows, z)
            return (z * columns if own is None else torch.where(columns, z, own.to(z.dtype).flatten()), *args[1:])
        gates = _of_rows(gates.to(torch.promote_types(gates.dtype, torch.float32)).to(z.device), self.rows, z)
        scaled: Tensor = _Scale.apply(z, gates, site.width)
        if own is not None:
            scaled = scaled + ((1 - gates)[..., None] * own).to(z.dtype).flatten(-2)
        return (scaled, *args[1:])

    def __reduce_ex__(self, protocol: object) -> str:
        raise SettingError("the model is being copied or pickled inside `gated`; do it outside of the block")


@contextmanager
def only_this_thread(model: nn.Module, *, patience: float = 0.0) -> Iterator[None]:
    """A context in which no other thread can gate, score, train or run this model; it may be entered again by the same thread.

    Args:
        model: Also compiled, or with another task head; threads share it if they share its layers.
        patience: Seconds to wait for another thread.

    Raises:
        SettingError: Another thread uses the model.
    """
    try:
        key: nn.Module = attention_sites(model)[0].output  # type: ignore[arg-type]
    except PolyheadError:  # prediction and training work without known heads
        key = model
    with _LOCK:
        owner = _OWNERS.setdefault(key, threading.RLock())
    if not owner.acquire(timeout=patience):
        raise SettingError("another thread is using this model; give each thread a copy of the model")
    try:
        yield
    finally:
        owner.release()


def _check(given: _Gates) -> None:
    name, gates = given.name, given.values
    expected = f"{[*given.shape]}"
    if not 2 <= gates.ndim <= 4 or tuple(gates.shape[-2:]) != given.shape:
        expected += ", optionally after sentences or sentences, positions"
        raise SettingError(f"{name} of shape {[*gates.shape]}: this model takes {expected}")
    if gates.is_complex() or not (gates.is_floating_point() or gates.dtype == torch.bool):
        raise SettingError(f"{name} of dtype {gates.dtype}: expected booleans or floating-point numbers")
    if gates.is_meta or gates.layout != torch.strided:
        raise SettingError(f"{name} without values in memory (meta or sparse); expected an ordinary tensor")
    if gates.is_floating_point() and not bool(torch.isfinite(gates).all()):
        one = "head" if name == "gates" else "neuron"
        raise SettingError(f"{name} hold NaN or infinite numbers; expected finite ones: 1 leaves a {one} as it is, 0 ablates it")


def _check_rows(rows: Tensor | None, given: Sequence[_Gates]) -> None:
    if rows is None:
        return
    by_row = [kind for kind in given if kind.values.ndim > 2]
    if not by_row:
        kind = given[-1]
        shown = f"{kind.name} of shape {[*kind.values.shape]}"
        raise SettingError(f"rows were given, but {shown} are the same for every row; omit rows")
    if rows.ndim != 1 or rows.is_floating_point() or rows.dtype == torch.bool:
        raise SettingError(f"rows of shape {[*rows.shape]} and dtype {rows.dtype}: expected int64 [batch rows]")
    for kind in by_row:
        n = kind.values.shape[0]
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < n:
            raise SettingError(f"rows from {int(rows.min())} to {int(rows.max())}: {kind.name} has rows 0..{n - 1}")


def _check_fill(fill: Tensor | None, sites: Sequence[AttentionSite], full: HeadMask) -> None:
    if fill is None:
        return
    expected = [full.n_layers, full.n_heads, sites[0].head_dim]
    if [*fill.shape] != expected or not fill.is_floating_point():
        raise SettingError(f"fill of shape {[*fill.shape]} and dtype {fill.dtype}: expected floating-point numbers {expected}")
    for site in sites:  # values for pruned heads are not read
        if not bool(torch.isfinite(fill[site.layer, list(site.kept)]).all()):
            raise SettingError(f"fill holds NaN or infinite numbers for layer {site.layer}; expected finite ones")


def _of_rows(gate: Tensor, rows: Tensor | None, z: Tensor) -> Tensor:
    """Gates `[n]`, `[sentences, n]` or `[sentences, positions, n]`; broadcast over z `[rows, positions, …]`."""
    if gate.ndim == 1:
        return gate
    if rows is not None:
        gate = gate.index_select(0, rows.to(gate.device))
    if z.ndim != 3 or gate.shape[0] != z.shape[0] or (gate.ndim == 3 and gate.shape[1] != z.shape[1]):
        step = "give one gate row per batch row, or rows= to say which each uses"
        raise SettingError(f"gates for {[*gate.shape[:-1]]} rows (and positions), but the batch is {[*z.shape[:-1]]}; {step}")
    return gate[:, None] if gate.ndim == 2 else gate


class _Scale(torch.autograd.Function):
    """z times its gates; the gates' gradient is summed in float32 whatever the precision of z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, gate: Tensor, width: int) -> Tensor:
        ctx.save_for_backward(z, gate)
        ctx.width = width
        return _times(z, gate, width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        z, gate = ctx.saved_tensors
        dz = dgate = None
        if ctx.needs_input_grad[0]:
            dz = _times(grad, gate, ctx.width)
        if ctx.needs_input_grad[1]:
            wide = torch.promote_types(z.dtype, gate.dtype)
            products = (z.to(wide) * grad).unflatten(-1, (-1, ctx.width)).sum(-1)
            dgate = products.sum_to_size(gate.shape).to(gate.dtype)
        return dz, dgate, None


def _times(z: Tensor, gate: Tensor, width: int) -> Tensor:
    # multiplied in the gate's precision: a gate of 0.999 must not become 1 under bfloat16
    split: Tensor = z.unflatten(-1, (-1, width))
    return (split * gate[..., None]).to(z.dtype).flatten(-2)
