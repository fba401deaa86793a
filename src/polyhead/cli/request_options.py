"""The options of a request: read from its fields and its settings models, shown by typer, each with one check of its value."""

import inspect
import re
from collections.abc import Iterator, Set
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import typer
from pydantic.fields import FieldInfo
from typer.main import get_command

from polyhead.cli.options import Settings, Shown
from polyhead.core.settings_file import checked
from polyhead.core.values import decimal_number, signed_number

Kind = Literal["flag", "value", "list"]

_NEEDED = inspect.Parameter.empty
_LONGEST = 25  # a longer value would be broken in help of 80 columns
PANELS = {"train": "Training", "search": "Search for the number of heads"}
# Settings whose option has another name, or whose value is not shown by its type: flag and value.
_SPELT = {
    "model": ("--model", "MODEL"),
    "sources": ("--source", "REF..."),
    "targets": ("--target", "REF..."),
    "data": ("--data", "FOLDER"),
    "columns": ("--columns", "SPEC"),
    "normalisation": ("--normalise", ""),
    "how": ("--search", ""),
    "objective": ("--objective", "best|within:X"),
    "latency": ("--latency", "TIME"),
    "size": ("--size", "SIZE"),
    "keep": ("--keep", "PART..."),
}


@dataclass(frozen=True)
class Option:
    """One option or argument of a command.

    Attributes:
        path: Names of the fields that lead to its value in the request; those of a settings model are its last.
        flag: As on the command line; an argument's is what stands for its value.
        type: What its value has to be, with pydantic's constraints.
        default: `inspect.Parameter.empty` if it has to be given.
        help: A sentence.
        value: What stands for its value in help.
        panel: Part of the help that it is shown in.
        of_settings: Whether a settings model answers where it is not given.
        preset: Whether the protocol answers before the model does.
    """

    path: tuple[str, ...]
    flag: str
    type: Any
    default: Any
    help: str
    value: str
    panel: str | None
    of_settings: bool
    preset: bool

    @property
    def alone(self) -> str:
        """Its value if the flag stands alone; empty if a value has to follow."""
        return next((extra.alone for extra in get_args(self.type) if isinstance(extra, Shown)), "")

    @property
    def name(self) -> str:
        """Of typer's parameter."""
        return self.path[-1]

    @property
    def kind(self) -> Kind:
        """What stands after the flag."""
        return _kind(self.type)[0]

    def read(self, value: Any, *, called: str, from_text: bool) -> Any:
        """The value as the request holds it.

        Raises:
            SettingError: It is not allowed; `called` is its name there.
            UnknownNameError: It is the name of something that does not exist.
        """
        item = _kind(self.type)[1]
        found = [_read(one, item, from_text) for one in value] if isinstance(value, list) else _read(value, item, from_text)
        return checked(called, found, self.type)


def _read(value: Any, kind: type, from_text: bool) -> Any:
    """A value of that kind, or as it was where it cannot be one, for the check to refuse."""
    if not isinstance(value, str):
        return value
    if kind is Path:
        return Path(value).expanduser() if value else value
    number = signed_number(value) if kind is int else decimal_number(value) if kind is float else None
    return number if from_text and number is not None else value


def _kind(hint: Any) -> tuple[Kind, type]:
    """What an option of that type takes, and the type of one value."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated or origin in (Union, UnionType):
        return _kind(inner[0])
    if origin is tuple:
        return "list", _kind(inner[0])[1]
    return ("flag" if hint is bool else "value"), str if origin is Literal else hint


def options(
    model: type, *, preset: Set[str] = frozenset(), panel: str | None = None, of_settings: bool = False
) -> Iterator[Option]:
    """Every option and argument of a request, those of its groups and of its settings models included.

    A request's own come before those that it shares with other commands.
    """
    bases = reversed(model.__mro__) if of_settings else model.__mro__
    order = [name for base in bases for name in inspect.get_annotations(base)]
    for name, hint, default in sorted(hints_of(model), key=lambda item: order.index(item[0])):
        if found := settings_of(hint):
            inner = options(get_args(hint)[0], preset=found.preset, of_settings=True)
        elif is_dataclass(hint):
            inner = options(cast(type, hint), preset=preset, panel=PANELS.get(name), of_settings=of_settings)
        elif shown := _shown(name, hint):
            flag, value, text = shown
            at_first = None if name in preset else default
            yield Option((name,), flag or value, hint, at_first, text, value, panel, of_settings, name in preset)
            continue
        else:
            continue
        yield from (replace(option, path=(name, *option.path)) for option in inner)


def hints_of(kind: type) -> Iterator[tuple[str, Any, Any]]:
    """Name, type and default of every field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    return ((item.name, hints[item.name], _NEEDED if item.default is MISSING else item.default) for item in fields(kind))


def settings_of(hint: Any) -> Settings | None:
    """What a field's type says of its settings model; None for other fields."""
    return next((extra for extra in get_args(hint) if isinstance(extra, Settings)), None)


def _shown(name: str, hint: Any) -> tuple[str, str, str] | None:
    """Flag (empty for an argument), value and help of a field; None for a field that is not an option."""
    flag, value = f"--{name.replace('_', '-')}", _value(hint)
    for extra in get_args(hint)[1:]:
        if isinstance(extra, Shown):
            return "" if extra.positional else flag, extra.value or value, extra.help
        if isinstance(extra, FieldInfo) and extra.description:
            spelt, instead = _SPELT.get(name, (flag, ""))
            return spelt, instead or value, extra.description
    return None


def _value(hint: Any) -> str:
    """What stands for a value of this type."""
    kind, item = _kind(hint)
    if kind == "flag":
        return ""
    shown = "|".join(_choices(hint))
    if 0 < len(shown) <= _LONGEST:
        return shown
    return {int: "N", float: "X", Path: "FILE"}.get(item, "NAME") + ("..." if kind == "list" else "")


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((found for inner in get_args(hint) if (found := _choices(inner))), ())


def click_command(request: type, name: str) -> Any:
    """The command with the request's options; its call returns those that are given, by name, as they are given."""

    def given(context: typer.Context, **values: Any) -> dict[str, Any]:
        sources = {key: context.get_parameter_source(key) for key in values}
        return {key: value for key, value in values.items() if getattr(sources[key], "name", "") != "DEFAULT"}

    # arguments and what must be given come first, as everywhere
    found = sorted(options(request), key=lambda one: (one.default is not _NEEDED, one.flag.startswith("--")))
    parameters = [*map(_parameter, found)]
    parameters.append(inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))
    given.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    given.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    # a line end inside a paragraph would be one in the help too
    given.__doc__ = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(request) or "")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(given)
    return get_command(app)


def _parameter(option: Option) -> inspect.Parameter:
    """What typer is to make of an option; values stay as they are, for `Option.read`."""
    keep = None if option.kind == "flag" else lambda value: value
    if option.flag.startswith("--"):
        info: Any = typer.Option(
            option.flag,
            metavar=option.value,
            help=option.help,
            parser=keep,
            rich_help_panel=option.panel,
            show_default="the protocol's" if option.preset else True,
        )
    else:
        info = typer.Argument(metavar=option.value, help=option.help, parser=keep)
    kind: Any = {"flag": bool, "list": list[str], "value": str}[option.kind]
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=Annotated[kind, info]
    )
