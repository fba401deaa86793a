"""Settings and results as plain values that JSON can hold."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polyhead.core.errors import SettingError


def plain(obj: object) -> object:
    """Plain values for `obj`: dataclasses and mappings as dicts, sequences and arrays as lists, sets sorted.

    Raises:
        SettingError: Something in it has no JSON form.
    """
    match obj:
        case None | bool() | int() | str() | float():
            return obj
        case Path():
            return obj.as_posix()
        case np.generic() | np.ndarray():
            return obj.tolist()
        case Mapping():
            return {str(key): plain(value) for key, value in obj.items()}
        case list() | tuple():
            return [plain(item) for item in obj]
        case set() | frozenset():
            return sorted((plain(item) for item in obj), key=lambda item: json.dumps(item, sort_keys=True))
    if is_dataclass(obj) and not isinstance(obj, type):
        return {item.name: plain(getattr(obj, item.name)) for item in fields(obj)}
    raise SettingError(f"{type(obj).__name__} has no JSON form: give plain values, dataclasses or arrays")


def jsonable(obj: object) -> Any:
    """As `plain`, with None for NaN and infinities, which strict JSON cannot write.

    Raises:
        SettingError: Something in it has no JSON form.

    >>> jsonable({"scores": (1.5, float("nan"))})
    {'scores': [1.5, None]}
    """
    return _finite(plain(obj))


def _finite(obj: Any) -> Any:
    match obj:
        case float():
            return obj if math.isfinite(obj) else None
        case dict():
            return {key: _finite(value) for key, value in obj.items()}
        case list():
            return [_finite(item) for item in obj]
    return obj
