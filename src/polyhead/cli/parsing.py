"""From a command's arguments to its request: several values after one flag, a settings file, then typer."""

import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import typer
from typer.main import get_command

from polyhead.cli.train_requests import FitRequest, RunRequest
from polyhead.core.errors import SettingError
from polyhead.core.settings_file import read_toml, spec_from
from polyhead.core.specs import Spec

T = TypeVar("T")
Kind = Literal["flag", "value", "list"]

# Where a key of a settings file's tables is called differently on the command line.
_RENAMED = {"search.how": "search"}


def parse(request: type[T], arguments: Sequence[str], *, name: str) -> T | None:
    """The request that the arguments describe, or None when they asked for help, which is then printed.

    Args:
        request: A frozen dataclass whose fields are annotated as typer's options and arguments.
        arguments: What stands after the command's name.
        name: The command's name.

    Raises:
        SettingError: A list option has no value, or the settings file is bad.
        typer.TyperException: Any other mistake in the arguments.
    """
    command = _command(request, name)
    options = _options(command)
    argv = expand_lists(arguments, {option for option, kind in options.items() if kind == "list"})
    if "--config" in options:
        elsewhere = {option for other in (RunRequest, FitRequest) for option in _options(_command(other, name))}
        argv = with_settings_file(argv, options, elsewhere)
    result = command.main(argv, prog_name=f"polyhead {name}", standalone_mode=False)
    return result if isinstance(result, request) else None


def with_flags(message: str, request: object) -> str:
    """An error's message with the request's options called as on the command line: `max_pruned 99` as `--max-pruned 99`."""
    names = [name for name in inspect.signature(as_function(type(request))).parameters if "_" in name]
    if not names:
        return message
    named = rf"(?<![\w.-])({'|'.join(names)})(?=[ :=])"
    return re.sub(named, lambda found: "--" + found[1].replace("_", "-"), message)


def _command(request: type, name: str) -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(as_function(request))
    return get_command(app)


def _options(command: Any) -> dict[str, Kind]:
    """Every option of a command, and what it takes."""
    return {
        option: "list" if getattr(parameter, "multiple", False) else "flag" if getattr(parameter, "is_flag", False) else "value"
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("-")
    }


def expand_lists(arguments: Sequence[str], lists: set[str]) -> list[str]:
    """The arguments with `--flag a b c` written as `--flag a --flag b --flag c` for every flag in `lists`.

    Values end at the next argument that begins with `-` (a lone `-` is a value).

    Raises:
        SettingError: A list option stands without a value.

    >>> expand_lists(["--target", "a", "b", "--out", "c"], {"--target"})
    ['--target', 'a', '--target', 'b', '--out', 'c']
    """
    expanded: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*expanded, argument, *rest]
        if argument not in lists:
            expanded.append(argument)
            continue
        values = []
        while rest and (rest[0] == "-" or not rest[0].startswith("-")):
            values.append(rest.pop(0))
        if not values:
            raise SettingError(f"{argument}: expected one or more values after it")
        for value in values:
            expanded += [argument, value]
    return expanded


def with_settings_file(argv: Sequence[str], options: Mapping[str, Kind], elsewhere: Set[str] = frozenset()) -> list[str]:
    """The arguments with those of `--config FILE` put before them, but for options that the arguments set themselves.

    Args:
        argv: Arguments after `expand_lists`.
        options: Every option of the command, and what it takes.
        elsewhere: Options of other commands that read the same files; passed over here.

    Raises:
        SettingError: The file cannot be read, or holds options that do not exist or have wrong values; all are named.
    """
    values: dict[str, Any] = {}
    for path in _paths_of(argv, "--config"):
        values |= _flat(path, options, elsewhere)
    given = {argument.partition("=")[0] for argument in argv}
    from_file: list[str] = []
    for name, value in values.items():
        if name in given or (name in ("--seed", "--seeds") and given & {"--seed", "--seeds"}):
            continue
        if options[name] == "flag":
            from_file += [name] if value else []
        else:
            for item in value if isinstance(value, list) else [value]:
                from_file += [name, str(item)]
    return [*from_file, *argv]


def _paths_of(argv: Sequence[str], flag: str) -> list[Path]:
    after = [Path(value) for argument, value in pairwise(argv) if argument == flag]
    return after + [Path(argument.partition("=")[2]) for argument in argv if argument.startswith(flag + "=")]


def _flat(path: Path, options: Mapping[str, Kind], elsewhere: Set[str]) -> dict[str, Any]:
    """The file's options by flag; its `[train]` and `[search]` tables are checked as the specs they describe.

    A plain value under one of these names is the option of that name: `search = "sweep"` is `--search sweep`.
    """
    document = read_toml(path)
    names = {item.name for item in fields(Spec)}
    tables = {key: value for key, value in document.items() if key in names and isinstance(value, dict)}
    faults: list[str] = []
    try:
        spec_from(Spec, tables, where="")
    except SettingError as error:
        faults.append(str(error).removeprefix(": "))
    flat: dict[str, Any] = {}
    for key, value in document.items():
        for name, item in tables[key].items() if key in tables else [("", value)]:
            dotted = f"{key}.{name}" if name else key
            flag = "--" + _RENAMED.get(dotted, name or key).replace("_", "-")
            fault = _fault(flag, item, options, elsewhere)
            if not fault and flag in options:
                flat[flag] = item
            elif fault and (not name or not faults):
                faults.append(f"{dotted}{fault}")
    if faults:
        raise SettingError(f"{path}: {'; '.join(faults)}")
    return flat


def _fault(flag: str, value: Any, options: Mapping[str, Kind], elsewhere: Set[str]) -> str:
    """What is wrong with one option of a settings file, to stand behind its name; empty if nothing is."""
    if flag in ("--config", "--help"):
        return ": cannot stand in a settings file"
    if flag not in options:
        near = difflib.get_close_matches(flag, sorted(options), n=1)
        hint = f"did you mean {near[0].removeprefix('--')!r}?" if near else "see --help"
        return "" if flag in elsewhere else f": unknown option; {hint}"
    if (options[flag] == "flag") != isinstance(value, bool):
        return f" = {value!r}: should be {'true or false' if options[flag] == 'flag' else 'no true or false'}"
    if isinstance(value, dict):
        return ": is a table; expected a value"
    return ""


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
