"""What every scoring pass shares: an eval-mode model with frozen weights, sentence losses, and everything put back afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.architectures import attention_sites
from polyhead.batching import Batch
from polyhead.devices import Precision, autocast


@contextmanager
def scoring_mode(model: PreTrainedModel, precision: Precision, *, trained: tuple[Tensor, ...] = ()) -> Iterator[None]:
    """A block in which the model is in eval mode and only `trained` asks for gradients; all is as before afterwards.

    Under bf16 the frozen matrices of the layers are cast once for the whole block, not once a batch: autocast keeps no copy of
    weights that ask for no gradient.
    """
    modes = {module: module.training for module in model.modules()}
    asked = {parameter: parameter.requires_grad for parameter in model.parameters()}
    device = next(model.parameters()).device
    model.eval()
    for parameter in asked:
        parameter.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    try:
        with _cast_once(model) if precision == "bf16" else nullcontext(), autocast(device, precision), _kernel(device):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, wanted in asked.items():
            parameter.requires_grad_(wanted)


@contextmanager
def _cast_once(model: PreTrainedModel) -> Iterator[None]:
    linear = [module for site in attention_sites(model) for module in site.block.modules() if isinstance(module, nn.Linear)]
    held = [(module, module.weight) for module in linear if not module.weight.requires_grad]
    try:
        for module, weight in held:
            module.weight = nn.Parameter(weight.to(torch.bfloat16), requires_grad=False)
        yield
    finally:
        for module, weight in held:
            module.weight = weight


@contextmanager
def _kernel(device: torch.device) -> Iterator[None]:
    """On a CPU the fused attention kernel's backward is slower than plain matrix products at the lengths of sentences."""
    with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
        yield


def sentence_losses(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each sentence's labelled words `[sentences]`, each word counted once, and which have any `[sentences]`.

    A sentence without a labelled word has loss 0.
    """
    mask = batch.attention_mask if batch.has_padding else None
    logits = model(input_ids=batch.input_ids, attention_mask=mask).logits[batch.anchor_rows, batch.anchor_columns]
    losses = cross_entropy(logits.float(), batch.anchor_labels, ignore_index=-100, reduction="none")
    owner = batch.rows[batch.anchor_rows]
    labelled = batch.anchor_labels != -100
    n = len(batch.sentences)
    counts = torch.zeros(n, device=losses.device).index_add(0, owner, labelled.float())
    sums = torch.zeros(n, device=losses.device, dtype=losses.dtype).index_add(0, owner, losses)
    return sums / counts.clamp(min=1), counts > 0
