"""The record of removed heads: what stands in a pruned model's config, in memory and in `config.json`.

It is the value of `quantization_config`, because that is the key under which Transformers looks up third-party loaders:
`{"quant_method": "polyhead", "schema": 1, "n_layers": 3, "n_heads": 4, "pruned_heads": {"0": [1, 3]}}`.
"""

from collections.abc import Mapping

from polyhead.core.errors import CheckpointError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.values import whole_number

KEY = "quantization_config"
METHOD = "polyhead"
SCHEMA = 1

Record = dict[str, str | int | dict[str, list[int]]]


def write_record(mask: HeadMask) -> Record:
    """The JSON value that says which heads are gone; `read_record` reads it back.

    >>> write_record(HeadMask.without(2, 2, [HeadId(1, 0)]))
    {'quant_method': 'polyhead', 'schema': 1, 'n_layers': 2, 'n_heads': 2, 'pruned_heads': {'1': [0]}}
    """
    pruned: dict[str, list[int]] = {}
    for head in mask.pruned:
        pruned.setdefault(str(head.layer), []).append(head.head)
    return {
        "quant_method": METHOD,
        "schema": SCHEMA,
        "n_layers": mask.n_layers,
        "n_heads": mask.n_heads,
        "pruned_heads": pruned,
    }


def is_ours(record: object) -> bool:
    """Whether a `quantization_config` value is a record of removed heads, whatever its state."""
    return isinstance(record, Mapping) and record.get("quant_method") == METHOD


def read_record(record: object, *, where: str = KEY) -> HeadMask:
    """The heads that a record leaves, `[layers, heads]` in the unpruned numbering.

    Args:
        record: The value of `quantization_config`.
        where: What to call it in an error: a path, or the key.

    Raises:
        CheckpointError: It is not such a record, is of another schema, or names heads that cannot exist.
    """
    if not isinstance(record, Mapping) or record.get("quant_method") != METHOD:
        found = record.get("quant_method") if isinstance(record, Mapping) else type(record).__name__
        raise CheckpointError(f"{where}: quant_method is {found!r}, expected {METHOD!r}; this is not a record of removed heads")
    schema = record.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise CheckpointError(
            f"{where}: schema {schema!r} of the record of removed heads; this version reads {SCHEMA}; upgrade polyhead or re-save"
        )
    n_layers, n_heads = _size(record, "n_layers", where), _size(record, "n_heads", where)
    pruned = record.get("pruned_heads")
    if not isinstance(pruned, Mapping):
        raise CheckpointError(f"{where}: pruned_heads is {pruned!r}; expected an object of layer to list of heads")
    heads: set[HeadId] = set()
    for layer, listed in pruned.items():
        number = whole_number(layer) if isinstance(layer, str) else None
        if number is None or number >= n_layers:
            raise CheckpointError(f"{where}: pruned_heads has layer {str(layer)[:40]!r}; expected 0..{n_layers - 1}")
        if not isinstance(listed, list | tuple):
            raise CheckpointError(f"{where}: pruned_heads of layer {layer} is {listed!r}; expected a list of heads")
        for head in listed:
            if type(head) is not int or not 0 <= head < n_heads:
                raise CheckpointError(f"{where}: pruned_heads of layer {layer} has head {head!r}; expected 0..{n_heads - 1}")
            heads.add(HeadId(number, head))
    return HeadMask.without(n_layers, n_heads, heads)


def _size(record: Mapping[str, object], key: str, where: str) -> int:
    value = record.get(key)
    if type(value) is not int or value < 1:
        raise CheckpointError(f"{where}: {key} is {value!r}; expected a whole number of at least 1")
    return value
