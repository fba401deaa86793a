"""Renews what the guides in `docs/guides` copy from the code: option tables and the printed output of commands.

    python scripts/guides.py            # option tables, and the tables of keys and presets of studies
    python scripts/guides.py --outputs  # runs every ```sh and ```python block of all guides in order, in one new folder, and
                                        # writes what each ```sh block printed into the ```text block below it

Long output is shortened; a line of three dots marks what was left out.
"""

import argparse
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from polyhead.cli.main import COMMANDS, resolve
from polyhead.cli.request_options import click_command, hints_of
from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.studies.study_file import StudyHead
from polyhead.studies.study_grid import Grid, filled
from polyhead.studies.study_presets import STUDIES

GUIDES = Path(__file__).resolve().parents[1] / "docs" / "guides"
# In reading order: later guides use the files of earlier ones.
ORDER = (
    "fit",
    "rank",
    "prune",
    "trim",
    "profile",
    "shrink",
    "evaluate",
    "predict",
    "export",
    "compare",
    "curve",
    "run",
    "report",
    "study",
    "doctor",
    "methods",
    "data",
)
_OPTIONS = re.compile(r"<!-- options: (?P<name>[a-z ]+) -->\n.*?<!-- end of options -->", re.DOTALL)
_BLOCK = re.compile(r"```(?P<kind>sh|python)\n(?P<code>.*?)```(?P<shown>\n\n```text\n.*?```)?", re.DOTALL)
_PARTS = re.compile(r"<!-- (?P<name>keys|presets) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)
STUDY_PAGE = GUIDES.parent / "studies.md"
_MOST_LINES = 26


def options_table(name: str) -> str:
    """The options of a command as Markdown, in the order of its help."""
    rows = []
    for parameter in click_command(resolve(COMMANDS[name].request), name).params:
        if parameter.name == "help":
            continue
        is_argument = not parameter.opts[0].startswith("-")
        name_, value = (parameter.metavar, "") if is_argument else (parameter.opts[0], parameter.metavar or "")
        default = "required" if parameter.required else _default(parameter)
        rows.append(f"| `{name_}` | {_value(value)} | {default} | {_escaped(parameter.help or '')} |")
    return "\n".join(["| option | value | default | what it does |", "|:--|:--|:--|:--|", *rows])


def _value(metavar: str) -> str:
    return " or ".join(f"`{part}`" for part in metavar.split("|")) if metavar else ""


def _default(parameter: Any) -> str:
    value = parameter.default
    if isinstance(shown := getattr(parameter, "show_default", None), str):
        return shown
    return "" if value is None or value is False or value in ((), []) or callable(value) else f"`{value}`"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def keys_table() -> str:
    """The keys of a study file as Markdown."""
    rows = ["| key | value | default | what it does |", "|:--|:--|:--|:--|"]
    for prefix, model in (("", StudyHead), ("", Grid), ("`[search]` ", SearchSpec), ("`[train]` ", TrainSpec)):
        for name, hint, default in hints_of(model):
            said = next(
                (extra.description for extra in get_args(hint) if isinstance(extra, FieldInfo) and extra.description), None
            )
            if said is None or (model is Grid and name == "name"):
                continue
            listed = "list of " if any(get_origin(part) is tuple for part in _inside(hint)) else ""
            choices = next((get_args(part) for part in _inside(hint) if get_origin(part) is Literal), ())
            kinds = {
                int: "numbers" if listed else "a number",
                float: "a number",
                bool: "true or false",
                str: "names" if listed else "text",
            }
            value = ", ".join(f"`{choice}`" for choice in choices) or next(kinds[part] for part in _inside(hint) if part in kinds)
            rows.append(f"| {prefix}`{name}` | {listed}{value} | {_key_default(name, default)} | {_escaped(said)} |")
    rows.append("| `[[grid]]` | tables |  | A grid: any of these keys but `data`, and a `name` shown in tables. |")
    return "\n".join(rows)


def presets_table() -> str:
    """The presets of studies as rows of Markdown."""
    return "\n".join(f"| `{name}` | {_escaped(what)} |" for name, what in STUDIES.items())


def with_keys(text: str) -> str:
    """The page with its tables of a study's keys and presets renewed."""
    made = {"keys": keys_table, "presets": presets_table}
    return _PARTS.sub(lambda found: f"<!-- {found['name']} -->\n{made[found['name']]()}\n<!-- end of {found['name']} -->", text)


def _inside(hint: Any) -> Iterator[Any]:
    """A type and all types that it is made of."""
    yield hint
    if get_origin(hint) is not Literal:
        for part in get_args(hint):
            yield from _inside(part)


def _key_default(name: str, value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "the protocol's" if name in filled({}) else "required"
    if value is None or value is False or value == ():
        return ""
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def with_options(text: str) -> str:
    """The guide with its option tables renewed."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- options: {found['name']} -->\n{options_table(found['name'])}\n<!-- end of options -->"

    return _OPTIONS.sub(table, text)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Kind and code of every block to run."""
    for found in _BLOCK.finditer(text):
        yield found["kind"], found["code"]


def run_block(kind: str, code: str, folder: Path) -> str:
    """The block's stdout when run in the folder.

    Raises:
        RuntimeError: The block fails.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100", "POLYHEAD_CACHE": str(folder / "cache")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = ["sh", "-e", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{code}\nexit {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def with_outputs(text: str, run: Callable[[str, str], str]) -> str:
    """The guide with the output of every shell block that shows output renewed."""

    def renewed(found: re.Match[str]) -> str:
        printed = run(found["kind"], found["code"])
        shown = f"\n\n```text\n{_cut(printed)}\n```" if found["shown"] else ""
        return f"```{found['kind']}\n{found['code']}```{shown}"

    return _BLOCK.sub(renewed, text)


def _cut(printed: str) -> str:
    lines = [line.rstrip() if len(line) <= 150 else f"{line[:147]}..." for line in printed.rstrip().splitlines()]
    if len(lines) <= _MOST_LINES:
        return "\n".join(lines)
    return "\n".join([*lines[: _MOST_LINES - 6], "...", *lines[-5:]])


def main() -> None:
    """Renew the guides named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("guides", nargs="*", default=list(ORDER), metavar="GUIDE", help="only these guides")
    parser.add_argument("--outputs", action="store_true", help="also run every block (minutes)")
    parser.add_argument("--folder", type=Path, help="run the blocks here and keep their files")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = wanted.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for guide in wanted.guides:
            path = GUIDES / f"{guide}.md"
            text = with_keys(with_options(path.read_text(encoding="utf-8")))
            if wanted.outputs:
                print(guide, flush=True)
                text = with_outputs(text, lambda kind, code: run_block(kind, code, folder))
            path.write_text(text, encoding="utf-8")
    STUDY_PAGE.write_text(with_keys(STUDY_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
