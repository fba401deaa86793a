"""Callbacks for loading a pruned checkpoint: they shrink the layers before Transformers reads the weights.

Transformers' only registry for third-party loaders is that of quantizers. Nothing is quantized here, and `from_pretrained`
returns an ordinary model. `loader_hook` imports this module in the middle of Transformers' own import.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING, register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from polyhead.models.checks import check_shapes, head_modules
from polyhead.models.finding import find_recorded
from polyhead.models.model_heads import full_mask
from polyhead.models.other_records import check_per_layer
from polyhead.models.pruning import prune_to_record
from polyhead.models.pruning_record import METHOD, read_record

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LOG = logging.getLogger("transformers.polyhead")  # shown and silenced together with Transformers' load reports


class RemovedHeadsConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """The record of pruned heads in the form that Transformers' registry requires."""

    quant_method = METHOD

    def __init__(self, /, **record: object) -> None:
        self.record = record  # read once there is a model to check it against

    def to_dict(self) -> dict[str, Any]:
        """The record, as in `config.json`."""
        return self.record


class RemovedHeadsLoader(HfQuantizer):  # type: ignore[misc]
    """Prunes the new, still empty model to the record's shape, and leaves no trace on the loaded one."""

    quantization_config: RemovedHeadsConfig

    def _process_model_before_weight_loading(
        self, model: PreTrainedModel, checkpoint_files: Iterable[str] | None = None, **kwargs: Any
    ) -> PreTrainedModel:
        find_recorded(model, self.quantization_config.record)
        record, folder = self.quantization_config.record, model.config.name_or_path
        check_per_layer(model.config, read_record(record, full_mask(model), folder=folder))
        prune_to_record(model, record, folder=folder)
        for path in checkpoint_files or ():
            if path.endswith(".safetensors"):
                check_shapes(model, path, but=head_modules(model))
        return model

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **kwargs: Any) -> PreTrainedModel:
        model.config.quantization_config = self.quantization_config.to_dict()
        _renew_classifier(model)
        for module in model.modules():
            if "_is_quantized" in getattr(getattr(module, "config", None), "__dict__", ()):
                del module.config._is_quantized
        model.is_quantized = False
        for name in ("quantization_method", "hf_quantizer"):
            if name in model.__dict__:
                delattr(model, name)
        return model

    def is_serializable(self) -> bool:
        """Always: the weights are unquantized."""
        return True

    is_trainable = is_qat_trainable = is_compileable = property(is_serializable)


def register() -> None:
    """Add the loader to Transformers' registry under `polyhead`; a second call does nothing."""
    if METHOD not in AUTO_QUANTIZER_MAPPING:
        register_quantization_config(METHOD)(RemovedHeadsConfig)
        register_quantizer(METHOD)(RemovedHeadsLoader)


def _renew_classifier(model: PreTrainedModel) -> None:
    # with a third-party loader, Transformers before 5.17 keeps the stored classifier whatever its number of labels
    layers = [layer for name in head_modules(model) for layer in model.get_submodule(name).modules()]
    for head in (layer for layer in layers if isinstance(layer, nn.Linear)):
        if head.weight.shape == (head.out_features, head.in_features):
            continue
        stored, wanted = len(head.weight), head.out_features
        _LOG.warning("the checkpoint's classifier has %d outputs, the config %d labels: the new one is untrained", stored, wanted)
        device, dtype = head.weight.device, head.weight.dtype
        fresh = nn.Linear(head.in_features, wanted, bias=head.bias is not None, device=device, dtype=dtype)
        head.weight, head.bias = fresh.weight, fresh.bias
        nn.init.normal_(head.weight, std=getattr(model.config, "initializer_range", 0.02))
        if head.bias is not None:
            nn.init.zeros_(head.bias)
