"""What scoring passes share: a model in eval mode with frozen weights, restored afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.models.devices import Precision, autocast, check_dtype
from polyhead.models.gates import only_this_thread
from polyhead.models.model_heads import attention_sites

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
