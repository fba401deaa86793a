"""What `polyhead` with some arguments does: help, or one command, whose failures become a line and an exit code."""

import difflib
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version

from polyhead.cli.console import opened
from polyhead.cli.exit_codes import BAD_INPUT, DONE
from polyhead.cli.failures import guarded, leaving_at_once
from polyhead.cli.main import COMMANDS, resolve
from polyhead.cli.parsing import parse, with_flags
from polyhead.core.errors import SettingError, UnknownNameError

_HELP = ("help", "--help", "-h")


def dispatch(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    if len(argv) > 1 and argv[0] in _HELP:
        argv = [*argv[1:], "--help"]
    words = 2 if argv and group_of(argv[0]) else 1  # of the command's name
    return guarded(lambda: _called(argv, " ".join(argv[:words]), argv[words:]))


def group_of(word: str) -> list[str]:
    """The commands of two words that begin with `word`."""
    return [name for name in COMMANDS if name.startswith(f"{word} ")]


def help_text(names: Sequence[str] = ()) -> str:
    """What `polyhead --help` prints, and `polyhead data --help` of the commands `names` only."""
    width = max(map(len, names or COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {COMMANDS[name].summary}" for name in names or COMMANDS)
    return (
        "Usage: polyhead COMMAND [OPTIONS]\n\n"
        "Rank, prune and judge the attention heads of multilingual Transformers.\n\n"
        f"Commands:\n{rows}\n\n"
        "polyhead COMMAND --help lists a command's options; every command takes --json.\n"
        "Exit codes: 0 done, 1 a check failed, 2 bad input, 3 internal error, 130 interrupted.\n"
    )


def _called(argv: Sequence[str], name: str, rest: Sequence[str]) -> int:
    group = group_of(argv[0]) if argv else []
    if not argv or (group and not argv[1:]):
        print(help_text(group), end="", file=sys.stderr)
        return BAD_INPUT
    if name in _HELP or (group and argv[1] in _HELP):
        print(help_text(group), end="")
        return DONE
    if name in ("--version", "-V"):
        if rest:
            raise SettingError(f"{name}: takes no argument, but {rest[0]!r} was given")
        print(f"polyhead {version('polyhead')}")
        return DONE
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnknownNameError(f"unknown command {name!r}{hint}; see polyhead --help")
    return _run(name, rest)


def _run(name: str, arguments: Sequence[str]) -> int:
    """Parse a command's options, then import and call what does its work."""
    command = COMMANDS[name]
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with leaving_at_once():
        request = parse(resolve(command.request), arguments, name=name)
        if request is None:
            return DONE
        work = resolve(command.work)
    written = shlex.join(["polyhead", *name.split(), *arguments])
    with opened(json=request.json, command=written) as console:
        try:
            code: int = work(request, console)
        except (SettingError, UnknownNameError) as error:
            raise type(error)(with_flags(str(error), type(request))) from error
    return code
