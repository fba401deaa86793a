"""What Transformers calls while it loads a pruned checkpoint: uneven layers are built before the weights are read.

Transformers has one registry for third-party loaders, that of quantizers; nothing is quantized here, and the loaded model is
an ordinary one again before `from_pretrained` returns it. Imported by `loader_hook` in the middle of Transformers' own import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING, register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from polyhead.core.errors import CheckpointError
from polyhead.models.architectures import AttentionSite, attention_sites, full_mask
from polyhead.models.pruning import cut
from polyhead.models.pruning_record import KEY, METHOD, read_record, write_record

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RemovedHeadsConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """The record of removed heads in the form that Transformers' registry asks for."""

    quant_method = METHOD

    def __init__(self, record: Mapping[str, object]) -> None:
        self.mask = read_record(record, where=f"config.json: {KEY}")

    @classmethod
    def from_dict(
        cls, config_dict: Mapping[str, object], return_unused_kwargs: bool = False, **kwargs: Any
    ) -> RemovedHeadsConfig | tuple[RemovedHeadsConfig, dict[str, Any]]:
        """The checked record; options for quantizers have no meaning here."""
        config = cls(config_dict)
        return (config, kwargs) if return_unused_kwargs else config

    def to_dict(self) -> dict[str, Any]:
        """The record as it stands in `config.json`."""
        return dict(write_record(self.mask))


class RemovedHeadsLoader(HfQuantizer):  # type: ignore[misc]
    """Cuts the freshly built, still empty model to the record's shape, and leaves no trace of itself on the loaded one."""

    quantization_config: RemovedHeadsConfig

    def _process_model_before_weight_loading(
        self, model: PreTrainedModel, checkpoint_files: Iterable[str] | None = None, **kwargs: Any
    ) -> PreTrainedModel:
        mask, full = self.quantization_config.mask, full_mask(model)
        if mask.keep.shape != full.keep.shape:
            raise CheckpointError(
                f"config.json: {KEY} records removed heads of {mask.n_layers} layers x {mask.n_heads} heads, "
                f"but the model has {full.n_layers} x {full.n_heads}; the record belongs to another model"
            )
        cut(model, attention_sites(model, mask=full), mask)
        sites = attention_sites(model, mask=mask)
        for path in checkpoint_files or ():
            if path.endswith(".safetensors"):
                _check_shapes(model, sites, path)
        return model

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **kwargs: Any) -> PreTrainedModel:
        model.config.quantization_config = self.quantization_config.to_dict()
        for module in model.modules():
            if "_is_quantized" in getattr(getattr(module, "config", None), "__dict__", ()):
                del module.config._is_quantized
        model.is_quantized = False
        for name in ("quantization_method", "hf_quantizer"):
            if name in model.__dict__:
                delattr(model, name)
        return model

    def is_serializable(self) -> bool:
        """Always: the weights are plain ones."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Always: the weights are plain ones."""
        return True

    @property
    def is_qat_trainable(self) -> bool:
        """Always: the weights are plain ones."""
        return True

    @property
    def is_compileable(self) -> bool:
        """Always: the modules are plain ones."""
        return True


def register() -> None:
    """Enter the loader in Transformers' registry under `polyhead`; other entries are left alone, a second call does nothing."""
    if METHOD not in AUTO_QUANTIZER_MAPPING:
        register_quantization_config(METHOD)(RemovedHeadsConfig)
        register_quantizer(METHOD)(RemovedHeadsLoader)


def _check_shapes(model: PreTrainedModel, sites: Iterable[AttentionSite], path: str) -> None:
    # Transformers only warns of a mismatch when ignore_mismatched_sizes is set, and fills the layer with random weights
    names = {id(module): name for name, module in model.base_model.named_modules()}
    prefix = f"{model.base_model_prefix}."
    with safe_open(path, framework="pt") as file:
        stored = {key.removeprefix(prefix): key for key in file.keys()}  # noqa: SIM118 (not a mapping)
        for site in sites:
            for module in (*site.inputs, site.output):
                key = stored.get(f"{names[id(module)]}.weight")
                found = None if key is None else tuple(file.get_slice(key).get_shape())
                if found is not None and found != tuple(module.weight.shape):
                    raise CheckpointError(
                        f"{path}: {key} has shape {found}, but the record of removed heads in config.json leaves "
                        f"{len(site.kept)} heads, shape {tuple(module.weight.shape)}; they do not belong together"
                    )
