"""`polyhead doctor` as a user calls it: the table, the document, the exit code."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cli.cases import refused

from polyhead.doctor import examine as doctor
from polyhead.importance.methods import METHODS
from polyhead.learning import inference

COMPILED = "a compiled model obeys the mask"


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes seconds; tests/test_doctor.py does it."""
    monkeypatch.setattr(doctor.examine, "__kwdefaults__", doctor.examine.__kwdefaults__ | {
        "checks": tuple(check for check in doctor.CHECKS if check.name != COMPILED)
    })  # fmt: skip


def arguments(model: Path, treebank: Path) -> list[object]:
    return ["doctor", model, "--task", "pos", "--data", treebank / "dev.conllu"]


def test_all_is_well(cli: Callable, tagger: Path, treebank: Path) -> None:
    result = cli(*arguments(tagger, treebank))
    assert result.code == 0, result.out
    assert "| check | result | value | allowed |" in result.out
    assert "| a dead head scores 0 | ok | 0 | 0.0001 |" in result.out
    assert (
        f"{len(doctor.CHECKS) - 1} checks: {len(doctor.CHECKS) - 2} ok, 1 not checked; method gradient, 6 sentences" in result.out
    )
    assert "FAILED" not in result.out


def test_one_document(cli: Callable, tagger: Path, treebank: Path) -> None:
    result = cli(*arguments(tagger, treebank), "--json", "--limit", 4, "--seed", 3, "--method", "weight-gradient-released")
    document = result.json
    assert result.code == 0
    assert (document["method"], document["seed"], document["n_failed"]) == ("weight-gradient-released", 3, 0)
    assert document["data"]["sentences"] == 4
    assert document["new_classifier"] is False
    by_name = {check["name"]: check for check in document["checks"]}
    assert list(by_name) == [check.name for check in doctor.CHECKS if check.name != COMPILED]
    dead = by_name["a dead head scores 0"]
    assert dead["result"] == "not promised"
    assert dead["value"] > dead["allowed"]


def test_a_failed_check_is_explained_and_exits_with_1(
    cli: Callable, tagger: Path, treebank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "gated", lambda *_, **__: contextlib.nullcontext())
    result = cli(*arguments(tagger, treebank))
    assert result.code == 1
    assert "| the mask is active in predict and evaluate | FAILED | " in result.out
    assert result.out.count("FAILED: ") == 1
    assert "changes nothing in predict and evaluate; scores under a mask are those of another model" in result.prose
    assert ", 1 FAILED, 1 not checked; " in result.out
    document = cli(*arguments(tagger, treebank), "--json")
    assert (document.code, document.json["n_failed"]) == (1, 1)


def test_a_scorer_that_raises_is_a_failure_and_no_crash(
    cli: Callable, tagger: Path, treebank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("nothing\nto divide")

    monkeypatch.setitem(METHODS, "gradient", replace(METHODS["gradient"], score=broken))
    result = cli(*arguments(tagger, treebank), "--json")
    assert result.code == 1
    (dead,) = [check for check in result.json["checks"] if check["name"] == "a dead head scores 0"]
    assert dead["value"] is None
    assert dead["detail"] == "ZeroDivisionError: nothing to divide"


def test_a_pruned_model_and_an_encoder(cli: Callable, tagger: Path, encoder: Path, treebank: Path, tmp_path: Path) -> None:
    assert cli("prune", tagger, "--heads", "1.2", "0.0", "0.1", "0.2", "0.3", "--out", tmp_path / "p").code == 0
    result = cli(*arguments(tmp_path / "p", treebank))
    assert result.code == 0, result.out
    result = cli(*arguments(encoder, treebank), "--json")
    assert result.json["new_classifier"] is True
    assert "has no classifier for pos" in result.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--task", "pso"], ["task 'pso'"]),
        (["--method", "magic"], ["'magic'", "gradient"]),
        (["--precision", "bf16"], ["--precision bf16", "fp32", "leave it out"]),
        (["--data", "nothing.conllu"], ["nothing.conllu: no such file"]),
        (["--limit", "0"], ["--limit"]),
        (["--option", "n_lowest=3"], ["gradient has no option n_lowest; it has none"]),
        (["--method", "shapley", "--option", "max_passes=1"], ["max_passes 1: on this model"]),
    ],
)
def test_bad_input_is_refused(cli: Callable, tagger: Path, treebank: Path, more: list[str], said: list[str]) -> None:
    refused(cli(*arguments(tagger, treebank), *more), *said)


def test_text_without_labels_is_refused(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.conllu"
    lines = [line.split("\t") for line in (treebank / "dev.conllu").read_text().splitlines()]
    bare.write_text("\n".join("\t".join([*line[:3], "_", *line[4:]]) if len(line) > 4 else line[0] for line in lines) + "\n")
    result = cli(*arguments(tagger, treebank), "--data", bare)
    assert result.code == 2
    assert "label" in result.err.lower() or "UPOS" in result.err


def test_nothing_is_written_beside_the_model(cli: Callable, tagger: Path, treebank: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tagger.iterdir()}
    assert cli(*arguments(tagger, treebank)).code == 0
    assert {path: path.stat().st_mtime_ns for path in tagger.iterdir()} == before
