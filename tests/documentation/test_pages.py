"""What pages say in passing against the code: options, commands, files, names; and the examples of how to extend polyhead."""

import ast
import importlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from conformance.scoring_case import DEAD, model_with_dead_head, tiny_encoded
from conformance.tiny import MASKS, tiny_model

import polyhead as ph
from polyhead.cli.main import COMMANDS
from polyhead.importance.method import Call
from polyhead.importance.methods import METHODS
from polyhead.learning.batching import scoring_batches
from polyhead.models.architectures import ARCHITECTURES
from polyhead.models.pruning import prune

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from guides import blocks, options_table, run_block  # noqa: E402

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLES = [DOCS / "reproduce.md", DOCS / "deployment.md", DOCS / "several_languages.md", *sorted((DOCS / "extend").glob("*.md"))]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def inline(text: str) -> list[str]:
    """What stands between backquotes outside of blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def blocks_of(kind: str, text: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


OPTIONS = {name: {"--help", *re.findall(r"^\| `(--[a-z0-9-]+)`", options_table(name), flags=re.MULTILINE)} for name in COMMANDS}


def unknown_options(text: str) -> list[str]:
    """Options between backquotes that no command has."""
    ours = [code for code in inline(text) if ".py" not in code]  # else the options of a script
    named = [option for code in ours for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", code)]
    return [option for option in named if not any(option in own for own in OPTIONS.values())]


def wrong_commands(text: str) -> Iterator[str]:
    """Commands between backquotes, and in blocks that show and do not run them, which do not exist or lack an option."""
    lines = [*inline(text), *"".join(blocks_of("text", text)).replace("\\\n", " ").splitlines()]
    for line in lines:
        if not re.match(r"(?:\S*/)?polyhead [a-z]", line):
            continue
        words = shlex.split(line)[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        is_group = any(known.startswith(f"{name} ") for known in COMMANDS)
        has_all = name in COMMANDS and {word for word in words if word.startswith("--")} <= OPTIONS[name]
        if not is_group and not has_all:
            yield line


# Packages of tools whose exports a page converts; they need not be installed.
OF_OTHERS = {"spacy"}


def missing_imports(text: str) -> Iterator[str]:
    """What Python on the page imports and is not there; Python that cannot be read raises SyntaxError."""
    for code in blocks_of("python", text):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if not there(alias.name) and alias.name not in OF_OTHERS)
            elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in OF_OTHERS:
                continue
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{a.name}" for a in node.names if not there(f"{node.module}.{a.name}"))


PACKAGE = ROOT / "src" / "polyhead"
MODULES = [path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".") for path in PACKAGE.rglob("[a-z]*.py")]
ROOMS = ["polyhead", *sorted({module.rpartition(".")[0] for module in MODULES if module.count(".") > 1})]
# What stands before the dot where a page speaks of some object, or a file's name ends so.
VARIABLES = {"config", "file", "layer", "model", "nn", "remote", "site", "spec", "task", "vllm"}
ENDINGS = {"html", "js", "json", "jsonl", "md", "py", "safetensors", "sh", "svg", "toml", "tsv", "txt", "xml"}


def missing_names(text: str) -> list[str]:
    """Dotted names, in the reference and between backquotes, that are not there, with or without polyhead and the room before."""
    named = [*re.findall(r"^::: (\S+)", text, flags=re.MULTILINE), *inline(text)]
    return [name for name in named if is_code(name) and not any(there(full) for full in spelt_out(name))]


def is_code(name: str) -> bool:
    """Whether a dotted name is one of Python, and not a file's or an attribute of some object."""
    parts = name.split(".")
    is_dotted = re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name) is not None
    return is_dotted and parts[0] not in VARIABLES and parts[-1] not in ENDINGS and not parts[0].isupper()


def spelt_out(name: str) -> list[str]:
    """What a dotted name may stand for: a class is named without its module, a module without its room or polyhead."""
    return [name, *(f"{holder}.{name}" for holder in (MODULES if name[0].isupper() else ROOMS))]


FOLDERS = ("src", "tests", "benchmarks", "recipes", "scripts")
CODE = [path.as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.[ps][yh]")]


def missing_files(text: str) -> list[str]:
    """Files of the repository named on the page that are not there; those of the package also without `src/polyhead`."""
    named = [name for code in inline(text) for name in re.findall(r"[\w/.-]+/[\w.-]+\.(?:py|toml|sh|json)\b", code)]
    known = ("src", "tests", "benchmarks", "recipes", "scripts", "importance", "data")
    homes = (ROOT, ROOT / "src" / "polyhead")
    absent = [name for name in named if name.split("/")[0] in known and not any((home / name).exists() for home in homes)]
    code = [name for text in inline(text) for name in re.findall(r"(?<![\w/.*-])[\w/-]+\.(?:py|sh)\b", text)]
    return absent + [name for name in code if name not in absent and not any(f"/{path}".endswith(f"/{name}") for path in CODE)]


FINDERS = (unknown_options, wrong_commands, missing_imports, missing_names, missing_files)
BAD = """
`--no-such-option`, `polyhead prune M --option x=3`, `polyhead nothing`, `polyhead.core.heads.Nothing`, `tests/no_such_file.py`,
`no_such.py`, `prefix.masked_logits`, `learning.shared_prefix.nothing`, `HeadMask.nothing`;
but not `learning.shared_prefix.masked_logits`, `HeadMask.full`, `Sentence.words`, `config.x`, `OUT.part`

```python
from polyhead.core.heads import Nothing
```

::: polyhead.nowhere

```text
polyhead rank M --targets x
```
"""
FOUND = {
    "unknown_options": ["--no-such-option"],
    "wrong_commands": ["polyhead prune M --option x=3", "polyhead nothing", "polyhead rank M --targets x"],
    "missing_imports": ["polyhead.core.heads.Nothing"],
    "missing_names": [
        "polyhead.nowhere",
        "polyhead.core.heads.Nothing",
        "prefix.masked_logits",
        "learning.shared_prefix.nothing",
        "HeadMask.nothing",
    ],
    "missing_files": ["tests/no_such_file.py", "no_such.py"],
}


@pytest.mark.parametrize("find", FINDERS, ids=lambda find: find.__name__)
def test_what_is_wrong_on_a_page_is_found(find: Callable[[str], Iterable[str]]) -> None:
    assert list(find(BAD)) == FOUND[find.__name__]


@pytest.mark.parametrize("find", FINDERS, ids=lambda find: find.__name__)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_on_a_page_is_wrong(path: Path, find: Callable[[str], Iterable[str]]) -> None:
    assert not list(find(text_of(path)))


def test_no_file_of_the_package_names_what_is_not_there() -> None:
    wrong = {module: missing_names(text_of(PACKAGE.parent / f"{module.replace('.', '/')}.py")) for module in MODULES}
    assert {module: names for module, names in wrong.items() if names} == {}


def there(name: str) -> bool:
    """Whether some first part of a dotted name is a module and the rest are its attributes."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None) or getattr(found, "__dataclass_fields__", {}).get(part)
        return found is not None
    return False


def test_the_encoders_that_work_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `([\w-]+)` +\| works: a row", text_of(DOCS / "models.md"), flags=re.MULTILINE)
    assert set(rows) == set(ARCHITECTURES)


def test_the_methods_that_depend_on_batches_are_named() -> None:
    said = text_of(DOCS / "faq.md").partition("attention kernel?")[2].partition("\n## ")[0]
    assert re.findall(r"`([a-z0-9-]+)`", said) == [row.name for row in METHODS.values() if not row.batch_invariant]


def test_guides_start_short() -> None:
    for path in (DOCS / "guides").glob("*.md"):
        for code in blocks_of("python", text_of(path)):
            assert len([line for line in code.splitlines() if line.strip()]) <= 15, path.name
    first = re.findall(r"```bash\n(.*?)```", text_of(DOCS / "index.md"), flags=re.DOTALL)[0]
    assert len(first.splitlines()) <= 10


def test_the_example_of_a_method_keeps_its_promises() -> None:
    scope: dict[str, object] = {}
    exec(blocks_of("python", text_of(DOCS / "extend" / "method.md"))[0], scope)
    score = scope["output_size"]
    batches = scoring_batches(tiny_encoded(), budget=40)
    one_by_one = scoring_batches(tiny_encoded(), budget=1)
    for family in ("bert", "xlm-roberta", "distilbert", "deberta-v2", "albert", "t5"):
        model = model_with_dead_head(family)
        found = score(model, batches, Call(precision="fp32")).values  # type: ignore[operator]
        assert found[DEAD.layer, DEAD.head] == 0
        assert np.count_nonzero(found) == 11
        again = score(model, one_by_one, Call(precision="fp32")).values  # type: ignore[operator]
        np.testing.assert_allclose(again, found, rtol=1e-5)
        gone = score(prune(tiny_model(family), MASKS["zero-head-layer"]), batches, Call()).values  # type: ignore[operator]
        assert np.array_equal(np.isnan(gone), ~MASKS["zero-head-layer"].keep)
        assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path: Path, tmp_path: Path) -> None:
    """Shell blocks in their order, then all Python blocks as one program: what one defines the next uses."""
    parts = list(blocks(text_of(path)))
    for kind, code in parts:
        if kind == "sh":
            run_block(kind, code, tmp_path)
    program = "\n".join(code for kind, code in parts if kind == "python")
    printed = run_block("python", program, tmp_path)
    assert printed or not program


def test_the_server_of_the_page_on_shrinking_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (own for own in blocks_of("python", text_of(DOCS / "shrink.md")) if "HTTPServer" in own)
    ph.Tagger.load("polyhead/tiny", task="pos", seed=42).save(tmp_path / "fast")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(code.replace("8000", "0").replace("server.serve_forever()", ""), scope)
    with scope["server"] as server:
        answering = Thread(target=server.handle_request)
        answering.start()
        with urlopen(f"http://127.0.0.1:{server.server_port}", b"Wo ist das Hotel ?") as answer:
            found = json.load(answer)
        answering.join()
    assert [word for word, _ in found] == ["Wo", "ist", "das", "Hotel", "?"]
