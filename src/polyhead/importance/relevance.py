"""Layer-wise relevance propagation: each head's share of its layer's relevance for the gold logits.

LRP is patented; its authors permit free personal and scientific use only.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import data_pass, labelled_sentences, mean_scores, report_sentences, wide, zeros
from polyhead.importance.method import Call
from polyhead.importance.relevance_rules import Variant, relevance_rules
from polyhead.learning.batching import Batch
from polyhead.models.devices import attention_kernel
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask


def relevance(model: PreTrainedModel, batches: Sequence[Batch], call: Call, *, variant: Variant = "cp") -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the mean over sentences of the head's share of its layer's relevance.

    The relevance of a head in a sentence is Σ z·∂f/∂z over its outputs z, under the backward rules of `relevance_rules`; f is the
    sum of the gold labels' logits over the sentence's labelled words. A share is the relevance divided by the layer's sum of
    absolute values (0/0 = 0). `values` is the mean of the absolute shares, so every layer has the same sum and heads of different
    layers are compared relative to their own layers; in a layer where no head matters, shares are rounding noise. `signed` is the
    mean share: positive means evidence for the gold labels, negative against them. `total` is the sum of the absolute shares, `n`
    the number of sentences with a labelled word; others are skipped. Special tokens count, padding does not; the windows of a
    long sentence are one sentence.

    `variant` is `cp`, which treats attention weights as constants, or `attn`, which passes half of their relevance to queries and
    keys. `settings["conserved"]` is the share of f that reaches the input of the lowest layer; see `Propagated`.

    Costs one forward pass and one backward pass over activations only, always in float32 (float64 for a float64 model).

    Raises:
        SettingError: No sentence has a labelled word.
        ArchitectureError: The model has an activation function without a rule.

    Source: Voita et al. 2019 (relevance of heads); Ali et al. 2022 (`cp`); Achtibat et al. 2024 (`attn`).
    """
    call = replace(call, precision="fp32")
    n = labelled_sentences(batches)
    total, signed = zeros(model), zeros(model)
    arrived = sent = 0.0
    with (
        data_pass(model, batches, call) as given,
        relevance_rules(model, variant),
        torch.enable_grad(),
    ):
        for batch in given:
            found = propagated(model, batch)
            if len(found.arrived):
                arrived, sent = arrived + found.arrived[0], sent + found.sent
            sums = found.heads.abs().sum(dim=-1, keepdim=True)
            shares = found.heads / torch.where(sums > 0, sums, 1)
            total += wide(shares.abs().sum(dim=0))
            signed += wide(shares.sum(dim=0))
            report_sentences(call, batch, shares.abs(), shares)
    settings = {"variant": variant, "conserved": float(arrived / sent) if sent else None}
    return mean_scores(call, total, n, signed=signed, backward=1, settings=settings)


@dataclass(frozen=True)
class Propagated:
    """Relevance in one batch.

    `arrived` / `sent` is 1 where no relevance was lost or created above the layer, as under `cp` in a model without biases. A
    bias absorbs its share, and `attn` conserves relevance only approximately, because softmax is not linear. If a value is far
    from 1, read shares with care and only within a layer.

    Attributes:
        heads: Relevance of heads, `[sentences, layers, heads]`.
        arrived: Relevance of each layer's inputs x, Σ x·∂f/∂x over all sentences; float64, one for each time that a layer runs,
            bottom up. Empty in families that have no module for a layer.
        sent: f, summed over all sentences.
    """

    heads: Tensor
    arrived: NDArray[np.float64]
    sent: float


def propagated(model: PreTrainedModel, batch: Batch) -> Propagated:
    """Relevance under the caller's `relevance_rules`, in scoring mode with gradients enabled; costs one pass each way."""
    dtype = torch.promote_types(model.dtype, torch.float32)
    shape = (len(batch.sentences), *full_mask(model).keep.shape)
    gates = torch.ones(shape, device=batch.rows.device, dtype=dtype, requires_grad=True)
    inputs: list[Tensor] = []

    def enter(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0] if inputs else args[0].detach().requires_grad_(True)  # the graph begins at the lowest layer's input
        inputs.append(x)
        return (x, *args[1:])

    with ExitStack() as stack:
        stack.enter_context(gated(model, gates, rows=batch.rows))
        for site in attention_sites(model):
            if site.block is site.attention:  # its input is not all that the layer gets
                continue
            stack.callback(site.block.register_forward_pre_hook(enter).remove)
        f = _gold_logits(model, batch).sum()
        if not f.requires_grad:  # no head is left, and no layer's input is watched
            return Propagated(torch.zeros_like(gates), np.zeros(0), float(f))
        # unused gates: a model without heads
        heads, *gradients = torch.autograd.grad(f, [gates, *inputs], allow_unused=True)
    arrived = [float((x.detach() * gradient).sum()) for x, gradient in zip(inputs, gradients, strict=True)]
    return Propagated(torch.zeros_like(gates) if heads is None else heads, np.array(arrived), float(f.detach()))


def _gold_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Sum of the gold labels' logits over each sentence's labelled words, `[sentences]`."""
    with attention_kernel(batch.rows.device, batch.input_ids.shape[1], "fp32", work="score"):
        logits = batch.at_anchors(model(**batch.short_inputs).logits)
    labelled = batch.anchor_labels != -100
    gold = logits.gather(1, batch.anchor_labels.clamp(min=0)[:, None])[:, 0].masked_fill(~labelled, 0)
    return torch.zeros(len(batch.sentences), device=gold.device, dtype=gold.dtype).index_add(
        0, batch.rows[batch.anchor_rows], gold
    )
