"""Renews what the guides in `docs/guides` copy from the code: option tables and the printed output of commands.

    python scripts/guides.py            # option tables
    python scripts/guides.py --outputs  # runs every ```sh and ```python block of all guides in order, in one new folder, and
                                        # writes what each ```sh block printed into the ```text block below it

Long output is shortened; a line of three dots marks what was left out.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from polyhead.cli.main import COMMANDS, resolve
from polyhead.cli.request_options import click_command

GUIDES = Path(__file__).resolve().parents[1] / "docs" / "guides"
# In reading order: later guides use the files of earlier ones.
ORDER = ("fit", "rank", "prune", "evaluate", "predict", "compare", "curve", "run", "report", "doctor", "methods", "data")
_OPTIONS = re.compile(r"<!-- options: (?P<name>[a-z ]+) -->\n.*?<!-- end of options -->", re.DOTALL)
_BLOCK = re.compile(r"```(?P<kind>sh|python)\n(?P<code>.*?)```(?P<shown>\n\n```text\n.*?```)?", re.DOTALL)
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
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
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
            text = with_options(path.read_text(encoding="utf-8"))
            if wanted.outputs:
                print(guide, flush=True)
                text = with_outputs(text, lambda kind, code: run_block(kind, code, folder))
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
