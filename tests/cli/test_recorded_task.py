"""`--task` may be left out of every command on a model that records its task."""

import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from cli.cases import refused

from polyhead.cli.main import COMMANDS, resolve
from polyhead.models.encoding_choice import EncodingChoice

CHOICE = EncodingChoice(anchor="text", max_length=64, precision="fp32", words="surface", task="pos")
ON_DATA = {
    "rank": ("--method", "magnitude"),
    "curve": ("--method", "magnitude", "--max-pruned", 1, "--random-seeds", 1),
    "doctor": ("--method", "magnitude", "--limit", 2),
}


@pytest.fixture(scope="module")
def recorded(tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(tagger, tmp_path_factory.mktemp("recorded") / "tagger")
    CHOICE.write(folder)
    return folder


def on_text(command: str, model: Path, treebank: Path) -> list[object]:
    text = treebank / "dev.conllu"
    if command == "evaluate":
        return [command, model, "--target", f"en={text}", "--split", "test"]
    return [command, model, text] if command == "predict" else [command, model, "--data", text, *ON_DATA[command]]


@pytest.mark.parametrize("command", [*ON_DATA, "evaluate", "predict"])
def test_the_recorded_task_is_used_and_noted(cli: Callable, recorded: Path, tagger: Path, treebank: Path, command: str) -> None:
    found = cli(*on_text(command, recorded, treebank), "--json")
    assert found.code == 0, found.err
    assert found.json["task"] == "pos"
    assert found.err.splitlines().count(f"note: task pos, as recorded in {recorded}") == 1
    unrecorded = cli(*on_text(command, tagger, treebank))
    refused(unrecorded, f"{tagger}: does not record its task; give --task, one of pos, ner, slots, nli, classification, mlm")


def test_the_task_given_comes_first(cli: Callable, recorded: Path, treebank: Path, tmp_path: Path) -> None:
    given = cli(*on_text("evaluate", recorded, treebank), "--task", "pos")
    assert (given.code, "as recorded" in given.err) == (0, False)
    (tmp_path / "words").write_text("the\ndog\n", encoding="utf-8")
    refused(cli("predict", recorded, tmp_path / "words", "--task", "ner"), "predicts X VERB", "task ner needs O and B-TYPE")


def test_shrink_takes_it_too(cli: Callable, recorded: Path) -> None:
    done = cli("shrink", recorded, "de=absent.conllu", "--speedup", 2, "--dry-run")
    refused(done, "absent.conllu: no such file")
    assert f"note: task pos, as recorded in {recorded}\n" in done.err


def test_a_model_that_is_not_there_is_not_said_to_record_nothing(cli: Callable, treebank: Path, tmp_path: Path) -> None:
    refused(cli(*on_text("evaluate", tmp_path / "none", treebank)), f"{tmp_path}/none: no such folder")


def test_no_command_on_a_model_requires_a_task() -> None:
    asks = []
    for name, command in COMMANDS.items():
        default = {field.name: field.default for field in fields(resolve(command.request))}
        if {"model", "task"} <= default.keys():
            asks.append(name)
            assert default["task"] is None, name
    assert asks == ["rank", "shrink", "evaluate", "predict", "export", "curve", "doctor"]
