"""`fit --elastic`, and what `shrink` makes of its model: any speed, without a search and without training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.cases import fit_arguments, refused
from studies.shrink_case import as_machine, smaller_table

from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_saved
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import neuron_mask
from polyhead.studies import elastic

TABLE = smaller_table(batch=32, length=64)
SHAPE = ("--batch", 32, "--length", 64)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose times are those of the table."""
    as_machine(TABLE, monkeypatch)


def test_any_speed_is_taken_from_the_model(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    said = cli(*fit_arguments(tagger, treebank, whole), "--elastic", *SHAPE, "--json")
    assert said.code == 0, said.err
    found = said.json["elastic"]
    assert found["speedup"] == 3.0
    assert found["reached"] >= 3.0
    assert found["plans"][0]["milliseconds"] == 13.0
    assert found["plans"][-1]["milliseconds"] == pytest.approx(13.0 / found["reached"])
    assert [path.name for path in tmp_path.iterdir()] == ["whole"], "no unfinished work is left"
    choice = EncodingChoice.read(whole)
    assert choice is not None
    assert choice.plans is not None
    assert choice.plans.n == len(found["plans"])
    assert head_mask(load_saved(whole)).n_pruned == 0
    dev = (f"en={treebank}/dev.conllu", f"de={treebank}/test.conllu")
    fast = tmp_path / "fast"
    said = cli("shrink", whole, *dev, "--length", 64, "--max-loss", 100, "--speedup", 2, "--out", fast)
    assert said.code == 0, said.err
    assert "one that the model was trained under: nothing was searched or repaired" in said.prose
    model = load_saved(fast)
    counts = [*zip(head_mask(model).keep.sum(axis=1).tolist(), neuron_mask(model).counts, strict=True)]
    assert TABLE.predict(counts) <= 6.5
    assert "one of the plans that the model was trained under" in (fast / "README.md").read_text(encoding="utf-8")
    refused(
        cli("shrink", whole, *dev, "--length", 64, "--speedup", 12, "--out", tmp_path / "x"),
        "--speedup = 12",
        "--elastic --speedup 12",
    )
    held = json.loads((whole / "polyhead.json").read_text())
    held["plans"]["n"] = "many"
    (whole / "polyhead.json").write_text(json.dumps(held))
    refused(cli("shrink", whole, *dev, "--speedup", 2, "--out", tmp_path / "x"), "polyhead.json", "plans.n = 'many'")


def test_a_stopped_command_continues_with_the_same_weights(
    cli: Callable, tagger: Path, treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = fit_arguments(tagger, treebank, tmp_path / "whole")
    assert cli(*arguments, "--elastic", *SHAPE).code == 0
    real, calls = elastic.elastic_plans, []

    def stopped(*given: Any, **named: Any) -> Any:
        calls.append(real(*given, **named))
        raise KeyboardInterrupt

    monkeypatch.setattr("polyhead.cli.fit.elastic_plans", stopped)
    again = [*arguments[:-1], tmp_path / "again"]
    assert cli(*again, "--elastic", *SHAPE).code == 130
    assert {path.name for path in tmp_path.glob("again*")} == {"again.partial", "again.plans.partial"}
    monkeypatch.setattr("polyhead.cli.fit.elastic_plans", real)
    assert cli(*again, "--elastic", *SHAPE).code == 0
    for name in ("model.safetensors", "polyhead.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_distillation_says_its_budget_first_and_leaves_one_folder(
    cli: Callable, tagger: Path, treebank: Path, tmp_path: Path
) -> None:
    dev = (f"en={treebank}/dev.conllu", f"de={treebank}/test.conllu")
    text = (f"en={treebank}/train.conllu", f"de={treebank}/train.conllu")
    asked = ["shrink", tagger, *dev, "--task", "pos", "--length", 64, "--max-loss", 100, "--speedup", 2, "--keep", "vocabulary"]
    said = cli(*asked, "--distil", 0.001, "--text", *text, "--out", tmp_path / "fast", "--json")
    assert said.code == 0, said.err
    assert (
        "note: distillation takes 0.001 processor minutes, after the search and the repair, and learns from text in en, de"
        in said.err
    )
    found = said.json["distilled"]
    assert found["steps"] >= 1
    assert found["minutes"] == 0.001
    assert not said.json["trained_plan"]
    assert [path.name for path in tmp_path.iterdir()] == ["fast"]
    refused(cli(*asked, "--distil", 1, "--out", tmp_path / "x"), "--distil = 1: no text of en to learn from; give --text en=FILE")
    refused(cli(*asked, "--distil", -1, "--out", tmp_path / "x"), "--distil = -1")


def test_bad_input_is_one_line(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    arguments = fit_arguments(tagger, treebank, tmp_path / "x")
    refused(cli(*arguments, "--elastic", "--nested", 2), "--elastic and --nested 2: each decides what is masked")
    refused(cli(*arguments, "--speedup", 2), "go with --elastic; add it, or leave them out")
    refused(cli(*arguments, "--elastic", "--speedup", 40, *SHAPE), "--speedup = 40: without all its heads and neurons")
    refused(cli(*arguments, "--elastic", "--taught", 2), "--taught = 2")
    no_dev = [f"en={treebank}/train.conllu" if "=" in str(a) else a for a in arguments]
    refused(cli(*no_dev, "--elastic"), "--elastic: ranks the heads and neurons on dev, and no source has a dev split")
    assert list(tmp_path.iterdir()) == []
