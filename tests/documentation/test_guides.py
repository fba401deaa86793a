"""The guides against the code: every command has one, option tables and commands are true, quoted messages exist, blocks run."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from polyhead.cli.main import COMMANDS, resolve
from polyhead.cli.parsing import parse
from polyhead.studies.study_file import expand_study, parse_study

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts"))

from guides import GUIDES, ORDER, STUDY_PAGE, blocks, run_block, with_keys, with_options  # noqa: E402

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SOURCE = re.sub(r'"\s*\n\s*f?"', "", "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")))


def commands(path: Path) -> list[list[str]]:
    """Every polyhead command in the page's shell blocks, as words; `…` stands for more of the same and is left out."""
    text = "".join(re.findall(r"```(?:sh|bash)\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL))
    lines = text.replace("\\\n", " ").splitlines()
    found = [shlex.split(line.partition(" > ")[0], comments=True) for line in lines if line.startswith("polyhead ")]
    return [[word for word in words[1:] if word != "…"] for words in found]


def test_every_command_has_a_guide_that_the_site_shows() -> None:
    shown = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert {*ORDER} == {name.split()[0] for name in COMMANDS} == {path.stem for path in GUIDES.glob("*.md")}
    assert all(f"{name}: guides/{name}.md" in shown for name in ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_the_tables_of_options_are_those_of_the_commands(name: str) -> None:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    assert with_options(text) == text, "run python scripts/guides.py"
    own = [command for command in COMMANDS if command.split()[0] == name]
    assert all(f"<!-- options: {command} -->" in text for command in own)


@pytest.mark.parametrize("path", [STUDY_PAGE, GUIDES / "study.md"], ids=lambda path: path.stem)
def test_the_tables_of_a_study_are_those_of_the_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert with_keys(text) == text, "run python scripts/guides.py"
    assert "| `[search]` `max_pruned` |" in STUDY_PAGE.read_text(encoding="utf-8")


def test_the_study_on_the_page_is_one() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", STUDY_PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    cells = expand_study(parse_study(text, STUDY_PAGE))
    assert len(cells) == (2 * 2 + 2) * 5 * 2


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_on_a_page_can_be_read(path: Path) -> None:
    for words in commands(path):
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        assert parse(resolve(COMMANDS[name].request), words[len(name.split()) :], name=name) is not None, words


@pytest.mark.parametrize("name", ORDER)
def test_quoted_messages_are_those_of_the_code(name: str) -> None:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8").partition("## What goes wrong")[2].partition("\n## ")[0]
    for said in re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE):
        for part in re.split(r"…|\bN\b|\d+|'[^']*'|\S+\.(?:tsv|conllu):", said):
            assert len(part.strip()) < 5 or part.strip() in SOURCE, f"{name}: no message says {part.strip()!r}"


@pytest.mark.slow
def test_all_blocks_run_in_their_order(tmp_path: Path) -> None:
    for name in ORDER:
        for kind, code in blocks((GUIDES / f"{name}.md").read_text(encoding="utf-8")):
            run_block(kind, code, tmp_path)
