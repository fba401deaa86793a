"""The order of the rooms: a file imports only from lower rooms and from its own, at its top, without a circle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src" / "polyhead"

# Rooms side by side (`|`) do not import one another.
ORDER = "core < data < models < learning < importance | selection | compression < report < doctor < studies < cli"
FLOORS = [floor.split(" | ") for floor in ORDER.split(" < ")]
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# A page is made of records: what scores heads or repairs models is none of its business.
NEVER = {("report", "importance"), ("report", "compression")}
# May import on demand: the lazy package root, the command table, and the hook that Transformers' import triggers.
DEFERRED = {"polyhead", "polyhead.cli.main", "polyhead.models.loader_hook"}
# Use packages of an extra, imported where they are used.
EXTRAS = ("polyhead.report.", "polyhead.data.arrow_tables", "polyhead.studies.ray_crew")
TORCH_FREE = ("core", "data")
TABLES = {"polyhead.data.corpus_table", "polyhead.importance.table", "polyhead.models.architectures"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def room(module: str) -> str:
    """The room of a module; empty for the package itself."""
    return [*module.split("."), ""][1]


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own(names: set[str]) -> set[str]:
    """Names inside the package, cut back to the module that holds them."""
    found = set()
    for name in names:
        if name == "polyhead" or name.startswith("polyhead."):
            while name not in FILES:
                name = name.rpartition(".")[0]
            found.add(name)
    return found


def graph() -> dict[str, set[str]]:
    return {name: own(imports(ast.parse(path.read_text()))) - {name} for name, path in FILES.items()}


def test_every_file_is_in_a_room() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]
    assert {room(name) for name in FILES} - {""} == set(FLOOR)


def test_every_room_says_what_is_in_it() -> None:
    for name in FLOOR:
        text = ast.get_docstring(ast.parse((ROOT / name / "__init__.py").read_text())) or ""
        assert "Imports" in text, f"{name}/__init__.py should say what is in the room and what it may import"


@pytest.mark.parametrize("name", [name for name in FILES if name not in DEFERRED])
def test_imports_point_down(name: str) -> None:
    here = room(name)
    for target in own(imports(ast.parse(FILES[name].read_text()))) - {name, "polyhead"}:
        there = room(target)
        if there != here:
            assert FLOOR[there] < FLOOR[here], f"{name} imports {target}: {here} may not import {there} ({ORDER})"
            assert (here, there) not in NEVER, f"{name} imports {target}: {here} may not import {there}"


def test_no_import_cycles() -> None:
    edges = {name: targets for name, targets in graph().items() if name not in DEFERRED}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for target in sorted(edges.get(name, ())):
                visit(target, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("name", FILES)
def test_imports_stand_at_the_top(name: str) -> None:
    if name in DEFERRED:
        return
    tree = ast.parse(FILES[name].read_text())
    top = [node for node in tree.body if isinstance(node, ast.If | ast.Try)]
    allowed = {id(inner) for outer in (tree, *top) for inner in ast.iter_child_nodes(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            optional_extra = name.startswith(EXTRAS) and not own(imports(node))
            assert id(node) in allowed or optional_extra, f"{FILES[name]}:{node.lineno}: import below the top of the file"


@pytest.mark.parametrize("name", [name for name in FILES if room(name) in TORCH_FREE])
def test_low_rooms_stay_free_of_torch(name: str) -> None:
    heavy = {"torch", "transformers", "tokenizers", "accelerate"}
    assert not {found.partition(".")[0] for found in imports(ast.parse(FILES[name].read_text()))} & heavy


@pytest.mark.parametrize("name", [name for name in FILES if name not in TABLES])
def test_a_file_holds_one_idea(name: str) -> None:
    """About 250 lines is where to think of two files; this is where there certainly are two."""
    assert len(FILES[name].read_text().splitlines()) <= 350


def test_there_is_no_utils() -> None:
    assert not [name for name in FILES if name.rpartition(".")[2] in {"utils", "util", "helpers", "common", "misc"}]


@pytest.mark.parametrize("code", ["import polyhead", "from polyhead.cli.main import main; main(['--help'])"])
def test_help_needs_no_heavy_import(code: str) -> None:
    script = f"""
import sys
try:
    {code.replace("; ", chr(10) + "    ")}
except SystemExit:
    pass
heavy = {{"torch", "scipy", "sklearn", "transformers"}} & set(sys.modules)
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
