"""The optimiser of fine-tuning, and its learning rate at each step."""

from collections.abc import Iterable

from torch import nn
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
    """Fused AdamW with betas (0.9, 0.999); weight decay applies to matrices, not to biases and norms."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.999), fused=True)
