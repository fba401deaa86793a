"""The `polyhead` command: a literal table of commands, whose modules are imported when the command runs."""

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from polyhead.cli.failures import BAD_INPUT, DONE, guarded, usage_error
from polyhead.core.errors import SettingError, UnknownNameError


@dataclass(frozen=True)
class Command:
    """One row: where its options stand (free of torch: mistakes show at once), where its work is done, one line of help.

    `stopped` says what is kept when the user stops it.
    """

    request: str
    work: str
    summary: str
    stopped: str = ""


_GOES_ON = "what was finished is saved, and the same command continues from there"

COMMANDS: dict[str, Command] = {
    "run": Command(
        "polyhead.cli.train_requests:RunRequest",
        "polyhead.cli.run:run",
        "fine-tune, rank heads, find how many to prune, prune, test in other languages, report",
        _GOES_ON,
    ),
    "fit": Command("polyhead.cli.train_requests:FitRequest", "polyhead.cli.fit:fit", "fine-tune a tagger and save it", _GOES_ON),
    "rank": Command(
        "polyhead.cli.requests:RankRequest",
        "polyhead.cli.rank:rank",
        "score the heads of a model on labelled text",
        "with --out, ablation, shapley and l0 go on from what they had when the same command is run again",
    ),
    "prune": Command("polyhead.cli.requests:PruneRequest", "polyhead.cli.prune:prune", "cut heads out of a model for good"),
    "evaluate": Command(
        "polyhead.cli.requests:EvaluateRequest", "polyhead.cli.evaluate:evaluate", "score a tagger in one or more languages"
    ),
    "predict": Command("polyhead.cli.requests:PredictRequest", "polyhead.cli.predict:predict", "tag CoNLL-U or column text"),
    "compare": Command(
        "polyhead.cli.result_requests:CompareRequest",
        "polyhead.cli.compare:compare",
        "say how far saved scores agree, over methods, languages and seeds",
    ),
    "curve": Command(
        "polyhead.cli.result_requests:CurveRequest",
        "polyhead.cli.curve:curve",
        "judge an order of heads: score against heads ablated, beside random order and an oracle",
        "with --oracle and --out, the oracle goes on from what it had when the same command is run again",
    ),
    "report": Command(
        "polyhead.cli.result_requests:ReportRequest",
        "polyhead.cli.report:report",
        "write one page about a run, or several side by side, that opens from disk",
    ),
    "doctor": Command(
        "polyhead.cli.requests:DoctorRequest",
        "polyhead.cli.doctor:doctor",
        "check on your own model and text that gating, scoring and pruning do what they promise",
    ),
    "data list": Command(
        "polyhead.cli.data_requests:DataListRequest",
        "polyhead.cli.data_commands:data_list",
        "list the corpora that are known by name",
    ),
    "data get": Command(
        "polyhead.cli.data_requests:DataGetRequest",
        "polyhead.cli.data_commands:data_get",
        "fetch corpora from their public homes",
        "what has come is kept, and the same command continues from there",
    ),
    "data check": Command(
        "polyhead.cli.data_requests:DataCheckRequest",
        "polyhead.cli.data_check:data_check",
        "report on labelled text before you train on it",
    ),
    "methods": Command(
        "polyhead.cli.requests:MethodsRequest", "polyhead.cli.methods:methods", "list the ways of scoring heads, with their costs"
    ),
}


def group_of(word: str) -> list[str]:
    """The commands of two words that begin with `word`."""
    return [name for name in COMMANDS if name.startswith(f"{word} ")]


def help_text(names: Sequence[str] = ()) -> str:
    """What `polyhead --help` prints, and `polyhead data --help` of the commands `names` alone."""
    width = max(map(len, names or COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {COMMANDS[name].summary}" for name in names or COMMANDS)
    return (
        "Usage: polyhead COMMAND [OPTIONS]\n\n"
        "Rank, prune and judge the attention heads of multilingual Transformers.\n\n"
        f"Commands:\n{rows}\n\n"
        "polyhead COMMAND --help lists a command's options; every command takes --json.\n"
        "Exit codes: 0 done, 1 a check failed, 2 bad input, 3 internal error, 130 stopped by the user.\n"
    )


def resolve(reference: str) -> Any:
    """The object that `module:name` names; imports the module."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1, 2, 3 or 130 as `polyhead --help` says."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if not argv or argv[0] in ("--help", "-h", "help"):
        return guarded(lambda: show(help_text(), DONE if argv else BAD_INPUT))
    if argv[0] in ("--version", "-V"):
        return guarded(lambda: show(f"polyhead {version('polyhead')}\n", DONE))
    group = group_of(argv[0])
    if group and argv[1:2] in ([], ["--help"], ["-h"]):
        return guarded(lambda: show(help_text(group), DONE if argv[1:] else BAD_INPUT))
    words = 2 if group else 1
    name, rest = " ".join(argv[:words]), argv[words:]
    if name not in COMMANDS:
        return guarded(
            lambda: usage_error(f"{name!r} is no command", allowed=group or list(COMMANDS), said=name, see="polyhead --help")
        )
    return guarded(lambda: run_command(name, rest), stopped=COMMANDS[name].stopped)


def show(text: str, code: int) -> int:
    """Print `text` and hand back `code`."""
    print(text, end="", file=sys.stdout if code == DONE else sys.stderr)
    return code


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Parse a command's options, then import and call what does its work."""
    command = COMMANDS[name]
    request = resolve("polyhead.cli.parsing:parse")(resolve(command.request), arguments, name=name)
    if request is None:
        return DONE
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    written = shlex.join(["polyhead", *name.split(), *arguments])
    with resolve("polyhead.cli.console:opened")(json=request.json, command=written) as console:
        try:
            code: int = resolve(command.work)(request, console)
        except (SettingError, UnknownNameError) as error:
            raise type(error)(resolve("polyhead.cli.parsing:with_flags")(str(error), request)) from error
    return code
