"""The two procedures that `ranking.py` compares with, implemented from their descriptions; float32, all parameters trainable."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertForTokenClassification

from polyhead.learning.batching import Batch


def released_procedure(model: BertForTokenClassification, batches: Sequence[Batch]) -> NDArray[np.float64]:
    """Ma et al. 2021 as released: Σ over batches of |∂L/∂W_K| and |∂L/∂W_V|, split on the input axis."""
    model.requires_grad_(True).eval()
    heads = model.config.num_attention_heads
    sums = [torch.zeros_like(layer.attention.self.key.weight) for layer in model.base_model.encoder.layer]
    for batch in batches:
        model.zero_grad()
        _loss(model, batch).backward()
        for total, layer in zip(sums, model.base_model.encoder.layer, strict=True):
            total += layer.attention.self.key.weight.grad.abs() + layer.attention.self.value.weight.grad.abs()
    model.zero_grad()
    scores: NDArray[np.float64] = (
        torch.stack([total.view(total.shape[0], heads, -1).mean(dim=(0, 2)) for total in sums]).double().numpy()
    )
    return scores


def masked_script(model: BertForTokenClassification, batches: Sequence[Batch]) -> NDArray[np.float64]:
    """The usual script (Michel et al. 2019 and derivatives): one gate per head, sum of each batch's absolute gradient.

    Nothing is frozen, so the backward pass computes the gradient of every parameter too.
    """
    model.requires_grad_(True).eval()
    config = model.config
    gates = torch.ones(config.num_hidden_layers, config.num_attention_heads, requires_grad=True)
    handles = [
        layer.attention.output.dense.register_forward_pre_hook(_gate(gates, i))
        for i, layer in enumerate(model.base_model.encoder.layer)
    ]
    total = torch.zeros_like(gates)
    try:
        for batch in batches:
            model.zero_grad()
            gates.grad = None
            _loss(model, batch).backward()
            if gates.grad is not None:
                total += gates.grad.abs()
    finally:
        for handle in handles:
            handle.remove()
        model.zero_grad()
    scores: NDArray[np.float64] = total.detach().double().numpy()
    return scores


def _loss(model: BertForTokenClassification, batch: Batch) -> Tensor:
    loss: Tensor = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels).loss
    return loss


def _gate(gates: Tensor, layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return ((args[0].unflatten(-1, (gates.shape[1], -1)) * gates[layer][:, None]).flatten(-2),)

    return hook
