"""Checks of a checkpoint's files before a model is built from them: sizes, names of weight files, shapes, values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from itertools import pairwise
from pathlib import Path
from reprlib import repr
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open

from polyhead.core.errors import CheckpointError
from polyhead.core.values import whole_number
from polyhead.models import pruning_record
from polyhead.models.architectures import ARCHITECTURES, architecture

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PretrainedConfig, PreTrainedModel

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
COPY_AGAIN: Final = "copy or download the checkpoint again"
_FLOATS: Final = ("F64", "F32", "F16", "BF16")
_MOST_LABELS: Final = 100_000
_MOST_LAYERS: Final = 10_000
_N_LAYERS: Final = frozenset(("num_hidden_layers", "n_layers", "num_layers"))
_FILE = re.compile(r"[\w.-]+\.safetensors", re.ASCII)


def read_object(path: Path, *, do: str = COPY_AGAIN) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint; the error ends with what to `do`.

    Raises:
        CheckpointError: The file cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}); {do}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, nested too deeply, or a number with too many digits
        raise CheckpointError(f"{path}: not valid JSON ({str(error).splitlines()[0]}); {do}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: holds a {type(found).__name__}; expected a JSON object; {do}")
    return found


def _wrong(path: Path, name: str, value: object, expected: str) -> CheckpointError:
    return CheckpointError(f"{path}: {name} is {repr(value)}; expected {expected}; {COPY_AGAIN}")


def config_path(config: PretrainedConfig) -> Path:
    """The file that a config was read from."""
    return Path(config.name_or_path, CONFIG)


def check_stored_config(path: Path) -> None:
    """Refuse a `config.json` that makes Transformers load other files, or exhaust memory, before it can be checked.

    Raises:
        CheckpointError: A value is not allowed.
    """
    stored = read_object(path)
    if not isinstance(family := stored.get("model_type"), str):
        raise _wrong(path, "model_type", family, "the name of a model family")
    names = stored.get("architectures") or []
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _wrong(path, "architectures", names, "a list of class names")
    labels = stored.get("num_labels", 0)
    if type(labels) is not int or not 0 <= labels <= _MOST_LABELS:
        raise _wrong(path, "num_labels", labels, f"a whole number of at most {_MOST_LABELS:,}")
    names = stored.get("id2label") or {}
    if not isinstance(names, dict) or any(whole_number(number) is None for number in names):
        raise _wrong(path, "id2label", names, "an object of number to label")
    if stored.get(pruning_record.PER_LAYER) is not None:  # Transformers then goes through all layers
        for name in _N_LAYERS & {*stored}:
            if type(n := stored[name]) is not int or not 1 <= n <= _MOST_LAYERS:
                raise _wrong(path, name, n, f"a whole number from 1 to {_MOST_LAYERS:,}")
    if stored.get("transformers_weights") is not None:
        raise CheckpointError(f"{path}: transformers_weights names other weights, but polyhead reads {WEIGHTS}; remove the entry")
    record = stored.get(pruning_record.KEY)
    if record is not None and not pruning_record.is_ours(record):
        raise CheckpointError(f"{path}: the weights are quantized ({pruning_record.KEY}); polyhead needs unquantized weights")
    if (path.parent / "adapter_config.json").exists():
        raise CheckpointError(f"{path.parent}: holds an adapter (adapter_config.json); merge it into the model and save that")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold a checkpoint's weights.

    Raises:
        CheckpointError: There are none, or the index names a file that is missing, in another folder or not safetensors.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        what = "has only .bin weights" if any(folder.glob("*.bin")) else f"has no {WEIGHTS}"
        convert = "torch.load(FILE, weights_only=True) and safetensors.torch.save_file, as the FAQ shows"
        raise CheckpointError(f"{folder}: {what}; polyhead reads only safetensors; convert weights that you trust with {convert}")
    index = folder / INDEX
    where = read_object(index).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise _wrong(index, "weight_map", where, "an object of tensor to file")
    for key, name in where.items():
        if not isinstance(name, str) or not _FILE.fullmatch(name):
            raise _wrong(index, f"the file of {repr(key)}", name, "a safetensors file in the same folder")
        if not (folder / name).is_file():
            raise CheckpointError(f"{index}: names {name}, which is missing; {COPY_AGAIN}")
    return [folder / name for name in sorted(set(where.values()))]


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """A safetensors file; only its header is read."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a complete safetensors file ({error}); {COPY_AGAIN}") from None


def lacks_pooler(model: PreTrainedModel, files: Sequence[Path]) -> bool:
    """Whether a bare encoder would get a pooler that its weights do not include, and can be built without one.

    Raises:
        CheckpointError: A file is damaged.
    """
    if getattr(model, "pooler", None) is None or "add_pooling_layer" not in signature(type(model)).parameters:
        return False
    for weights in files:
        with _opened(weights) as file:
            if any(key.startswith("pooler.") for key in file.keys()):  # noqa: SIM118 (not a mapping)
                return False
    return True


def check_sizes(config: PretrainedConfig, files: Sequence[Path]) -> None:
    """Refuse sizes for which no model can be built, or more layers than weights; of a family without a row, those it states.

    Raises:
        CheckpointError: A size is not allowed, or a file is damaged.
    """
    path, n_tensors = config_path(config), 0
    row = ARCHITECTURES.get(config.model_type)
    for weights in files:
        with _opened(weights) as file:
            n_tensors += len(file.keys())
    names = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"]
    more = [row.feed_forward or names[0], *row.layer_counts] if row else ["intermediate_size", "head_dim", "num_key_value_heads"]
    sizes = {name: getattr(config, name, None) for name in (*names, *more)}
    if row is None:  # a list has a size for each layer
        sizes = {name: value for name, value in sizes.items() if value is not None and not isinstance(value, list | tuple)}
    for name, value in sizes.items():
        if type(value) is not int or value < 1:
            raise _wrong(path, config.attribute_map.get(name, name), value, "a whole number of at least 1")
    layers, heads, width = (sizes.get(name) for name in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
    if layers and layers > n_tensors:
        raise _wrong(path, "num_hidden_layers", layers, f"at most {n_tensors}, the number of tensors")
    stated = row.head_dim if row else sizes.get("head_dim")
    if heads and width and not stated and width % heads:
        raise _wrong(path, "num_attention_heads", heads, f"a divisor of hidden_size, {width}")


def head_modules(model: PreTrainedModel) -> list[str]:
    """Names of a model's parts outside of its encoder: the classifier and what stands before it; none of a bare encoder."""
    encoder = model.base_model
    return [] if encoder is model else [name for name, module in model.named_children() if module is not encoder]


def check_shapes(model: PreTrainedModel, path: str | Path, *, but: Sequence[str] = ()) -> None:
    """Compare the tensor shapes in a safetensors file with a model's parameters, which may be on the meta device.

    Args:
        model: Built from the config and its record of pruned heads.
        path: Of the file; no tensor is read.
        but: Modules that may differ, because they will be replaced.

    Raises:
        CheckpointError: A tensor has another shape or is not floating-point.
    """
    # with ignore_mismatched_sizes Transformers only warns, and fills the layer with random weights
    prefix = f"{model.base_model_prefix}."
    with _opened(path) as file:
        stored = {key.removeprefix(prefix): key for key in file.keys()}  # noqa: SIM118 (not a mapping)
        for name, parameter in model.named_parameters():
            key = stored.get(name.removeprefix(prefix))
            if key is None or name.startswith(tuple(f"{module}." for module in but)):
                continue
            found = file.get_slice(key)
            if tuple(found.get_shape()) != tuple(parameter.shape):
                wrong = f"{tuple(found.get_shape())}, but {CONFIG} (with its pruned heads) expects {tuple(parameter.shape)}"
                step = f"they do not belong together; use the {CONFIG} saved with these weights"
                raise CheckpointError(f"{path}: {key} has shape {wrong}; {step}")
            if found.get_dtype() not in _FLOATS:
                kind, allowed = found.get_dtype(), ", ".join(_FLOATS)
                raise CheckpointError(f"{path}: {key} has dtype {kind}; expected one of {allowed}; save it unquantized")


def check_unused(model: PreTrainedModel, unused: Iterable[str]) -> None:
    """Refuse weights of the encoder that the model did not take; other heads, poolers and position ids may be left unused.

    Args:
        model: As loaded.
        unused: The keys in the files that it has no place for.

    Raises:
        CheckpointError: A layer, or another part of the encoder, would be ignored.
    """
    path, layers = config_path(model.config), f"{architecture(model.config).layers}."
    parts = tuple(f"{name}." for name, _ in model.base_model.named_children())
    keys = [key.removeprefix(f"{model.base_model_prefix}.") for key in unused]
    keys = [key for key in keys if key.startswith(parts) and not key.endswith(("position_ids", "token_type_ids"))]
    if not keys:
        return
    numbers = {whole_number(key.removeprefix(layers).partition(".")[0]) for key in keys if key.startswith(layers)} - {None}
    if beyond := sorted(number for number in numbers if number is not None and number >= model.config.num_hidden_layers):
        listed = f"{beyond[0]} to {beyond[-1]}" if len(beyond) > 2 else " and ".join(map(str, beyond))
        wrong = f"the weights hold tensors of layer{'s' * (len(beyond) > 1)} {listed}, which {CONFIG} does not have"
    else:
        wrong = f"the weights hold {keys[0]}, which the model of {CONFIG} does not have"
    raise CheckpointError(f"{path}: {wrong}; use the {CONFIG} saved with these weights")


def check_finite(model: PreTrainedModel, where: str | Path) -> None:
    """Refuse NaN or infinite weights; reads every weight once.

    Args:
        model: In memory.
        where: Its name in the error.

    Raises:
        CheckpointError: A tensor holds one.
    """
    for name, parameter in model.named_parameters():
        # minimum and maximum are NaN if any value is, and need no copy
        if parameter.numel() and not all(torch.isfinite(end) for end in torch.aminmax(parameter.detach())):
            raise CheckpointError(f"{where}: {name} holds NaN or infinite weights: training diverged; use an earlier checkpoint")


def check_labels(config: PretrainedConfig) -> tuple[str, ...]:
    """The labels of a classifier in the order of its outputs.

    Raises:
        CheckpointError: An output has no label, or two have the same.
    """
    labels, path = config.id2label, config_path(config)
    names = tuple(str(labels[i]) for i in range(len(labels)) if i in labels)
    if len(names) < len(labels):
        raise _wrong(path, "id2label", sorted(labels), f"the numbers 0 to {len(labels) - 1}")
    if twice := [one for one, other in pairwise(sorted(names)) if one == other]:
        raise CheckpointError(f"{path}: id2label has {repr(twice[0])} more than once; expected one label per output; rename one")
    return names


def check_vocabulary(ids: Mapping[str, int], config: PretrainedConfig) -> None:
    """Refuse a tokenizer with ids beyond the model's embedding.

    Raises:
        CheckpointError: The highest id has no embedding.
    """
    subword, highest = max(ids.items(), key=lambda item: item[1], default=("", -1))
    if highest >= config.vocab_size:
        wrong = f"the tokenizer gives {repr(subword)} the id {highest}, but the model embeds {config.vocab_size} subwords"
        step = "they do not belong together; copy the tokenizer that the model was trained with"
        raise CheckpointError(f"{config.name_or_path}: {wrong}; {step}")
