"""The optimiser's parts: parameter groups, the learning-rate schedule and gradient clipping."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from polyhead.core.specs import TrainSpec


def rate_factor(step: int, *, total: int, warmup: float) -> float:
    """The share of the peak learning rate at 0-based `step` of `total`: linear up over the warm-up, then linear down.

    No step has rate 0: the first is 1 / warm-up steps, the last 1 / remaining steps.

    >>> [round(rate_factor(step, total=6, warmup=0.34), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    rising = round(warmup * total)
    return (step + 1) / rising if step < rising else (total - step) / (total - rising)


def build_optimiser(parameters: Iterable[nn.Parameter], spec: TrainSpec, *, rate: float) -> AdamW:
    """AdamW with betas (0.9, 0.999), in one fused kernel; weight decay on matrices alone, not on biases and norms."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.999), fused=True)


def set_rate(optimiser: AdamW, rate: float) -> None:
    """Make `rate` the learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """The gradients' norm before they are scaled, in place, to one of at most `limit`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    # on a CPU reading the norm costs nothing, and a factor of one need not be multiplied
    if norm.device.type != "cpu" or norm > limit:
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm
