"""From a command's arguments to its request: several values after one flag, a settings file, then typer."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.main import get_command

from polyhead.cli.request_form import as_function
from polyhead.config import Spec, read_toml, spec_from
from polyhead.errors import SettingError

T = TypeVar("T")

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
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(as_function(request))
    command = get_command(app)
    options = {opt: bool(getattr(p, "multiple", False)) for p in command.params for opt in p.opts if opt.startswith("-")}
    lists = {opt for opt, several in options.items() if several}
    argv = expand_lists(arguments, lists)
    if "--config" in options:
        argv = with_settings_file(argv, options)
    result = command.main(argv, prog_name=f"polyhead {name}", standalone_mode=False)
    return result if isinstance(result, request) else None


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


def with_settings_file(argv: Sequence[str], options: Mapping[str, bool]) -> list[str]:
    """The arguments with those of `--config FILE` put before them, but for options that the arguments set themselves.

    Args:
        argv: Arguments after `expand_lists`.
        options: Every option of the command, and whether it takes several values.

    Raises:
        SettingError: The file cannot be read, or holds options that do not exist or have wrong values; all are named.
    """
    values: dict[str, Any] = {}
    for path in _paths_of(argv, "--config"):
        values |= _flat(path, set(options))
    given = {argument.partition("=")[0] for argument in argv}
    from_file: list[str] = []
    for name, value in values.items():
        if name in given or (name in ("--seed", "--seeds") and given & {"--seed", "--seeds"}):
            continue
        if isinstance(value, bool):
            from_file += [name] if value else []
        else:
            for item in value if isinstance(value, list) else [value]:
                from_file += [name, str(item)]
    return [*from_file, *argv]


def _paths_of(argv: Sequence[str], flag: str) -> list[Path]:
    after = [Path(value) for argument, value in pairwise(argv) if argument == flag]
    return after + [Path(argument.partition("=")[2]) for argument in argv if argument.startswith(flag + "=")]


def _flat(path: Path, known: set[str]) -> dict[str, Any]:
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
        inner = tables[key].items() if key in tables else [("", value)]
        for name, item in inner:
            dotted = f"{key}.{name}" if name else key
            flag = "--" + _RENAMED.get(dotted, name or key).replace("_", "-")
            if flag in known - {"--config", "--help"}:
                flat[flag] = item
            elif not name or not faults:
                near = difflib.get_close_matches(flag, sorted(known), n=1)
                hint = f"did you mean {near[0].removeprefix('--')!r}?" if near else "see --help"
                faults.append(f"{dotted}: unknown option; {hint}")
    if faults:
        raise SettingError(f"{path}: {'; '.join(faults)}")
    return flat
