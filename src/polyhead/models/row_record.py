"""The row of a family outside the table in a pruned model's record, so that it loads again without a proof.

It is the value of `row` in the record: the fields of `Architecture` that are not the default, and under `transformers` the
release that it was proven with. Another release may compute something else, so there the row is proven again.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib.metadata import version
from typing import Any

from polyhead.core.errors import CheckpointError, SettingError
from polyhead.models.architectures import Architecture, check_row

KEY = "row"
_RELEASE = "transformers"

RowRecord = dict[str, str | bool | list[str]]


def write_row(row: Architecture) -> RowRecord:
    """The JSON value of a row; `read_row` reads it back.

    >>> from polyhead.models.architectures import ARCHITECTURES
    >>> write_row(ARCHITECTURES["modernbert"])["query"]
    'attn.Wqkv'
    """
    found: RowRecord = {_RELEASE: version("transformers")}
    for field in fields(row):
        value = getattr(row, field.name)
        if value != field.default:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def read_row(record: Mapping[str, object], model_type: str, *, where: str) -> Architecture | None:
    """The row in a record of pruned heads; None if there is none, or if it was proven with another release of Transformers.

    Raises:
        CheckpointError: It is not a row, or that of another family.
    """
    stored = record.get(KEY)
    if stored is None:
        return None
    known = {field.name: field.default for field in fields(Architecture)}
    wrong = CheckpointError(
        f"{where}: {KEY} of the record of pruned heads is no row for {model_type!r}; use the config.json saved with it"
    )
    if not isinstance(stored, Mapping) or stored.get("model_type") != model_type or not {*stored} <= {*known, _RELEASE}:
        raise wrong
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items() if name != _RELEASE
    }
    if any(default is MISSING and name not in given for name, default in known.items()):
        raise wrong
    try:
        row = Architecture(**given)
        check_row(row)
    except SettingError:
        raise wrong from None
    return row if stored.get(_RELEASE) == version("transformers") else None
