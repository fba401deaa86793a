"""Compares the code of every stage of a run (`polyhead.studies.stages`) with what is recorded in tests/studies/stage_hashes.json.

Comments, docstrings and formatting do not count. Where the code of a stage has changed, either its numbers have too: then raise
its version in the table and run this script. Or they have not: then run it with `--neutral`. Commit the file with the change.
"""

import argparse
import ast
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE, RECORDED = ROOT / "src" / "polyhead", ROOT / "tests" / "studies" / "stage_hashes.json"

from polyhead.studies.stages import STAGES, Stage  # noqa: E402


def main() -> int:
    """0 where the record now says what the code is; 1 where a stage changed and nobody said whether its numbers did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neutral", action="store_true", help="the changed code gives the same numbers as before")
    neutral = parser.parse_args().neutral
    recorded = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.is_file() else {}
    faults = [] if neutral else undeclared(recorded)
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    RECORDED.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
    return 0


def current() -> dict[str, dict[str, Any]]:
    """Version and hash of every stage as the code is."""
    return {name: {"version": stage.version, "sha256": code_hash(stage)} for name, stage in STAGES.items()}


def undeclared(recorded: dict[str, dict[str, Any]]) -> list[str]:
    """One line for each stage whose code is not the recorded one although its version is."""
    return [
        f"stage {name!r}: its code has changed and its version is still {own['version']}: raise it in studies/stages.py if "
        "numbers change, and run python scripts/stages.py, with --neutral if they do not"
        for name, own in current().items()
        if name in recorded and own["sha256"] != recorded[name]["sha256"] and own["version"] <= recorded[name]["version"]
    ]


def code_hash(stage: Stage, source: Path = SOURCE) -> str:
    """sha256 over the code of the stage's files, by their names.

    Raises:
        FileNotFoundError: A pattern of the table matches no file.
    """
    digest = hashlib.sha256()
    for pattern in stage.files:
        paths = sorted(source.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"studies/stages.py: {pattern} matches no file under {source}")
        for path in paths:
            digest.update(f"{path.relative_to(source).as_posix()} {plain_code(path.read_text(encoding='utf-8'))}\n".encode())
    return digest.hexdigest()


def plain_code(text: str) -> str:
    """The code without comments, docstrings and formatting; the same under every version of Python."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return json.dumps(_plain(tree))


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain(node: object) -> object:
    """A tree of lists; fields that are empty are left out, because newer versions have more of them."""
    if isinstance(node, ast.AST):
        fields = [[name, _plain(value)] for name, value in ast.iter_fields(node) if value is not None and value != []]
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return repr(node)


if __name__ == "__main__":
    sys.exit(main())
