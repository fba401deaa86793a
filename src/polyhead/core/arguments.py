"""One check of the arguments of public functions, so that a wrong one is named instead of failing somewhere below."""

from numbers import Integral
from os import PathLike
from types import NoneType, UnionType
from typing import Any, get_args

from polyhead.core.values import SHORT

PATH: Any = str | PathLike  # PathLike[str] cannot be checked
_NAMES: dict[Any, str] = {NoneType: "None", Integral: "int"}


def require(**arguments: tuple[object, type | UnionType]) -> None:
    """Refuse an argument of the wrong type; True and False are not numbers.

    Raises:
        TypeError: A value is not of the type given beside it.

    >>> require(name=("polyhead/tiny", PATH), seed=("a", Integral))
    Traceback (most recent call last):
        ...
    TypeError: seed is 'a' (str); expected int
    """
    for name, (value, kind) in arguments.items():
        if isinstance(value, bool) or not isinstance(value, kind):
            expected = " or ".join(_NAMES.get(one, one.__name__) for one in get_args(kind) or (kind,))
            plain = isinstance(value, str | int | float | None)
            shown = f"{SHORT.repr(value)} ({type(value).__name__})" if plain else f"of type {type(value).__name__}"
            raise TypeError(f"{name} is {shown}; expected {expected}")
