"""A request with groups of options inside it, seen as the flat list of options that typer wants."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


def as_function(request: type[T]) -> Callable[..., T]:
    """A function that makes the request from one keyword argument for each option, those of its groups included.

    A group is a field whose type is itself a dataclass of options; so options that commands share are written once.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Machine:
    ...     device: str = "auto"
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Request:
    ...     model: str
    ...     machine: Machine
    >>> as_function(Request)(model="m", device="cpu")
    Request(model='m', machine=Machine(device='cpu'))
    """

    def make(**values: Any) -> T:
        return _made(request, values)

    parameters = list(_parameters(request))
    # those that must be given come first, as everywhere
    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    make.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    make.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    # a line end inside a paragraph would be one in the help too
    make.__doc__ = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(request) or "")
    return make


def _parameters(kind: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        if is_dataclass(hints[item.name]):
            yield from _parameters(hints[item.name])
        else:
            default = inspect.Parameter.empty if item.default is MISSING else item.default
            yield inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[item.name])


def _made(kind: type[T], values: dict[str, Any]) -> T:
    hints = get_type_hints(kind)
    return kind(
        **{
            item.name: _made(hints[item.name], values) if is_dataclass(hints[item.name]) else values[item.name]
            for item in fields(kind)  # type: ignore[arg-type]
        }
    )
