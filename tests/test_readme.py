"""The README's own commands and programs, run as they stand, but for a smaller encoder and fewer sentences."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from polyhead.data.textfile import read_lines

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def project(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpora that the README fetches, and a file to tag."""
    project = tmp_path_factory.mktemp("readme")
    (project / "corpora").symlink_to(shared / "data")
    rows = (line for _, line in read_lines(shared / "data/ud/UD_German-GSD/de_gsd-ud-dev.surface.conllu.xz"))
    words = [line.split("\t") for _, line in zip(range(300), rows, strict=False)]
    blank = ["\t".join([*row[:3], "_", *row[4:]]) if len(row) == 10 else "\t".join(row) for row in words]
    (project / "raw.conllu").write_text("\n".join(blank) + "\n\n", encoding="utf-8")
    return project


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the README's programs run, one after the other."""
    return tmp_path_factory.mktemp("programs")


def run(command: list[str] | str, project: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=project, shell=isinstance(command, str), capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def commands() -> list[str]:
    text = "".join(block for block in blocks("sh") if "make demo" not in block)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [line for line in lines if " data get " not in line]


def test_the_python_example_is_short() -> None:
    first = next(block for block in blocks("python") if ".run(" in block)
    assert len([line for line in first.splitlines() if line.strip()]) < 15


@pytest.mark.slow
def test_the_commands_run_in_their_order(project: Path, shared: Path) -> None:
    assert {command.split()[1] for command in commands()} >= {"run", "fit", "rank", "prune", "evaluate", "predict"}
    for command in commands():
        small = command.replace("xlm-roberta-base", str(shared / "models" / "mini"))
        if command.split()[1] in ("run", "fit"):
            small += " --train-limit 150 --epochs 1"
        run(small, project)
    tagged = (project / "tagged.conllu").read_text(encoding="utf-8")
    raw = (project / "raw.conllu").read_text(encoding="utf-8")
    assert [line.split("\t")[:3] for line in tagged.splitlines()] == [line.split("\t")[:3] for line in raw.splitlines()]
    assert not re.search(r"^\d+\t[^\t]+\t[^\t]+\t_\t", tagged, flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(blocks("python"))))
def test_the_programs_run(place: int, folder: Path) -> None:
    code = blocks("python")[place]
    if "from_pretrained" in code and not (folder / "runs" / "smaller").is_dir():
        pytest.skip("needs the model that the program before it saves")
    run([sys.executable, "-c", code], folder)
