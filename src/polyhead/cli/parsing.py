"""From a command's arguments to its request: several values after one flag, a settings file, typer, one check of all values."""

import difflib
import re
from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import typer

from polyhead.cli.request_options import PANELS, Option, click_command, hints_of, options, settings_of
from polyhead.cli.train_requests import FitRequest, RunRequest
from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.core.settings_file import read_toml

T = TypeVar("T")


def parse(request: type[T], arguments: Sequence[str], *, name: str) -> T | None:
    """The request that the arguments describe, or None when they asked for help, which is then printed.

    Args:
        request: A frozen dataclass whose fields are annotated with `Shown` or `Settings`, or are groups of such fields.
        arguments: The arguments after the command's name.
        name: The command's name.

    Raises:
        SettingError: Values are not allowed, all of them named; a list option has none; or the settings file is bad.
        UnknownNameError: Settings name something that does not exist.
        typer.TyperException: Any other mistake in the arguments.
    """
    found = list(options(request))
    lists = {option.flag for option in found if option.kind == "list"}
    alone = {option.flag: option.alone for option in found if option.alone}
    argv = with_values(expand_lists(arguments, lists), alone)
    flags = {option.flag for option in found if option.flag.startswith("--")}  # of an argument it is its name
    check_values(argv, {option.flag for option in found if option.kind == "value"} & flags, flags)
    defaults = _from_files(argv, found) if any(option.flag == "--config" for option in found) else {}
    try:
        given = click_command(request, name).main(
            argv, prog_name=f"polyhead {name}", standalone_mode=False, default_map=dict(defaults)
        )
    except typer.TyperException as error:
        taken = [(flag, value) for flag, value in pairwise(argv) if flag in lists or flag in alone]
        if taken and (missing := re.match(r"Missing argument '(.+?)'", error.format_message())):
            step = f"write polyhead {name} {missing[1]} first, then the options"
            raise SettingError(f"missing argument {missing[1]}: {taken[-1][0]} took {taken[-1][1]!r}; {step}") from None
        raise
    if not isinstance(given, dict):
        return None
    faults: list[str] = []
    tree: dict[str, Any] = {}
    for option in found:
        if option.name not in given and option.of_settings:
            continue
        value = given.get(option.name, option.default)
        if option.name in given:
            try:
                value = option.read(value, called=option.flag, from_text=True)
            except (SettingError, UnknownNameError) as error:
                faults.append(str(error))
        place = tree
        for part in option.path[:-1]:
            place = place.setdefault(part, {})
        place[option.name] = value
    if faults:
        raise SettingError("; ".join(faults))
    try:
        return _made(request, tree)
    except (SettingError, UnknownNameError) as error:
        said = with_flags(str(error), request)
        on_line = {argument.partition("=")[0] for argument in argv}
        for option in found:
            if option.name in defaults and option.flag not in on_line and said.startswith(f"{option.flag} "):
                key = option.flag.removeprefix("--").replace("-", "_")
                said = f"{given['config']}: {key}{said.removeprefix(option.flag)}"
        raise type(error)(said) from None


def _made(kind: type[T], tree: Mapping[str, Any]) -> T:
    values = {}
    for name, hint, _ in hints_of(kind):
        if settings := settings_of(hint):
            values[name] = settings.make(**tree.get(name, {}))
        else:
            values[name] = _made(cast(type, hint), tree[name]) if is_dataclass(hint) else tree[name]
    return kind(**values)


def with_flags(message: str, request: type) -> str:
    """An error's message with the request's options called as on the command line: `max_pruned 99` as `--max-pruned 99`."""
    flags = {option.name: option.flag for option in options(request) if option.flag.startswith("--")}
    if not flags:
        return message
    names, long = "|".join(flags), "|".join([name for name in flags if "_" in name] or ["(?!)"])
    named = rf"(?<![\w.-])(?:(?:train|search)\.)?(?:({names})(?= = )|({long})(?=[ :=]))"
    return re.sub(named, lambda found: flags[found[1] or found[2]], message)


def expand_lists(arguments: Sequence[str], lists: Set[str]) -> list[str]:
    """The arguments with `--flag a b c` written as `--flag a --flag b --flag c` for every flag in `lists`.

    Values end at the next argument that begins with `-` (a lone `-` is a value).

    Raises:
        SettingError: A list option has no value.

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


def with_values(arguments: Sequence[str], alone: Mapping[str, str]) -> list[str]:
    """The arguments with a value after every flag that stands alone, at the end or before another option.

    >>> with_values(["--ray", "--out", "c", "--ray"], {"--ray": "local"})
    ['--ray', 'local', '--out', 'c', '--ray', 'local']
    """
    filled: list[str] = []
    for argument, after in zip(arguments, [*arguments[1:], "--"], strict=False):
        filled.append(argument)
        if argument in alone and "--" not in filled and after.startswith("-"):
            filled.append(alone[argument])
    return filled


def check_values(arguments: Sequence[str], valued: Set[str], flags: Set[str]) -> None:
    """Return if no option takes another one as its value; else `--out --json` would write to a folder named `--json`.

    Args:
        arguments: With a value after every option that takes one.
        valued: Options that take exactly one value.
        flags: All options of the command.

    Raises:
        SettingError: An option follows where a value should be.

    >>> check_values(["--out", "folder", "--json"], {"--out"}, {"--out", "--json"})
    """
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return
        if argument in valued and (value := next(rest, "")) in flags:
            raise SettingError(f"{argument}: expected a value after it, and {value} is an option")


def _from_files(argv: Sequence[str], found: Sequence[Option]) -> dict[str, Any]:
    """What the files after `--config` say, by typer's names; a seed on the command line takes the place of seeds there.

    Raises:
        SettingError: A file cannot be read, or holds options that are unknown, set twice or have wrong values; all are named.
    """
    known = _names_in_file(found)
    elsewhere = _names_in_file([*options(RunRequest), *options(FitRequest)])
    paths = [value for argument, value in pairwise(argv) if argument == "--config"]
    paths += [argument.removeprefix("--config=") for argument in argv if argument.startswith("--config=")]
    values: dict[str, Any] = {}
    for path in paths:
        values |= _from_file(Path(path).expanduser(), known, elsewhere)
    if {argument.partition("=")[0] for argument in argv} & {"--seed", "--seeds"}:
        values = {key: value for key, value in values.items() if key not in ("seed", "seeds")}
    return values


def _names_in_file(found: Sequence[Option]) -> dict[str, Option]:
    """The options by what a settings file may call them: as on the command line, and as in the tables `train` and `search`."""
    named: dict[str, Option] = {}
    for option in found:
        named[option.flag.removeprefix("--").replace("-", "_")] = option
        if option.path[-2:-1] in (("train",), ("search",)):
            named[".".join(option.path[-2:])] = option
        if option.flag == "--seed":
            named["train.seed"] = option
    return named


def _from_file(path: Path, known: Mapping[str, Option], elsewhere: Container[str]) -> dict[str, Any]:
    """A file's options by typer's names. A plain `search = "sweep"` is `--search sweep`."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for key, content in read_toml(path).items():
        table = content if key in PANELS and isinstance(content, dict) else {"": content}
        for inner, value in table.items():
            name = f"{key}.{inner}" if inner else key
            option = known.get(name.replace("-", "_"))
            if name in ("config", "help"):
                faults.append(f"{name}: not allowed in a settings file")
            elif option is None:
                faults += [] if name in elsewhere else [f"{name}: unknown option; {_nearest(name, [*known, *PANELS])}"]
            elif option.name in values:
                faults.append(f"{name}: {option.flag} is set twice; keep one of the two")
            else:
                try:
                    values[option.name] = option.read(value, called=name, from_text=False)
                except (SettingError, UnknownNameError) as error:
                    faults.append(str(error))
    if faults:
        raise SettingError(f"{path}: {'; '.join(faults)}")
    return values


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "see --help"
