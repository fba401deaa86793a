"""What scoring passes share: a model in eval mode with frozen weights, restored afterwards, and losses per sentence."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.learning.batching import Batch
from polyhead.learning.encoding import IGNORED_LABEL
from polyhead.models.architectures import attention_sites
from polyhead.models.devices import Precision, attention_kernel, autocast, check_dtype
from polyhead.models.gates import only_this_thread

_PATIENCE = 60.0  # seconds: longer than a prediction, shorter than a training


@contextmanager
def scoring_mode(model: PreTrainedModel, precision: Precision, *, trained: tuple[Tensor, ...] = ()) -> Iterator[None]:
    """A context in which the model is in eval mode and only `trained` requires gradients; both are restored at the end.

    Under bf16 the layers' frozen matrices are cast once for the block rather than once per batch: autocast caches no weights
    that require no gradient.
    """
    device = next(model.parameters()).device
    check_dtype(model, device, precision)
    with restored(model):
        model.eval().requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)
        with _cast_once(model) if precision == "bf16" else nullcontext(), autocast(device, precision):
            yield


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """A context that restores the mode of each module and the `requires_grad` of each parameter at its end.

    Another thread that uses the model is waited for, up to a minute.

    Raises:
        SettingError: Another thread uses the model for longer.
    """
    with only_this_thread(model, patience=_PATIENCE):
        modes = {module: module.training for module in model.modules()}
        asked = {parameter: parameter.requires_grad for parameter in model.parameters()}
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            for parameter, wanted in asked.items():
                parameter.requires_grad_(wanted)


@contextmanager
def _cast_once(model: PreTrainedModel) -> Iterator[None]:
    linear = [module for site in attention_sites(model) for module in site.block.modules() if isinstance(module, nn.Linear)]
    # autocast does not cast float64 weights either
    held = [(m, m.weight) for m in linear if m.weight.dtype == torch.float32 and not m.weight.requires_grad]
    try:
        for module, weight in held:
            module.weight = nn.Parameter(weight.to(torch.bfloat16), requires_grad=False)
        yield
    finally:
        for module, weight in held:
            module.weight = weight


def sentence_losses(model: PreTrainedModel, batch: Batch, precision: Precision) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over each sentence's labelled words, and which sentences have any; both `[sentences]`.

    A sentence without a labelled word has loss 0. `precision` is that of the surrounding `scoring_mode`.
    """
    mask = batch.attention_mask if batch.has_padding else None
    with attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="score"):
        logits = model(input_ids=batch.input_ids, attention_mask=mask).logits
    return losses_of(logits, batch)


def losses_of(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Results of `sentence_losses` from given logits `[rows, length, labels]`."""
    chosen = logits[batch.anchor_rows, batch.anchor_columns]
    wide = chosen.to(torch.promote_types(chosen.dtype, torch.float32))
    losses = cross_entropy(wide, batch.anchor_labels, ignore_index=IGNORED_LABEL, reduction="none")
    owner = batch.rows[batch.anchor_rows]
    labelled = batch.anchor_labels != IGNORED_LABEL
    n = len(batch.sentences)
    counts = torch.zeros(n, device=losses.device, dtype=losses.dtype).index_add(0, owner, labelled.to(losses.dtype))
    sums = torch.zeros(n, device=losses.device, dtype=losses.dtype).index_add(0, owner, losses)
    return sums / counts.clamp(min=1), counts > 0
