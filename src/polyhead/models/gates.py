"""Temporary, differentiable gates on heads: a pre-hook on each layer's output projection."""

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
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.sites import AttentionSite

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

_COMPILED = "gated is used inside code that torch compiles or exports; compile the model alone, or prune it and compile that"
_LOCK = threading.Lock()
_OWNERS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def gated(
    model: PreTrainedModel, gates: HeadMask | Tensor, *, rows: Tensor | None = None, fill: Tensor | None = None
) -> AbstractContextManager[None]:
    """A context in which each head's output is multiplied by its gate before the output projection; it removes its hooks.

    Gates use the unpruned numbering; gates of pruned heads are ignored. They stay float32 (or float64) under autocast, and
    gradients flow to them. Nested blocks multiply. Call `backward` inside the block, because gradient checkpointing recomputes
    the forward pass there. Compiled modules ignore hooks, so all compiled code runs eagerly inside the block. The block itself
    must not be part of a compiled or exported function.

    Only one thread at a time can use a model; a second one gets an error. Give each thread a copy, made outside any block.

    Args:
        model: Any family of `ARCHITECTURES`, pruned or not, also compiled.
        gates: A mask (False = 0), or numbers or booleans of shape `[layers, heads]`; `[sentences, layers, heads]` for gates per
            sentence; `[sentences, positions, layers, heads]` for gates per token. Each forward pass reads a tensor again, so it
            may be changed in place inside the block.
        rows: int64 `[batch rows]`, the sentence of each row of the batch; default: one row per sentence, in order.
        fill: `[layers, heads, head_dim]`, the output of a head whose gate is 0, for example its mean from `head_means`; zero by
            default. A gate g between 0 and 1 mixes: g times the head's own output plus 1 − g times this.

    Raises:
        TypeError: The gates are neither a mask nor a tensor, or `rows` or `fill` is not a tensor.
        SettingError: The gates do not fit the model or (in the forward pass) the batch; gates or `fill` are not finite at the
            start of the block; another thread uses the model; or the model is copied inside the block.
        ArchitectureError: The family has no row in `ARCHITECTURES`, or the block is inside code that torch compiles or exports.

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> with gated(tagger.model, ph.HeadMask.without(4, 8, [ph.HeadId(2, 5)])):
    ...     tags = tagger.predict([["Where", "is", "the", "station", "?"]])
    """
    if torch.compiler.is_compiling():  # raised here, because Dynamo cannot trace an error inside a context manager
        raise ArchitectureError(_COMPILED)
    require(model=(model, nn.Module), gates=(gates, HeadMask | Tensor), rows=(rows, Tensor | None), fill=(fill, Tensor | None))
    return _gated(model, gates, rows, fill)


@contextmanager
def _gated(model: PreTrainedModel, gates: HeadMask | Tensor, rows: Tensor | None, fill: Tensor | None) -> Iterator[None]:
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and importing it takes seconds
            try:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            except RuntimeError:  # between the compiled parts of a function
                raise ArchitectureError(_COMPILED) from None
        sites, full = attention_sites(model), full_mask(model)
        mask: HeadMask | None = None
        if isinstance(gates, HeadMask):
            mask, gates = gates, torch.from_numpy(gates.keep.copy())
        _check(gates, rows, full)
        _check_fill(fill, sites, full)
        stack.enter_context(only_this_thread(model))
        for site in sites:
            # a mask is immutable, so a layer that keeps all its heads needs no hook
            if site.kept and not (mask is not None and mask.keep[site.layer, list(site.kept)].all()):
                hook = _Hook(site, torch.tensor(site.kept, device=gates.device), gates, rows, fill)
                stack.callback(site.output.register_forward_pre_hook(hook).remove)
        yield


@dataclass(frozen=True, eq=False)
class _Hook:
    """Gates of one layer; refuses to be copied or pickled with its model, because nothing would remove it from the copy."""

    site: AttentionSite
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
            columns = _of_rows(gates.repeat_interleave(site.head_dim, dim=-1).to(z.device), self.rows, z)
            return (z * columns if own is None else torch.where(columns, z, own.to(z.dtype).flatten()), *args[1:])
        gates = _of_rows(gates.to(torch.promote_types(gates.dtype, torch.float32)).to(z.device), self.rows, z)
        scaled: Tensor = _Scale.apply(z, gates, site.head_dim)
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


def _check(gates: Tensor, rows: Tensor | None, full: HeadMask) -> None:
    expected = f"[{full.n_layers}, {full.n_heads}]"
    if not 2 <= gates.ndim <= 4 or tuple(gates.shape[-2:]) != full.keep.shape:
        expected += ", optionally after sentences or sentences, positions"
        raise SettingError(f"gates of shape {[*gates.shape]}: this model takes {expected}")
    if gates.is_complex() or not (gates.is_floating_point() or gates.dtype == torch.bool):
        raise SettingError(f"gates of dtype {gates.dtype}: expected booleans or floating-point numbers")
    if gates.is_meta or gates.layout != torch.strided:
        raise SettingError("gates without values in memory (meta or sparse); expected an ordinary tensor")
    if gates.is_floating_point() and not bool(torch.isfinite(gates).all()):
        raise SettingError("gates hold NaN or infinite numbers; expected finite ones: 1 leaves a head as it is, 0 ablates it")
    if rows is None:
        return
    if gates.ndim == 2:
        raise SettingError(f"rows were given, but gates of shape {[*gates.shape]} are the same for every row; omit rows")
    if rows.ndim != 1 or rows.is_floating_point() or rows.dtype == torch.bool:
        raise SettingError(f"rows of shape {[*rows.shape]} and dtype {rows.dtype}: expected int64 [batch rows]")
    if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < gates.shape[0]:
        raise SettingError(f"rows from {int(rows.min())} to {int(rows.max())}: gates has rows 0..{gates.shape[0] - 1}")


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
    """Gates `[heads]`, `[sentences, heads]` or `[sentences, positions, heads]`, broadcast over z `[rows, positions, …]`."""
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
    def forward(ctx: Any, z: Tensor, gate: Tensor, head_dim: int) -> Tensor:
        ctx.save_for_backward(z, gate)
        ctx.head_dim = head_dim
        return _times(z, gate, head_dim)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        z, gate = ctx.saved_tensors
        dz = dgate = None
        if ctx.needs_input_grad[0]:
            dz = _times(grad, gate, ctx.head_dim)
        if ctx.needs_input_grad[1]:
            wide = torch.promote_types(z.dtype, gate.dtype)
            products = (z.to(wide) * grad).unflatten(-1, (-1, ctx.head_dim)).sum(-1)
            dgate = products.sum_to_size(gate.shape).to(gate.dtype)
        return dz, dgate, None


def _times(z: Tensor, gate: Tensor, head_dim: int) -> Tensor:
    # multiplied in the gate's precision: a gate of 0.999 must not become 1 under bfloat16
    heads: Tensor = z.unflatten(-1, (-1, head_dim))
    return (heads * gate[..., None]).to(z.dtype).flatten(-2)
