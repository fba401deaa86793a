"""Layer-wise relevance propagation: what share of the gold labels' logits goes through each head of a layer.

LRP is patented; its authors permit free personal and scientific use only.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.architectures import attention_sites, full_mask, head_mask
from polyhead.batching import Batch
from polyhead.devices import attention_kernel
from polyhead.errors import SettingError
from polyhead.gates import gated
from polyhead.heads import HeadScores
from polyhead.importance.relevance_rules import Variant, relevance_rules
from polyhead.importance.scoring import scoring_mode
from polyhead.progress import Progress, Silent

_NO_LABEL = "no sentence has a labelled word, so no head can be scored: check the label column of the data"


def relevance(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    variant: Variant = "cp",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the mean over sentences of the head's share of its layer's relevance.

    The relevance of a head in a sentence is Σ z·∂f/∂z over all that it puts out there, f being the sum of the gold labels' logits
    over the sentence's labelled words, under the backward rules of `relevance_rules`. A share is this, divided by the layer's sum
    of absolute values (0/0 = 0). `values` is the mean of the absolute shares, so every layer has the same sum and heads of two
    layers are compared by how they stand among their neighbours; a layer in which no head matters shares out its rounding
    noise. `signed` is minus the mean share: as for gradients, positive means that the head speaks against the gold labels.
    `total` is the sum of the absolute shares, `n` the number of sentences with a labelled word; others are passed over. Special
    tokens count, padding does not; the windows of a long sentence are one sentence.

    Costs one forward pass and one backward pass over activations alone, in float32 whatever precision other methods run in (in
    float64 for a model of float64). The model is left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; neither their order nor their size matters.
        variant: `cp` takes attention weights as constants; `attn` gives half of what passes through them to queries and keys.
        progress: Told of every batch.

    Raises:
        SettingError: The variant is neither, or no sentence has a labelled word.
        ArchitectureError: The model has an activation function for which there is no rule.

    Source: Voita et al. 2019 (relevance of heads); Ali et al. 2022 (`cp`); Achtibat et al. 2024 (`attn`).
    """
    present = head_mask(model)
    watch = progress or Silent()
    device = next(model.parameters()).device
    total = np.where(present.keep, 0.0, np.nan)
    signed = total.copy()
    n = 0
    started = time.perf_counter()
    watch.start(len(batches), "score heads")
    try:
        with scoring_mode(model, "fp32"), relevance_rules(model, variant), torch.enable_grad():
            for batch in batches:
                found, labelled = _shares(model, batch.to(device), present.keep.shape)
                total += found.abs().sum(dim=0).cpu().double().numpy()  # in this order: MPS has no float64
                signed -= found.sum(dim=0).cpu().double().numpy()
                n += int(labelled.sum())
                watch.advance(1)
    finally:
        watch.stop()
    if n == 0:
        raise SettingError(_NO_LABEL)
    return HeadScores(
        values=total / n,
        method="relevance" if variant == "cp" else f"relevance-{variant}",
        signed=signed / n,
        total=total,
        n=n,
        seconds=time.perf_counter() - started,
        forward_passes=1,
        backward_passes=1,
        settings={"variant": variant, "precision": "fp32"},
    )


def conservation(model: PreTrainedModel, batches: Sequence[Batch], *, variant: Variant = "cp") -> NDArray[np.float64]:
    """How much of f arrives at each layer's input: Σ x·∂f/∂x over all that enters the layer, divided by f; float64 `[layers]`.

    f is summed over all sentences. 1 means that no relevance was lost or made on the way down to this layer: so it is under `cp`
    in a model without biases. A bias takes its share and passes it on to nothing, and `attn` conserves nothing exactly, because
    softmax is not linear. A figure far from 1 says that shares are to be read with care, and one layer at a
    time. Costs one forward pass and one backward pass, in float32.

    Raises:
        SettingError: The variant is neither `cp` nor `attn`, or no sentence has a labelled word.
        ArchitectureError: The model has an activation function for which there is no rule.
    """
    device = next(model.parameters()).device
    sites = attention_sites(model)
    arrived = np.zeros(len(sites))
    sent = n = 0.0
    with ExitStack() as stack:
        stack.enter_context(scoring_mode(model, "fp32"))
        stack.enter_context(relevance_rules(model, variant))
        stack.enter_context(gated(model, full_mask(model)))  # gates nothing: it makes compiled code run eagerly
        stack.enter_context(torch.enable_grad())
        inputs: list[Tensor] = []
        for site in sites:
            stack.callback(site.block.register_forward_pre_hook(_entering(inputs)).remove)
        for batch in batches:
            inputs.clear()
            logits, labelled = _gold_logits(model, batch.to(device))
            gradients = torch.autograd.grad(logits.sum(), inputs)
            for layer, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):
                arrived[layer] += float((x.detach() * gradient).sum())
            sent += float(logits.detach().sum())
            n += int(labelled.sum())
    if n == 0:
        raise SettingError(_NO_LABEL)
    return arrived / sent


def _entering(inputs: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """A hook that collects what enters a layer; the graph begins at the first one."""

    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0] if inputs else args[0].detach().requires_grad_(True)
        inputs.append(x)
        return (x, *args[1:])

    return hook


def _shares(model: PreTrainedModel, batch: Batch, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Signed shares `[sentences, layers, heads]`, and which sentences have a labelled word."""
    dtype = torch.promote_types(model.dtype, torch.float32)
    gates = torch.ones(len(batch.sentences), *shape, device=batch.rows.device, dtype=dtype, requires_grad=True)
    with gated(model, gates, rows=batch.rows):
        logits, labelled = _gold_logits(model, batch)
        if not logits.requires_grad:  # no head is left
            return torch.zeros_like(gates), labelled
        (found,) = torch.autograd.grad(logits.sum(), gates)
    sums = found.abs().sum(dim=-1, keepdim=True)
    return found / torch.where(sums > 0, sums, 1), labelled


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
