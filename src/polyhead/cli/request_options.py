"""The options of a request: read from its fields and its settings models, shown by typer, each with one check of its value."""

import copy
import inspect
import re
from collections.abc import Iterator, Set
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import typer
from pydantic import Field
from pydantic.fields import FieldInfo
from typer.main import get_command
from typer.models import ParameterInfo

from polyhead.cli.options import FieldsOf
from polyhead.core.settings_file import checked
from polyhead.core.values import decimal_number, signed_number

Kind = Literal["flag", "value", "list"]

_NEEDED = inspect.Parameter.empty
_LONGEST = 25  # a longer value would be broken in help of 80 columns
PANELS = {"train": "Training", "search": "Search for the number of heads"}
# Where an option is not called as the setting that it gives, or its value is not shown by its type: flag and value.
_SPELT = {
    "model": ("--model", "MODEL"),
    "sources": ("--source", "REF..."),
    "targets": ("--target", "REF..."),
    "data": ("--data", "FOLDER"),
    "columns": ("--columns", "SPEC"),
    "normalisation": ("--normalise", ""),
    "how": ("--search", ""),
    "objective": ("--objective", "best|within:X"),
}


@dataclass(frozen=True)
class Option:
    """One option or argument of a command.

    Attributes:
        path: Names of the fields that lead to its value in the request; those of a settings model are its last.
        flag: As on the command line; an argument's is its metavar.
        type: What its value has to be, with pydantic's constraints.
        info: What typer shows of it.
        default: `inspect.Parameter.empty` if it has to be given.
        of_settings: Whether a settings model answers where it is not given.
    """

    path: tuple[str, ...]
    flag: str
    type: Any
    info: ParameterInfo
    default: Any
    of_settings: bool = False

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
    if origin in (list, tuple):
        return "list", _kind(inner[0])[1]
    return ("flag" if hint is bool else "value"), str if origin is Literal else hint


def options(request: type) -> Iterator[Option]:
    """Every option and argument of a request, those of its groups and of its settings models included."""
    for name, hint, default in hints_of(request):
        base, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        models = [extra for extra in extras if isinstance(extra, FieldsOf)]
        infos = [extra for extra in extras if isinstance(extra, ParameterInfo)]
        if models:
            inner = _settings_options(models[0].model, models[0].preset)
        elif infos:
            least = getattr(infos[0], "min", None)
            limits = [] if least is None else [Field(ge=least)]
            rest = [extra for extra in extras if extra is not infos[0]]
            kind = Annotated[base, *rest, *limits] if rest or limits else base  # type: ignore[valid-type]
            yield Option((name,), _flag(infos[0]) or infos[0].metavar or name, kind, infos[0], default)
            continue
        else:
            inner = options(base)
        yield from (replace(option, path=(name, *option.path)) for option in inner)


def _settings_options(model: type, preset: Set[str]) -> Iterator[Option]:
    """The fields of a settings model that have a description."""
    for name, hint, default in hints_of(model):
        if is_dataclass(hint):
            inner = _settings_options(cast(type, hint), preset)
            yield from (replace(option, path=(name, *option.path), info=_in_panel(option.info, name)) for option in inner)
            continue
        described = [extra for extra in get_args(hint) if isinstance(extra, FieldInfo) and extra.description]
        if not described:
            continue
        flag, metavar = _SPELT.get(name, (f"--{name.replace('_', '-')}", ""))
        info = typer.Option(flag, metavar=metavar or _metavar(hint), help=described[0].description)
        if name in preset:
            info.show_default, default = "the protocol's", None
        yield Option((name,), flag, hint, info, default, of_settings=True)


def hints_of(kind: type) -> Iterator[tuple[str, Any, Any]]:
    """Name, type and default of every field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    return ((item.name, hints[item.name], _NEEDED if item.default is MISSING else item.default) for item in fields(kind))


def _flag(info: ParameterInfo) -> str:
    """The flag that typer's description gives, which takes it for the default in an annotation; empty for an argument."""
    names = [info.default, *(getattr(info, "param_decls", None) or ())]
    return next((name for name in names if isinstance(name, str) and name.startswith("-")), "")


def _in_panel(info: ParameterInfo, name: str) -> ParameterInfo:
    info.rich_help_panel = PANELS[name]  # type: ignore[attr-defined]
    return info


def _metavar(hint: Any) -> str:
    kind, item = _kind(hint)
    if kind == "flag":
        return ""
    shown = "|".join(_choices(hint))
    if 0 < len(shown) <= _LONGEST:
        return shown
    return {int: "N", float: "X"}.get(item, "NAME") + ("..." if kind == "list" else "")


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((found for inner in get_args(hint) if (found := _choices(inner))), ())


def click_command(request: type, name: str) -> Any:
    """The command with the request's options; its call returns those that are given, by name, as they are given."""

    def given(context: typer.Context, **values: Any) -> dict[str, Any]:
        sources = {key: context.get_parameter_source(key) for key in values}
        return {key: value for key, value in values.items() if getattr(sources[key], "name", "") != "DEFAULT"}

    # those that must be given come first, as everywhere
    parameters = sorted(map(_parameter, options(request)), key=lambda one: one.default is not _NEEDED)
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
    info: Any = copy.copy(option.info)
    if option.kind != "flag":
        info.parser = _unchanged
    kind: Any = {"flag": bool, "list": list[str], "value": str}[option.kind]
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=Annotated[kind, info]
    )


def _unchanged(value: Any) -> Any:
    return value
