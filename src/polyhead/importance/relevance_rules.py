"""The modified backward rules of layer-wise relevance propagation, applied to a model inside a block.

Under these rules the sum of gradient times activation is the activation's share of f. LayerNorm is linear in its input, with its
standard deviation held constant; an activation function is a product with the constant f(x)/x. In the product of attention
weights and values, `cp` (conservative propagation, Ali et al. 2022) holds the weights constant; `attn` (AttnLRP, Achtibat et al.
2024) gives half to each factor and splits the weights' half equally between queries and keys. In a gated feed-forward block, the
activation and the factor it is multiplied by get half each.

LRP is patented; its authors permit free personal and scientific use only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel
from transformers.activations import ACT2CLS

from polyhead.core.errors import ArchitectureError
from polyhead.models.model_heads import attention_sites
from polyhead.models.sites import PROJECTIONS, AttentionSite, Projection

Variant = Literal["cp", "attn"]
Rule = Callable[[Tensor], Tensor]

# Transformers builds the activation function that the config names, always as one of these modules
_ACTIVATIONS = tuple(entry[0] if isinstance(entry, tuple) else entry for entry in ACT2CLS.values())
# factor on the gradient of each projection's output
_FACTORS: dict[Variant, dict[Projection, float]] = {
    "cp": {"query": 0.0, "key": 0.0, "value": 1.0},
    "attn": {"query": 0.25, "key": 0.25, "value": 0.5},
}


@contextmanager
def relevance_rules(model: PreTrainedModel, variant: Variant) -> Iterator[None]:
    """A block in which the backward pass follows the rules above; the forward pass stays the same bit for bit.

    Only gradients of activations are meaningful inside. The rules are forward hooks that replace the backward of a module's
    output; they are removed after the block, also after an exception. Compiled code bypasses hooks: enter `gated` as well.
    An activation that is no module, as in RoBERTa's sentence classifier (a tanh), keeps its plain gradient: it weighs the units
    of the last layer alone.

    Args:
        model: Any family of `ARCHITECTURES`, pruned or not, in eval mode: dropout has no rule.
        variant: `cp` or `attn`.

    Raises:
        ArchitectureError: A layer's activation function is not one of Transformers' modules, or a normalisation is neither that
            of layers nor that of root mean squares, so it has no rule.
    """
    sites = attention_sites(model)
    for site in sites:
        whole = model.base_model if site.block is site.attention else site.block
        if not any(isinstance(module, _ACTIVATIONS) for module in whole.modules()):
            raise ArchitectureError(
                f"layer {site.layer}: no activation function from Transformers, so relevance has no rule for it; name the "
                "activation in the config, for example gelu"
            )
    with ExitStack() as stack:
        products = stack.enter_context(_Products())
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                stack.callback(module.register_forward_hook(_norm_hook).remove)
            elif isinstance(module, _ACTIVATIONS):
                stack.callback(module.register_forward_hook(partial(_activation_hook, products)).remove)
            elif type(module).__name__.endswith("Norm"):
                stack.callback(module.register_forward_hook(_other_norm(module)).remove)
        for site in sites:
            for projection in site.inputs:
                stack.callback(projection.register_forward_hook(_projection_hook(site, projection, variant)).remove)
        yield


class _Replaced(torch.autograd.Function):
    """The output unchanged, with `rule` as its gradient with respect to the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, output: Tensor, rule: Rule) -> Tensor:
        ctx.rule = rule
        return output.clone()  # a view could not be changed in place by the model

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.rule(grads[0]), None, None


def _replaced(x: Tensor, output: Tensor, rule: Rule) -> Tensor:
    found: Tensor = _Replaced.apply(x, output.detach(), rule)
    return found


def _norm_hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
    (x,) = args
    if not x.requires_grad:
        return None
    assert isinstance(module, nn.LayerNorm)
    axes = tuple(range(-len(module.normalized_shape), 0))
    scale = (x.detach().var(dim=axes, correction=0, keepdim=True) + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight.detach()

    def rule(grad: Tensor) -> Tensor:
        scaled = grad * scale
        return scaled - scaled.mean(dim=axes, keepdim=True)

    return _replaced(x, output, rule)


def _other_norm(module: nn.Module) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
    """A hook for a normalisation that a family defines itself: linear, with its standard deviation held constant."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 1 or [*module.children()]:
        raise ArchitectureError(f"{type(module).__name__}: a normalisation of unknown kind, so relevance has no rule for it")
    probe = torch.arange(len(weight), device=weight.device, dtype=weight.dtype).sin() + 2
    with torch.no_grad():
        bias, usual, larger, shifted = (module.forward(x) for x in (0 * probe, probe, 2 * probe, probe + 8))
        centred = bool(torch.allclose(shifted, usual, rtol=1e-2, atol=1e-3))
        if not torch.allclose(larger, usual, rtol=1e-2, atol=1e-3):
            raise ArchitectureError(f"{type(module).__name__}: depends on the size of its input, so relevance has no rule for it")
        gain = (usual - bias) / (probe - probe.mean() * centred)

    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        (x,) = args
        if not x.requires_grad:
            return None
        plain = gain * (x.detach() - x.detach().mean(dim=-1, keepdim=True) * centred)
        size = plain.square().sum(dim=-1, keepdim=True)
        scale = gain * ((output.detach() - bias) * plain).sum(dim=-1, keepdim=True) / torch.where(size > 0, size, 1)

        def rule(grad: Tensor) -> Tensor:
            scaled = grad * scale
            result: Tensor = scaled - scaled.mean(dim=-1, keepdim=True) * centred
            return result

        return _replaced(x, output, rule)

    return hook


class _Products(TorchFunctionMode):
    """Halves the gradients of both factors where an activation is multiplied by another tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.activated: Tensor | None = None  # what the activation function that ran last gave

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls the function."""
        activated = self.activated
        if func in (torch.mul, Tensor.mul, Tensor.__mul__) and activated is not None and any(x is activated for x in args):
            self.activated = None
            args = [_replaced(x, x, _half) if isinstance(x, Tensor) and x.requires_grad else x for x in args]
        return func(*args, **(kwargs or {}))


def _half(grad: Tensor) -> Tensor:
    return grad / 2


def _activation_hook(products: _Products, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
    x = args[0]
    if not x.requires_grad:
        return None
    with torch.no_grad():
        # at 0, the limit of f(x)/x from the right
        small = torch.full((), torch.finfo(x.dtype).eps, dtype=x.dtype, device=x.device)
        limit = module.forward(small) / small
        factor = torch.where(x == 0, limit, output / x)
    products.activated = _replaced(x, output, lambda grad: grad * factor)
    return products.activated


def _projection_hook(
    site: AttentionSite, projection: nn.Linear, variant: Variant
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
    factors = _FACTORS[variant]
    own = {name: factors[name] for name in PROJECTIONS if getattr(site, name) is projection}
    rows = projection.weight.new_ones(projection.out_features)
    for name, factor in own.items():
        rows[site.head_rows(name).flatten().to(rows.device)] = factor
    constant, plain = set(own.values()) == {0.0}, set(own.values()) == {1.0}

    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if constant:
            return output.detach()
        return None if plain or not output.requires_grad else _replaced(output, output, lambda grad: grad * rows)

    return hook
