"""The house rule: a file imports only from lower levels, at its top, without cycles; no file grows past 250 lines."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src" / "polyhead"

# A new file needs a level before it can be imported. A whole number is a floor of the house, the decimal a step on it.
LEVELS: dict[str, float] = {
    "errors": 0,
    "own_encoders": 0,
    "hub_ids": 0.1,
    "loader_hook": 0,
    "numerals": 0,
    "progress": 0,
    "atomic_file": 1,
    "atomic_folder": 1,
    "heads": 1,
    "plain_values": 1,
    "config": 1.1,
    "data": 1,
    "data.schemes": 1,
    "data.sentences": 1,
    "data.textfile": 1,
    "data.column_format": 1.1,
    "head_checks": 2,
    "metrics": 2,
    "model_card": 2,
    "pruning_record": 2,
    "ranking": 2,
    "combining": 2.1,
    "agreement": 2.1,
    "languages": 2.2,
    "statistics": 2,
    "store": 2,
    "tasks": 2,
    "trials": 2,
    "trial_baselines": 2.1,
    "data.columns": 2,
    "data.filling": 2,
    "data.span_labels": 2,
    "data.spans": 2.1,
    "data.token_rows": 2,
    "data.bracketed": 2.1,
    "data.conllu": 2.1,
    "data.layouts": 2.2,
    "data.trees": 2.2,
    "attention_shares": 2.3,
    "data.corpus_table": 2.3,
    "data.labels": 2.1,
    "head_rows": 2.1,
    "head_files": 2.2,
    "data.checksums": 1,
    "data.download": 1,
    "data.ledger": 1,
    "data.unpacking": 1,
    "data.homes": 2.4,
    "phrases": 1,
    "phrases.harmony": 1,
    "phrases.notation": 2.1,
    "phrases.inventory": 2.1,
    "phrases.grammar": 2.2,
    "phrases.parts": 2.2,
    "phrases.realise": 2.3,
    "phrases.generate": 2.4,
    "phrases.files": 2.5,
    "data.corpora": 3,
    "data.getting": 3.1,
    "data.references": 3.1,
    "data.sniffing": 2.1,
    "data.checking": 3.1,
    "architectures": 3,
    "checkpoint_source": 3,
    "classification_head": 3,
    "devices": 3,
    "pieces": 3,
    "encoding": 3.1,
    "batching": 3.2,
    "dropout": 4,
    "card_file": 4,
    "encoding_choice": 4,
    "gates": 4,
    "optimisation": 4,
    "predictions": 4,
    "pruning": 4,
    "seen_rows": 4,
    "training_state": 4,
    "checkpoint": 5,
    "checkpoint_loader": 5,
    "inference": 5,
    "prefix": 5,
    "training": 5,
    "importance": 5,
    "importance.scoring": 5,
    "importance.partial": 5,
    "importance.method_row": 5,
    "head_means": 5.1,
    "importance.gate_pass": 5.1,
    "importance.baselines": 5.2,
    "importance.gradient": 5.2,
    "importance.fisher": 5.2,
    "importance.integrated": 5.2,
    "importance.l0": 5.2,
    "importance.weight_gradient": 5.2,
    "importance.relevance": 5.2,
    "importance.relevance_rules": 5.1,
    "importance.attention_weights": 5.1,
    "importance.attention_shape": 5.2,
    "importance.ablation": 5.2,
    "importance.shapley_walks": 5.1,
    "importance.shapley_estimate": 5.15,
    "importance.shapley": 5.2,
    "importance.method_table": 5.25,
    "importance.methods": 5.3,
    "word_attention": 5.2,
    "head_effects": 5.2,
    "refit": 5.1,
    "repair": 5.2,
    "masked_evaluation": 5.1,
    "curves": 5.2,
    "oracle": 5.2,
    "checks": 5.31,
    "checks.finding": 5.31,
    "checks.state": 5.31,
    "checks.subject": 5.32,
    "checks.differences": 5.35,
    "checks.gating": 5.35,
    "checks.scoring": 5.35,
    "doctor": 5.4,
    "report": 6,
    "studies": 6.1,
    "cli": 7,
}
# All files of these rooms share the room's level and may use each other, without cycles.
ROOMS = ("report", "studies", "cli")
# May import on demand: the lazy package root, the command table, and the hook that Transformers' import triggers.
DEFERRED = {"polyhead", "polyhead.cli.main", "polyhead.loader_hook"}
TORCH_FREE_BELOW = 3


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def room(module: str) -> str:
    """The folder of a file, for those folders that have one level; else empty."""
    first = module.removeprefix("polyhead").lstrip(".").partition(".")[0]
    return first if first in ROOMS else ""


def level(module: str) -> float:
    name = module.removeprefix("polyhead").lstrip(".")
    return LEVELS[room(module) or name] if name else 99


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


@pytest.mark.parametrize("name", FILES)
def test_imports_point_down(name: str) -> None:
    tree = ast.parse(FILES[name].read_text())
    for target in own(imports(tree)) - {name, "polyhead"}:
        if name in DEFERRED:
            continue
        if room(name) and room(name) == room(target):  # cycles are ruled out below
            continue
        assert level(target) < level(name), f"{name} (level {level(name)}) imports {target} (level {level(target)})"


def test_every_level_belongs_to_a_file() -> None:
    assert {f"polyhead.{name}" for name in LEVELS} == {name for name in FILES if not room(name)} - {"polyhead"} | {
        f"polyhead.{name}" for name in ROOMS
    }


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
            optional_extra = name.startswith("polyhead.report.") and not own(imports(node))
            assert id(node) in allowed or optional_extra, f"{FILES[name]}:{node.lineno}: import below the top of the file"


@pytest.mark.parametrize("name", [name for name in FILES if level(name) < TORCH_FREE_BELOW])
def test_low_levels_stay_free_of_torch(name: str) -> None:
    if name in DEFERRED:
        return
    heavy = {"torch", "transformers", "tokenizers", "accelerate"}
    assert not {found.partition(".")[0] for found in imports(ast.parse(FILES[name].read_text()))} & heavy


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_at_most_250_lines(name: str) -> None:
    if name not in ("polyhead.data.corpus_table", "polyhead.importance.method_table"):  # tables of data
        assert len(FILES[name].read_text().splitlines()) <= 250


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
