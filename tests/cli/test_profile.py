"""`polyhead profile`: what it prints, what it keeps, and one line for bad input; how fast this machine is does not matter."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cli.cases import refused
from conformance.tiny import tiny_model

from polyhead.cli import profile
from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_check import check_plans
from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.timing import Timer
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models import graphs
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Few turns, and a cache of the test's own."""
    monkeypatch.setenv("POLYHEAD_CACHE", str(tmp_path / "cache"))
    fast = Timer(least=1, most=1)
    monkeypatch.setattr(profile, "cached_latency", partial(cached_latency, timer=fast))
    monkeypatch.setattr(profile, "check_plans", partial(check_plans, timer=fast))
    return tmp_path / "cache" / "latency"


def test_the_table_its_ceilings_and_plans(cli, tagger: Path, quick: Path) -> None:
    size = ("--batch", 2, "--length", 8, "--threads", 1)
    done = cli("profile", tagger, *size, "--check", 2, "--seed", 3)
    assert done.code == 0, done.err
    assert "2 layers of 4 heads and 32 neurons" in done.out
    assert "## torch: 2 x 8 subwords, sdpa," in done.out
    for row in ("| attention |", "| rest |", "| half of the heads |", "| all heads and neurons |", "| 4 |", "| 32 |"):
        assert row in done.out
    assert "| random plan | heads | neurons | predicted ms | measured ms | error |" in done.out
    assert len([*quick.glob("*.json")]) == 1
    again = cli("profile", tagger, *size, "--json")
    (found,) = again.json["tables"]
    assert (again.json["layers"], again.json["heads"], again.json["neurons"]) == (2, 4, 32)
    assert sum(found["parts_ms"].values()) == pytest.approx(found["full_ms"])
    assert found["checks"] == []
    ceilings = {row["plan"]: row for row in found["ceilings"]}
    assert ceilings["all heads and neurons"]["ms"] == pytest.approx(found["fixed"])
    assert all(row["speed_up"] is None or row["speed_up"] >= 1 for row in ceilings.values())
    anew = cli("profile", tagger, *size, "--json", "--again").json["tables"][0]
    assert anew["points"] != found["points"]


def test_a_pruned_model_is_placed_in_the_table_of_its_shape(cli, tmp_path: Path, quick: Path) -> None:
    model = tiny_model("bert")
    (tmp_path / "whole").mkdir()
    model.save_pretrained(tmp_path / "whole")
    neurons = NeuronMask.full(3, model.config.intermediate_size)
    prune(model, HeadMask(np.arange(4) < np.ones((3, 1))), neurons=neurons)
    save_pruned(model, tmp_path / "pruned")
    size = ("--batch", 2, "--length", 8, "--threads", 1, "--json")
    whole = cli("profile", tmp_path / "whole", *size).json["tables"][0]
    pruned = cli("profile", tmp_path / "pruned", *size).json["tables"][0]
    assert pruned.pop("model_ms") <= whole["full_ms"]
    assert pruned == whole
    assert len([*quick.glob("*.json")]) == 1
    said = cli("profile", tmp_path / "pruned", *size[:-1])
    assert "this model, pruned already:" in said.out


def test_a_table_is_written_for_other_tools(cli, tagger: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "table.json"
    done = cli("profile", tagger, "--batch", 1, "--length", 8, "--threads", 1, "--precision", "fp32", "--out", out)
    assert done.code == 0, done.err
    assert LatencyTable.read(out).n_heads == 4
    assert json.loads(out.read_text(encoding="utf-8"))["precision"] == "fp32"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch", 0), "--batch = 0: should be at least 1"),
        (("--length", 71), "--length = 71: this model reads at most 68 subwords"),
        (("--batch", 10**9), "--batch = 1000000000: with 64 subwords in a row one batch needs about"),
        (("--backend", "tensorrt"), "--backend = 'tensorrt': should be 'torch', 'onnxruntime' or 'onnxruntime-int8'"),
        (("--backend", "torch", "onnxruntime", "--out", "x.json"), "--out x.json: one file holds one table"),
        (("--out", "x.txt"), "--out x.txt: expected a name that ends in .json"),
        (("--check", -1), "--check = -1: should be at least 0"),
        (("--threads", 10**6), "this machine has"),
    ],
)
def test_bad_input_is_one_line_and_keeps_nothing(cli, tagger: Path, quick: Path, options: tuple, said: str) -> None:
    refused(cli("profile", tagger, "--length", 64, *options), said)
    assert not quick.exists()


def test_a_backend_without_its_package_is_refused_before_the_model_is_loaded(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers.exporters", reason="Transformers has exporters from 5.14 on")
    there = graphs.find_spec
    monkeypatch.setattr(graphs, "find_spec", lambda name: None if name == "onnxruntime" else there(name))
    refused(cli("profile", tmp_path / "absent", "--backend", "torch", "onnxruntime-int8"), "needs onnxruntime", "pip install")


def test_disturbed_measurements_are_noted(cli, tagger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_NOISY", -1.0)
    done = cli("profile", tagger, "--batch", 1, "--length", 8, "--threads", 1)
    assert done.code == 0
    assert "other work disturbed this measurement" in done.err
