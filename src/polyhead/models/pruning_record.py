"""The record of pruned heads and neurons in a pruned model's config, in memory and in `config.json`.

It is the value of `quantization_config`, because Transformers looks up third-party loaders under that key:
`{"quant_method": "polyhead", "schema": 1, "n_layers": 3, "n_heads": 4, "pruned_heads": {"0": [1, 3]}}`. Where Transformers has
settings by layer, it is also `per_layer_config`, `{"0": {"pruned_heads": [1, 3]}, "1": {"pruned_heads": []}, ...}`.

If neurons are pruned, the record also has `"n_neurons": 3072, "kept_neurons": {"0": "f7ff..."}`: for each layer that lost any,
one bit per neuron of the unpruned model as hexadecimal digits, 1 = kept. Neuron 0 is the highest bit of the first digit, and
zeros fill the last byte.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr
from typing import Any

import numpy as np

from polyhead.core.errors import CheckpointError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.core.values import whole_number

KEY = "quantization_config"
PER_LAYER = "per_layer_config"
OLD_KEY = "pruned_heads"
METHOD = "polyhead"
SCHEMA = 1
NEURONS = "kept_neurons"

Heads = dict[str, list[int]]
Record = dict[str, str | int | Heads | dict[str, str] | dict[str, Heads] | dict[str, str | bool | list[str]]]


def write_record(mask: HeadMask, masks: Mapping[str, HeadMask] | None = None, neurons: NeuronMask | None = None) -> Record:
    """The JSON value of what is pruned: `read_record` reads the heads, `read_masks` named masks, `read_neurons` the neurons.

    >>> write_record(HeadMask.without(2, 2, [HeadId(1, 0)]))
    {'quant_method': 'polyhead', 'schema': 1, 'n_layers': 2, 'n_heads': 2, 'pruned_heads': {'1': [0]}}
    """
    sizes = {"n_layers": mask.n_layers, "n_heads": mask.n_heads}
    record: Record = {"quant_method": METHOD, "schema": SCHEMA, **sizes, "pruned_heads": by_layer(mask)}
    if neurons is not None and neurons.n_pruned:
        bits = {str(i): np.packbits(keep).tobytes().hex() for i, keep in enumerate(neurons.keep) if not keep.all()}
        record |= {"n_neurons": neurons.n_neurons, NEURONS: bits}
    return record | {"masks": {name: by_layer(own) for name, own in masks.items()}} if masks else record


def by_layer(mask: HeadMask) -> Heads:
    """The pruned heads by layer, as JSON has them.

    >>> by_layer(HeadMask.without(2, 2, [HeadId(1, 0)]))
    {'1': [0]}
    """
    pruned: Heads = {}
    for head in mask.pruned:
        pruned.setdefault(str(head.layer), []).append(head.head)
    return pruned


def keep_record(config: Any, mask: HeadMask, masks: Mapping[str, HeadMask], neurons: NeuronMask | None = None) -> None:
    """Write the record into a model's config, and the pruned heads into `per_layer_config` where Transformers has it (5.24)."""
    setattr(config, KEY, write_record(mask, masks, neurons))
    if hasattr(config, PER_LAYER) and mask.n_layers == config.num_hidden_layers:  # layers that share weights are one of ours
        heads, others = by_layer(mask), _other_overrides(config)
        layers = {str(layer): {**others.get(layer, {}), OLD_KEY: heads.get(str(layer), [])} for layer in range(mask.n_layers)}
        setattr(config, PER_LAYER, layers)


def drop_record(config: Any) -> None:
    """Remove what `keep_record` wrote, if anything."""
    if hasattr(config, KEY):
        delattr(config, KEY)
    if hasattr(config, PER_LAYER):
        others = {str(layer): own for layer, own in _other_overrides(config).items() if own}
        setattr(config, PER_LAYER, others or None)


def per_layer_heads(config: Any, *, where: str) -> Mapping[str, object] | None:
    """The pruned heads by layer of `per_layer_config`, for `read_heads`; None if it names none.

    Raises:
        CheckpointError: It is no object of layer to object.
    """
    # read as it is stored: the attribute gives configs of layers, and a release before 5.24 the stored value
    found = config.to_dict().get(PER_LAYER) or {}
    if not isinstance(found, Mapping) or not all(isinstance(own, Mapping) for own in found.values()):
        raise CheckpointError(f"{where}: {PER_LAYER} is {repr(found)}; expected an object of layer to object")
    heads = {str(layer): own[OLD_KEY] for layer, own in found.items() if OLD_KEY in own}
    return heads or None


def _other_overrides(config: Any) -> dict[int, dict[str, object]]:
    """What `per_layer_config` holds beside pruned heads."""
    found = config.to_dict().get(PER_LAYER) or {}
    return {int(layer): {name: value for name, value in own.items() if name != OLD_KEY} for layer, own in found.items()}


def is_ours(record: object) -> bool:
    """Whether a `quantization_config` value is a record of pruned heads, valid or not."""
    return isinstance(record, Mapping) and record.get("quant_method") == METHOD


def _where(folder: str) -> str:
    """The record, for errors."""
    return f"{Path(folder, 'config.json')}: {KEY}" if folder else KEY


def read_record(record: Mapping[str, object], full: HeadMask, *, folder: str) -> HeadMask:
    """The heads that a record keeps, `[layers, heads]` in the unpruned numbering.

    Args:
        record: The value of `quantization_config`, which `is_ours`.
        full: Every head of the unpruned model.
        folder: Of the config, for errors; empty if it was not read from a file.

    Raises:
        CheckpointError: The record has another schema, is for a model of another size, or names impossible heads.
    """
    where = _where(folder)
    schema = record.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        step = f"this version reads {SCHEMA}; upgrade polyhead or re-save"
        raise CheckpointError(f"{where}: schema {schema!r} of the record of pruned heads; {step}")
    size = record.get("n_layers"), record.get("n_heads")
    if any(type(n) is not int for n in size) or size != full.keep.shape:
        wrong = f"n_layers is {repr(size[0])} and n_heads {repr(size[1])}, but the model has {full.n_layers} and {full.n_heads}"
        raise CheckpointError(f"{where}: {wrong}; use the config.json that was saved with the weights")
    heads = read_heads(record.get("pruned_heads"), full.n_layers, full.n_heads, where=where)
    return HeadMask.without(full.n_layers, full.n_heads, heads)


def read_masks(record: Mapping[str, object], has: HeadMask, *, folder: str) -> dict[str, HeadMask]:
    """The named masks of a record, `[layers, heads]` in the unpruned numbering; empty without any.

    Args:
        record: The value of `quantization_config`, which `is_ours`.
        has: The heads of the model.
        folder: Of the config, for errors; empty if it was not read from a file.

    Raises:
        CheckpointError: The masks are no object, or one names impossible heads or keeps a head that the model lacks.
    """
    where = _where(folder)
    found = record.get("masks", {})
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise CheckpointError(f"{where}: masks is {repr(found)}; expected an object of name to pruned heads")
    masks = {}
    for name, pruned in found.items():
        heads = read_heads(pruned, has.n_layers, has.n_heads, where=f"{where}: mask {name}")
        masks[name] = HeadMask.without(has.n_layers, has.n_heads, heads)
        if gone := [head for head in masks[name].kept if not has.keep[head.layer, head.head]]:
            raise CheckpointError(f"{where}: mask {name} keeps head {gone[0]}, which the model does not have")
    return masks


def read_neurons(record: Mapping[str, object], full: NeuronMask, *, folder: str) -> NeuronMask:
    """The neurons that a record keeps, `[layers, neurons]` in the unpruned numbering.

    Args:
        record: The value of `quantization_config`, which `is_ours`.
        full: Every neuron of the unpruned model.
        folder: Of the config, for errors; empty if it was not read from a file.

    Raises:
        CheckpointError: The record is for a model of another size, or has no bit for each neuron.
    """
    where = _where(folder)
    if NEURONS not in record:
        return full
    if type(n := record.get("n_neurons")) is not int or n != full.n_neurons:
        wrong = f"n_neurons is {repr(n)}, but the model has {full.n_neurons} in a layer"
        raise CheckpointError(f"{where}: {wrong}; use the config.json that was saved with the weights")
    if not isinstance(layers := record[NEURONS], Mapping):
        raise CheckpointError(f"{where}: {NEURONS} is {repr(layers)}; expected an object of layer to hexadecimal digits")
    keep = full.keep.copy()
    for layer, digits in layers.items():
        number = whole_number(layer) if isinstance(layer, str) else None
        if number is None or not 0 <= number < full.n_layers:
            raise CheckpointError(f"{where}: {NEURONS} has layer {repr(layer)}; expected 0..{full.n_layers - 1}")
        length = 2 * -(-full.n_neurons // 8)
        if not isinstance(digits, str) or not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
            expected = f"{length} hexadecimal digits, one bit for each of {full.n_neurons} neurons"
            raise CheckpointError(f"{where}: {NEURONS} of layer {number} is {repr(digits)}; expected {expected}")
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8)).astype(np.bool_)
        if bits[full.n_neurons :].any():
            raise CheckpointError(f"{where}: {NEURONS} of layer {number} keeps more than {full.n_neurons} neurons")
        keep[number] = bits[: full.n_neurons]
    return NeuronMask(keep)


def read_heads(pruned: object, n_layers: int, n_heads: int, *, where: str) -> list[HeadId]:
    """The heads in an object of layer to list of heads, such as `{"0": [1, 3]}`; Transformers 4 used the same form.

    Raises:
        CheckpointError: The value is not such an object, or names impossible heads.
    """
    if not isinstance(pruned, Mapping):
        raise CheckpointError(f"{where}: pruned_heads is {repr(pruned)}; expected an object of layer to list of heads")
    heads = []
    for layer, listed in pruned.items():
        number = layer if type(layer) is int else whole_number(layer) if isinstance(layer, str) else None
        if number is None or not 0 <= number < n_layers:
            raise CheckpointError(f"{where}: pruned_heads has layer {repr(layer)}; expected 0..{n_layers - 1}")
        if not isinstance(listed, list | tuple):
            raise CheckpointError(f"{where}: pruned_heads of layer {layer} is {repr(listed)}; expected a list of heads")
        for head in listed:
            if type(head) is not int or not 0 <= head < n_heads:
                raise CheckpointError(f"{where}: pruned_heads of layer {layer} has head {repr(head)}; expected 0..{n_heads - 1}")
            heads.append(HeadId(number, head))
    return heads
