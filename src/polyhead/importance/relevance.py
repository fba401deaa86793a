"""Layer-wise relevance propagation: each head's share of its layer's relevance for the gold logits.

LRP is patented; its authors permit free personal and scientific use only.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.gate_pass import require_labelled
from polyhead.importance.relevance_rules import Variant, relevance_rules
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.architectures import attention_sites, full_mask, head_mask
from polyhead.models.devices import attention_kernel
from polyhead.models.gates import gated


def relevance(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    variant: Variant = "cp",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the mean over sentences of the head's share of its layer's relevance.

    The relevance of a head in a sentence is Σ z·∂f/∂z over its outputs z, under the backward rules of `relevance_rules`; f is the
    sum of the gold labels' logits over the sentence's labelled words. A share is the relevance divided by the layer's sum of
    absolute values (0/0 = 0). `values` is the mean of the absolute shares, so every layer has the same sum and heads of different
    layers are compared relative to their own layers; in a layer where no head matters, shares are rounding noise. `signed` is the
    mean share: positive means evidence for the gold labels, negative against them. `total` is the sum of the absolute shares, `n`
    the number of sentences with a labelled word; others are skipped. Special tokens count, padding does not; the windows of a
    long sentence are one sentence. `settings["conserved"]` is the share of f that reaches the input of the lowest layer; see
    `conservation`.

    Costs one forward pass and one backward pass over activations only, always in float32 (float64 for a float64 model). The model
    is unchanged afterwards.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; neither their order nor their size matters.
        variant: `cp` treats attention weights as constants; `attn` passes half of their relevance to queries and keys.
        progress: Updated after every batch.

    Raises:
        SettingError: `variant` is unknown, or no sentence has a labelled word.
        ArchitectureError: The model has an activation function without a rule.

    Source: Voita et al. 2019 (relevance of heads); Ali et al. 2022 (`cp`); Achtibat et al. 2024 (`attn`).
    """
    present = head_mask(model)
    watch = progress or Silent()
    device = next(model.parameters()).device
    total = np.where(present.keep, 0.0, np.nan)
    signed = total.copy()
    arrived, sent, n = 0.0, 0.0, 0
    started = time.perf_counter()
    watch.start(len(batches), "score heads")
    try:
        with scoring_mode(model, "fp32"), relevance_rules(model, variant), torch.enable_grad():
            for batch in batches:
                passed = _passed_down(model, batch.to(device))
                found = _shares(passed.heads)
                arrived, sent = arrived + passed.arrived[0], sent + passed.sent
                total += found.abs().sum(dim=0).cpu().double().numpy()  # in this order: MPS has no float64
                signed += found.sum(dim=0).cpu().double().numpy()
                n += int(passed.labelled.sum())
                watch.advance(1)
    finally:
        watch.stop()
    require_labelled(n)
    return HeadScores(
        values=total / n,
        method="relevance" if variant == "cp" else f"relevance-{variant}",
        signed=signed / n,
        total=total,
        n=n,
        seconds=time.perf_counter() - started,
        forward_passes=1,
        backward_passes=1,
        settings={"variant": variant, "precision": "fp32", "conserved": float(arrived / sent) if sent else None},
    )


def conservation(model: PreTrainedModel, batches: Sequence[Batch], *, variant: Variant = "cp") -> NDArray[np.float64]:
    """Share of f that reaches each layer's input, Σ x·∂f/∂x over the layer's inputs x divided by f; float64 `[layers]`.

    f is summed over all sentences. 1 means that no relevance was lost or created above this layer, as under `cp` in a model
    without biases. A bias absorbs its share, and `attn` conserves relevance only approximately, because softmax is not linear.
    If a value is far from 1, read shares with care and only within a layer. Costs one forward pass and one backward pass, in
    float32.

    Raises:
        SettingError: `variant` is unknown, or no sentence has a labelled word.
        ArchitectureError: The model has an activation function without a rule.
    """
    device = next(model.parameters()).device
    arrived, sent, n = np.zeros(full_mask(model).n_layers), 0.0, 0
    with scoring_mode(model, "fp32"), relevance_rules(model, variant), torch.enable_grad():
        for batch in batches:
            found = _passed_down(model, batch.to(device))
            arrived += found.arrived
            sent += found.sent
            n += int(found.labelled.sum())
    require_labelled(n)
    return arrived / sent


@dataclass(frozen=True)
class _Passed:
    """Result of one batch: relevance of heads `[sentences, layers, heads]`, of layer inputs `[layers]`, and f."""

    heads: Tensor
    labelled: Tensor
    arrived: NDArray[np.float64]
    sent: float


def _entering(inputs: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """A hook that collects layer inputs; the graph begins at the first one."""

    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0] if inputs else args[0].detach().requires_grad_(True)
        inputs.append(x)
        return (x, *args[1:])

    return hook


def _passed_down(model: PreTrainedModel, batch: Batch) -> _Passed:
    dtype = torch.promote_types(model.dtype, torch.float32)
    shape = (len(batch.sentences), *full_mask(model).keep.shape)
    gates = torch.ones(shape, device=batch.rows.device, dtype=dtype, requires_grad=True)
    inputs: list[Tensor] = []
    with ExitStack() as stack:
        stack.enter_context(gated(model, gates, rows=batch.rows))
        for site in attention_sites(model):
            stack.callback(site.block.register_forward_pre_hook(_entering(inputs)).remove)
        logits, labelled = _gold_logits(model, batch)
        # unused gates: a model without heads
        found, *gradients = torch.autograd.grad(logits.sum(), [gates, *inputs], allow_unused=True)
    arrived = [float((x.detach() * gradient).sum()) for x, gradient in zip(inputs, gradients, strict=True)]
    return _Passed(torch.zeros_like(gates) if found is None else found, labelled, np.array(arrived), float(logits.detach().sum()))


def _shares(relevance_of_heads: Tensor) -> Tensor:
    """Signed shares of a layer's heads, from their relevance `[sentences, layers, heads]`."""
    sums = relevance_of_heads.abs().sum(dim=-1, keepdim=True)
    return relevance_of_heads / torch.where(sums > 0, sums, 1)


def _gold_logits(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Sum of the gold labels' logits over each sentence's labelled words, and which sentences have any; both `[sentences]`."""
    mask = batch.attention_mask if batch.has_padding else None
    with attention_kernel(batch.rows.device, batch.input_ids.shape[1], "fp32", work="score"):
        logits = model(input_ids=batch.input_ids, attention_mask=mask).logits[batch.anchor_rows, batch.anchor_columns]
    labelled = batch.anchor_labels != -100
    gold = logits.gather(1, batch.anchor_labels.clamp(min=0)[:, None])[:, 0].masked_fill(~labelled, 0)
    owner = batch.rows[batch.anchor_rows]
    n = len(batch.sentences)
    sums = torch.zeros(n, device=gold.device, dtype=gold.dtype).index_add(0, owner, gold)
    return sums, torch.zeros(n, device=gold.device).index_add(0, owner, labelled.float()) > 0
