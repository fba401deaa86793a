"""Least squares for the kept neurons of one layer: output weights that bring its output close to that of the full model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from polyhead.compression.layer_calls import NO_REFIT, Call, bias_of, hidden_of, overwrite
from polyhead.core.errors import ArchitectureError
from polyhead.models.devices import Precision, attention_kernel
from polyhead.models.neuron_sites import NeuronSite
from polyhead.models.sites import AttentionSite

RIDGES: Final = (1e-3, 1e-2, 1e-1, 1.0)
"""Ridges that are tried, as shares of the mean diagonal entry of the neurons' covariance."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a model.

    Attributes:
        attention: Its attention block, which also knows the whole layer.
        neurons: Its feed-forward block.
    """

    attention: AttentionSite
    neurons: NeuronSite


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted sums over positions of activations a and targets y about an origin, float64 on the CPU.

    Attributes:
        n: Sum of the weights.
        a: Sum of a, `[neurons]`.
        y: Sum of y, `[width]`.
        aa: Sum of products, `[neurons, neurons]`.
        ay: Likewise, `[neurons, width]`.
        yy: Sum of squares of y.
    """

    n: float
    a: Tensor
    y: Tensor
    aa: Tensor
    ay: Tensor
    yy: float

    def __add__(self, other: "Moments") -> "Moments":
        a, y, aa, ay = self.a + other.a, self.y + other.y, self.aa + other.aa, self.ay + other.ay
        return Moments(self.n + other.n, a, y, aa, ay, self.yy + other.yy)

    def about(self, a: Tensor, y: Tensor) -> "Moments":
        """The same sums of a and y about other origins."""
        aa = self.aa - torch.outer(a, self.a) - torch.outer(self.a, a) + self.n * torch.outer(a, a)
        ay = self.ay - torch.outer(a, self.y) - torch.outer(self.a, y) + self.n * torch.outer(a, y)
        yy = self.yy - 2 * float(y @ self.y) + self.n * float(y @ y)
        return Moments(self.n, self.a - self.n * a, self.y - self.n * y, aa, ay, yy)


@dataclass(frozen=True, eq=False)
class Target:
    """What a layer's neurons are fitted to.

    Attributes:
        a: Origin of the activations in the moments, `[neurons]`.
        y: Origin of the targets, `[width]`.
        halves: Moments of every other batch and of the rest; one alone if there is one batch.
    """

    a: Tensor
    y: Tensor
    halves: tuple[Moments, ...]


def measure_neurons(
    own: Layer,
    whole: Layer,
    ours: Sequence[Call],
    theirs: Sequence[Call],
    precision: Precision,
    advance: Callable[[int], None],
) -> tuple[Target, list[Call]]:
    """Moments of the layer's neurons in the pruned model and of their target, and the full model's calls of the next layer.

    The moments are of every other batch, so that one half can judge what the other gives. The target is the sum that the full
    model's block adds its output to, and that output, less the same sum in the pruned model.
    """
    adds_last = _adds_last(whole, theirs[0], precision)
    found: list[Moments | None] = [None, None]
    origin: tuple[Tensor, Tensor] | None = None
    calls = []
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        a, _, now, _ = _through(own, mine, precision, adds_last=adds_last)
        _, out, was, call = _through(whole, other, precision, adds_last=adds_last)
        calls.append(call)
        y = was + out - now
        share = position_weights(was + out)[:, None]
        if origin is None:
            origin = a.mean(0), y.mean(0)
        # about the means of one batch, so that single precision is enough for the products
        a, y = a - origin[0], y - origin[1]
        parts = (share * a).sum(0), (share * y).sum(0), a.T @ (share * a), a.T @ (share * y)
        sa, sy, aa, ay = (part.cpu().double() for part in parts)
        moments, half = Moments(float(share.sum()), sa, sy, aa, ay, float((share * y.square()).sum())), number % 2
        before = found[half]
        found[half] = moments if before is None else before + moments
        advance(1)
    assert origin is not None  # there is a batch
    sums = Target(origin[0].cpu().double(), origin[1].cpu().double(), tuple(half for half in found if half is not None))
    return sums, calls


def position_weights(wanted: Tensor) -> Tensor:
    """One over the variance of each row, `[positions]`: a norm after it divides errors by its standard deviation."""
    return 1 / wanted.var(dim=1).clamp(min=torch.finfo(wanted.dtype).tiny ** 0.5)


def _through(layer: Layer, call: Call, precision: Precision, *, adds_last: bool) -> tuple[Tensor, Tensor, Tensor, Call]:
    """Run one layer: at the batch's tokens its activations, the output of its feed-forward block, what that is added to, and the
    next layer's call.
    """
    tokens = call.batch.attention_mask.bool()
    inner: list[Tensor] = []
    outer: list[Tensor] = []

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        inner.append(args[0])

    def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        outer.extend((args[0], output))

    hidden = _run(layer, call, precision, before, after)
    if len(outer) != 2 or outer[1].shape != hidden.shape or not inner:
        raise ArchitectureError(
            f"layer {layer.neurons.layer}: its feed-forward block does not run once on whole rows, {NO_REFIT}"
        )
    wide = torch.promote_types(hidden.dtype, torch.float32)
    a, out, last, first = (part[tokens].to(wide) for part in (*outer, hidden, inner[0]))
    return a, out, last - out if adds_last else first, replace(call, hidden=hidden)


def _run(layer: Layer, call: Call, precision: Precision, before: Callable[..., None] | None, after: Callable[..., Any]) -> Tensor:
    """The layer's output, with a hook on the input of its feed-forward block and one on its output."""
    site, neurons = layer.attention, layer.neurons
    kernel = attention_kernel(call.hidden.device, call.hidden.shape[1], precision, work="predict")
    handles = [neurons.output.register_forward_hook(after)]
    if before is not None:
        handles.append(neurons.inputs[0].register_forward_pre_hook(before))
    try:
        with kernel:
            rest, named = call.given[site.layer]
            return hidden_of(site.block(call.hidden, *rest, **named))
    finally:
        for handle in handles:
            handle.remove()


def _adds_last(layer: Layer, call: Call, precision: Precision) -> bool:
    """Whether a layer's output is a sum with its feed-forward block's output, with no norm after it.

    Found by moving that output by a constant: the layer's output then moves by the same.
    """
    plain = _run(layer, call, precision, None, lambda module, args, output: None)
    step = plain.float().std() * torch.linspace(-1, 1, plain.shape[-1], device=plain.device)
    moved = _run(layer, call, precision, None, lambda module, args, output: output + step.to(output.dtype))
    change = (moved.float() - plain.float())[call.batch.attention_mask.bool()]
    return bool((change - step).abs().mean() < 0.05 * step.abs().mean())


def solve_neurons(site: NeuronSite, target: Target) -> None:
    """Write the best output weights and bias into the layer.

    The weights minimise the squared error plus a ridge that pulls them to what they are. Each ridge, and leaving the weights as
    they are, is tried on the first half of the text and judged on the second; the best is then used on both.
    """
    weight, bias = site.output.weight.detach().cpu().double(), bias_of(site)
    halves = target.halves
    both = halves[0] if len(halves) == 1 else halves[0] + halves[1]
    if site.kept:
        # the text of one batch judges nothing: a strong ridge
        ridge: float | None = RIDGES[-1]
        if len(halves) == 2:
            tried = {own: _weights(halves[0], weight, own) for own in (None, *RIDGES)}
            ridge = min(tried, key=lambda own: _error(halves[1], halves[0], tried[own]))
        weight = _weights(both, weight, ridge)
        overwrite(site.output.weight, weight)
    overwrite(bias, target.y - weight @ target.a + (both.y - weight @ both.a) / both.n)


def _weights(own: Moments, weight: Tensor, ridge: float | None) -> Tensor:
    """The weights `[width, neurons]` for one ridge; those given for None."""
    if ridge is None:
        return weight
    centred = own.about(own.a / own.n, own.y / own.n)
    scale = ridge * centred.aa.diagonal().mean() + torch.finfo(torch.float64).tiny
    # a neuron that never moves keeps its weights
    regular = centred.aa + scale * torch.eye(len(centred.aa), dtype=torch.float64)
    change: Tensor = torch.linalg.solve(regular, centred.ay - centred.aa @ weight.T)
    return weight + change.T


def _error(judged: Moments, fitted: Moments, weight: Tensor) -> float:
    """The squared error over one half of the weights, with the bias of the other half."""
    own = judged.about(fitted.a / fitted.n, fitted.y / fitted.n)
    return own.yy - 2 * float((weight * own.ay.T).sum()) + float(((weight @ own.aa) * weight).sum())
