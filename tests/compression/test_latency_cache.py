"""What is kept of a latency table: for which models it serves, and what happens to damaged and unfinished files."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from compression.latency_case import FAST, SIZE
from conformance.tiny import tiny_model
from watch import Watch, interrupt

from polyhead.compression import latency
from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_cache import cache_folder, cache_key
from polyhead.compression.latency_points import conditions_of
from polyhead.core.records import record_bytes


def test_what_was_measured_is_kept_for_every_model_of_the_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_latency(tiny_model("bert"), **SIZE, folder=tmp_path, timer=FAST)
    (path,) = tmp_path.glob("*.json")
    monkeypatch.setattr(latency, "sized_model", None)  # nothing is built any more
    assert cached_latency(tiny_model("bert", seed=1, n_labels=3), **SIZE, folder=tmp_path, timer=FAST) == first
    monkeypatch.undo()
    for other in ({"batch": 1}, {"length": 9}):
        cached_latency(tiny_model("bert"), **{**SIZE, **other}, folder=tmp_path, timer=FAST)
    cached_latency(tiny_model("bert", layers=2), **SIZE, folder=tmp_path, timer=FAST)
    cached_latency(tiny_model("bert", kernel="eager"), **SIZE, folder=tmp_path, timer=FAST)
    assert len([*tmp_path.glob("*.json")]) == 5
    again = cached_latency(tiny_model("bert"), **SIZE, again=True, folder=tmp_path, timer=FAST)
    assert again.points != first.points
    assert path.exists()


@pytest.mark.parametrize("how", ["half", "changed", "other values"])
def test_a_damaged_file_is_measured_anew_with_a_line(how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model("bert", layers=1)
    cached_latency(model, **SIZE, folder=tmp_path, timer=FAST)
    (path,) = tmp_path.glob("*.json")
    text = path.read_text(encoding="utf-8")
    if how == "other values":
        path.write_bytes(record_bytes({"points": [{"heads": "many"}]}, schema=1))
    else:
        path.write_text(text[: len(text) // 2] if how == "half" else text.replace('"heads": 4', '"heads": 3'), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        cached_latency(model, **SIZE, folder=tmp_path, timer=FAST)
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [str(path)]
    assert "its work is done again" in caplog.text
    assert json.loads(path.read_text(encoding="utf-8"))["points"]


def test_an_interrupt_keeps_points_and_says_where(tmp_path: Path) -> None:
    model = tiny_model("bert", layers=1)
    with pytest.raises(KeyboardInterrupt) as stop:
        cached_latency(model, **SIZE, folder=tmp_path, timer=FAST, progress=Watch(3, interrupt))
    (path,) = tmp_path.glob("*.json")
    assert f"unfinished work is kept in {path}" in stop.value.__notes__[0]
    assert len(json.loads(path.read_text(encoding="utf-8"))["points"]) == 3
    before = json.loads(path.read_text(encoding="utf-8"))["points"]
    cached_latency(model, **SIZE, folder=tmp_path, timer=FAST)
    assert json.loads(path.read_text(encoding="utf-8"))["points"][:3] == before


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYHEAD_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "latency"
    monkeypatch.delenv("POLYHEAD_CACHE")
    assert cache_folder().parts[-2:] == ("polyhead", "latency")


def test_another_machine_has_another_table() -> None:
    conditions = conditions_of(tiny_model("bert"), **SIZE, backend="torch")
    other = replace(conditions, machine={**conditions.machine, "processor": "abacus"})
    assert cache_key(tiny_model("bert"), conditions) != cache_key(tiny_model("bert"), other)


def test_weights_of_another_type_have_another_table_and_conditions_are_the_same() -> None:
    models = [tiny_model("bert"), tiny_model("bert", dtype=torch.bfloat16)]
    one, other = (conditions_of(model, **{**SIZE, "precision": "bf16"}, backend="torch") for model in models)
    assert one == other
    assert cache_key(models[0], one) != cache_key(models[1], other)


def test_the_accelerator_is_named_by_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(device=torch.device("cuda:0"), config=tiny_model("bert").config)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "abacus 9")
    found = conditions_of(model, **SIZE, backend="torch")  # type: ignore[arg-type]
    assert found.machine["accelerator"] == "abacus 9"
