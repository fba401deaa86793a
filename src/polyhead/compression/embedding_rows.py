"""Fewer subwords in a model: rows of its embedding and of its output head, tied or not, and the ids in its config."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from polyhead.core.errors import ArchitectureError
from polyhead.models import pruning_record
from polyhead.models.architectures import architecture
from polyhead.models.pruning import own_config

_INDICES = ("pad_index", "bos_index", "eos_index", "unk_index", "mask_index")  # of XLM and FlauBERT
_SIZES = ("vocab_size", "n_words")


def config_ids(config: PretrainedConfig) -> set[int]:
    """The subwords that a model depends on whatever the text: the ids in its config, and those that fix its positions.

    RoBERTa models number positions from `pad_token_id + 1`, so nothing below the padding id may go.

    Raises:
        ArchitectureError: The family has no row.
    """
    found = {number for value in _ids_of(config).values() for number in (value if isinstance(value, list) else [value])}
    if architecture(config).positions_after_padding:
        found |= set(range(config.pad_token_id or 0))
    return found


def keep_rows(model: PreTrainedModel, rows: Tensor) -> None:
    """Reduce a model, in place, to some rows of its vocabulary; everything else is left as it is.

    The model gets its own config. Parameters that depend on the vocabulary are found by building the model's class without
    weights for both sizes. Gradients are dropped; build the optimiser afterwards.

    Args:
        model: In memory, pruned or not.
        rows: int64 `[rows]`, the old id of each new one, without repeats.

    Raises:
        ArchitectureError: The weights are not in memory, or a parameter depends on the vocabulary in another way.
    """
    dims = check_rows(model, rows)
    old_size, new = model.get_input_embeddings().num_embeddings, {number: place for place, number in enumerate(rows.tolist())}
    reduced: dict[int, nn.Parameter] = {}
    for path, module in model.named_modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is None or (dim := dims.get(f"{path}.{name}" if path else name)) is None:
                continue
            if id(parameter) not in reduced:  # tied parameters stay one
                chosen = parameter.detach().index_select(dim, rows.to(parameter.device))
                reduced[id(parameter)] = nn.Parameter(chosen, requires_grad=parameter.requires_grad)
            setattr(module, name, reduced[id(parameter)])
        if isinstance(module, nn.Embedding) and len(module.weight) == len(rows) != module.num_embeddings:
            module.num_embeddings = len(rows)
            module.padding_idx = None if module.padding_idx is None else new.get(module.padding_idx)
        elif isinstance(module, nn.Linear) and len(module.weight) == len(rows) != module.out_features:
            module.out_features = len(rows)
    own_config(model)
    model.config.vocab_size = len(rows)
    for holder in (model.config, getattr(model, "generation_config", None), *model.modules()):
        for name, value in _ids_of(holder).items():
            kept = [new[number] for number in value if number in new] if isinstance(value, list) else new.get(value)
            setattr(holder, name, kept)
        for name in _SIZES:
            if isinstance(holder, nn.Module) and holder.__dict__.get(name) == old_size:
                setattr(holder, name, len(rows))


def check_rows(model: PreTrainedModel, rows: Tensor) -> dict[str, int]:
    """By name of each parameter with a row per subword, the dimension that has them, if a model can be reduced to these rows.

    Nothing is changed and no weight is copied. The arguments are those of `keep_rows`.

    Raises:
        ArchitectureError: As `keep_rows`.
    """
    embedding = model.get_input_embeddings()
    if not isinstance(embedding, nn.Embedding) or embedding.weight.is_meta:
        raise ArchitectureError("the input embedding is not a torch.nn.Embedding in memory; load the model without offloading")
    padding = model.config.pad_token_id
    stays = padding is None or (padding < len(rows) and int(rows[padding]) == padding)
    if architecture(model.config).positions_after_padding and not stays:
        raise ArchitectureError(f"positions are numbered from the padding id, {padding}, so no subword up to it may go")
    return _vocabulary_dims(model, len(rows))


def _ids_of(holder: Any) -> Mapping[str, int | list[int]]:
    """The settings of a config, or a module's copies of them, that are ids of subwords, such as `pad_token_id`."""
    named = vars(holder).items() if holder is not None else ()
    found: dict[str, int | list[int]] = {}
    for name, value in named:
        many = value if isinstance(value, list) else [value]
        if (
            (name.endswith("_token_id") or name in _INDICES)
            and many
            and all(type(number) is int and number >= 0 for number in many)
        ):
            found[name] = value
    return found


def _vocabulary_dims(model: PreTrainedModel, size: int) -> dict[str, int]:
    """By name of each parameter whose shape follows the vocabulary, the dimension that does."""

    def shapes(vocabulary: int) -> dict[str, torch.Size]:
        config = copy.deepcopy(model.config)
        config.vocab_size = vocabulary
        pruning_record.drop_record(config)
        # ids beyond the smaller table would be refused
        for name in _ids_of(config):
            setattr(config, name, 0)
        with torch.device("meta"):
            empty = type(model)(config)
        return {name: parameter.shape for name, parameter in empty.named_parameters(remove_duplicate=False)}

    before, after, found = shapes(model.config.vocab_size), shapes(size), {}
    for name, shape in before.items():
        if shape == after[name]:
            continue
        (dim,) = [i for i, (one, other) in enumerate(zip(shape, after[name], strict=True)) if one != other]
        if (shape[dim], after[name][dim]) != (model.config.vocab_size, size):
            raise ArchitectureError(f"{type(model).__name__}: {name} does not have one row per subword; it cannot be trimmed")
        found[name] = dim
    return found
