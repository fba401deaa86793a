"""Strict parsing of numbers from text, and plain values for JSON and fingerprints."""

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polyhead.core.errors import SettingError

SHORT = reprlib.Repr()
"""Shows a value in a message, shortened to about 80 characters."""
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 80


def whole_number(text: str) -> int | None:
    """The number written by one to nine ASCII digits; None for any other text.

    >>> whole_number("12"), whole_number("-1"), whole_number("9" * 5000)
    (12, None, None)
    """
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def signed_number(text: str) -> int | None:
    """The number written by at most 400 ASCII digits with an optional sign; None for any other text.

    >>> signed_number("-1"), signed_number("1_000")
    (-1, None)
    """
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,400}", text) else None


def decimal_number(text: str) -> float | None:
    """The finite number written by ASCII digits with an optional point and exponent; None for any other text.

    >>> decimal_number("5e-5"), decimal_number("1_000"), decimal_number("nan"), decimal_number("1e999")
    (5e-05, None, None, None)
    """
    written = len(text) < 400 and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
    number = float(text) if written else math.inf
    return number if math.isfinite(number) else None


def counted(n: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "seed"), counted(1200, "seed")
    ('1 seed', '1,200 seeds')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def plain(obj: object) -> object:
    """`obj` as plain values: dataclasses and mappings as dicts, sequences and arrays as lists, sets sorted.

    Raises:
        SettingError: A value has no JSON form.
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
    """As `plain`, with None for NaN and infinities, which strict JSON does not allow.

    Raises:
        SettingError: A value has no JSON form.

    >>> jsonable({"scores": (1.5, float("nan"))})
    {'scores': [1.5, None]}
    """
    return json.loads(json.dumps(plain(obj)), parse_constant=lambda _: None)


def fingerprint(obj: object) -> str:
    """Sixteen hex digits, the same for equal settings on every run, machine and Python version.

    Hashes `plain(obj)` as JSON with sorted keys.

    Raises:
        SettingError: A value has no JSON form, or a number is not finite.

    >>> fingerprint({"b": 1, "a": (2.5, None)}) == fingerprint({"a": [2.5, None], "b": 1})
    True
    """
    try:
        text = json.dumps(plain(obj), sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise SettingError(f"a fingerprint needs finite numbers ({error})") from None
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def differences(held: object, wanted: object, name: str = "") -> Iterator[str]:
    """What differs between stored settings and those wanted now, both plain values, one difference at a time.

    >>> list(differences({"search": {"max_pruned": 12}, "seed": 1}, {"search": {"max_pruned": 8}, "seed": 1}))
    ['search.max_pruned was 12, is 8']
    """
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*held, *wanted}):
            yield from differences(held.get(key), wanted.get(key), f"{name}.{key}".lstrip("."))
    elif held != wanted:
        yield f"{name} was {SHORT.repr(held)}, is {SHORT.repr(wanted)}"


def duration(seconds: float) -> str:
    """Seconds in the largest unit of which there are two or more.

    >>> duration(20), duration(200), duration(10_000), duration(1e6)
    ('20 seconds', '3 minutes', '2.8 hours', '11.6 days')
    """
    for unit, size in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else counted(max(round(seconds), 1), "second")
