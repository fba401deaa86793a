"""Small random models with the settings of a given one, and text for them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from polyhead.core.errors import one_line
from polyhead.models.devices import free_memory

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PretrainedConfig, PreTrainedModel

_LAYERS, _VOCABULARY = 3, 128


class NotProven(Exception):
    """A check failed; the text says which and how."""


def small_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A random float64 model of the same class in eval mode, with at most 3 layers and 128 subwords; the RNG is left alone.

    Widths, heads and all other settings are those of the model. Every parameter is random, also biases and norms, so that
    nothing cancels out by chance.

    Raises:
        NotProven: Transformers cannot build it, or it and its pruned copy would not fit into the free memory.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            with torch.device("meta"):
                check_memory(type(model)._from_config(_shrunk(model.config), dtype=torch.float64))
            with torch.device("cpu"):
                small = type(model)._from_config(_shrunk(model.config), dtype=torch.float64)
        except NotProven:
            raise
        except Exception as error:  # whatever a family's constructor raises
            raise NotProven(f"a smaller copy cannot be built ({one_line(error)})") from None
        with torch.no_grad():
            for name, parameter in small.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, parameter.shape[-1] ** -0.5)
                else:
                    parameter.normal_(0.0 if name.endswith("bias") else 1.0, 0.2)
    return small.eval()


def check_memory(empty: PreTrainedModel) -> None:
    """Refuse a copy, given on the meta device, that does not fit into the free memory twice: sizes in a config may be anything.

    Raises:
        NotProven: It does not.
    """
    needed, free = 2 * sum(parameter.nbytes for parameter in empty.parameters()), free_memory()
    if free is not None and needed > free:
        sizes = f"{needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} are free"
        raise NotProven(f"a copy with at most {_LAYERS} layers of these sizes needs {sizes}; are the sizes in config.json right?")


def _shrunk(config: PretrainedConfig) -> PretrainedConfig:
    small = copy.deepcopy(config)
    layers, vocabulary = config.num_hidden_layers, config.vocab_size
    if layers > _LAYERS:
        for name, value in list(vars(small).items()):
            if isinstance(value, list | tuple) and len(value) == layers:
                setattr(small, name, value[:_LAYERS])
        small.num_hidden_layers = _LAYERS
    if vocabulary > _VOCABULARY:
        small.vocab_size = _VOCABULARY
        for name, value in list(vars(small).items()):
            if name.endswith("_token_id") and isinstance(value, int) and value >= _VOCABULARY:
                setattr(small, name, _VOCABULARY - 1)
    if hasattr(small, "quantization_config"):
        del small.quantization_config
    return small


def random_inputs(model: PreTrainedModel, length: int) -> dict[str, Tensor]:
    """Ids and mask `[3, length]` of ordinary subwords; two rows are padded on the right if the model has padding."""
    config = model.config
    generator = torch.Generator().manual_seed(1)
    special = {value for name, value in vars(config).items() if name.endswith("_token_id") and isinstance(value, int)}
    allowed = torch.tensor([i for i in range(min(config.vocab_size, 1000)) if i not in special])
    ids = allowed[torch.randint(len(allowed), (3, length), generator=generator)]
    mask = torch.ones_like(ids)
    if isinstance(config.pad_token_id, int) and config.pad_token_id < config.vocab_size:
        for row in (1, 2):
            ids[row, length - 2 * row :], mask[row, length - 2 * row :] = config.pad_token_id, 0
    return {"input_ids": ids, "attention_mask": mask}
