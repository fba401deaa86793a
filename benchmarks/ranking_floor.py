"""Lower bound of the time to rank a BERT of 12 layers: its operations at the rate of bare matrix products."""

from collections.abc import Callable, Sequence

import torch
from environment import median, seconds
from torch.nn.functional import linear

from polyhead.learning.batching import Batch
from polyhead.models.devices import Precision

LAYERS = 12


def matrices(width: int) -> tuple[tuple[int, int], ...]:
    """Shapes of a layer's matrices: q, k, v, output, up, down."""
    return ((width, width),) * 4 + ((4 * width, width), (width, 4 * width))


def per_token(width: int) -> float:
    """Floating-point operations of one forward pass, without attention's own."""
    return 2.0 * sum(rows * columns for rows, columns in matrices(width)) * LAYERS


def products(precision: Precision, width: int) -> Callable[[], None]:
    """The encoder's matrix products over 1,024 tokens, forward and backward to the activations only."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    weights = [[torch.randn(shape).to(dtype) for shape in matrices(width)] for _ in range(LAYERS)]
    inputs = {size: torch.randn(1024, size).to(dtype) for size in (width, 4 * width)}

    def work() -> None:
        for layer in weights:
            for weight in layer:
                linear(inputs[weight.shape[1]], weight)
                inputs[weight.shape[0]] @ weight

    return work


def rate(bare: Callable[[], None], width: int) -> float:
    """Operations per second of the bare products, median of three."""
    return 2 * per_token(width) * 1024 / median(seconds(bare, repetitions=3, warm_up=lambda: None))


def operations(batches: Sequence[Batch], width: int) -> float:
    """Operations of a forward and an activation-only backward pass over the unpadded tokens."""
    work = 0.0
    for batch in batches:
        lengths = batch.attention_mask.sum(dim=1).double()
        # scores and mixing: two products forward, four backward, each 2 x length x width per token
        work += float((lengths * (2 * per_token(width) + LAYERS * 12 * lengths * width)).sum())
        # below the first layer's z nothing needs a gradient
        work -= float((lengths * (3 * 2 * width * width + 8 * lengths * width)).sum())
    return work


def floor(found: Sequence[float], limits: Sequence[float], work: float) -> dict[str, object]:
    """Ratio of each pass's time to the time of its operations at the rate measured after it."""
    shares = [limit / taken for limit, taken in zip(limits, found, strict=True)]
    return {
        "gigaflops_per_second": [work / limit / 1e9 for limit in limits],
        "floor_seconds": list(limits),
        "median_floor_seconds": median(list(limits)),
        "shares": shares,
        "share_reached": median(shares),
    }
