"""Measuring on a synthetic machine: what is measured, kept, continued and predicted; no test depends on this machine's speed."""

import json
import logging
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compression.test_timing import Machine
from conformance.tiny import tiny_model

from polyhead.compression import latency
from polyhead.compression.latency import (
    Bench,
    Grid,
    cache_folder,
    cached_latency,
    check_plans,
    conditions_of,
    grid_of,
    measure_latency,
    measured_points,
    time_model,
    time_models,
)
from polyhead.compression.latency_models import full_counts
from polyhead.compression.latency_table import fitted_table
from polyhead.compression.timing import Timer
from polyhead.core.errors import SettingError

FAST = Timer(least=1, most=1)
SIZE = {"batch": 2, "length": 8, "precision": "fp32"}
GRID = Grid((0, 1, 2, 4), (0, 8, 16, 32), ((0, 1, 2, 3, 4), (0, 8, 16, 24, 32)))


def layer(heads: int, neurons: int) -> float:
    return 0.5 * heads + 0.25 * neurons


class Synthetic(Machine):
    """A machine on which a model takes 3 seconds and those of its layers."""

    def __init__(self, speed=lambda call: 1.0) -> None:
        super().__init__(speed)
        self.opened: list[tuple[tuple[int, int], ...]] = []

    @contextmanager
    def open(self, counts):
        self.opened.append(tuple(counts))
        yield self.work("pass", 3.0 + sum(layer(*own) for own in counts))

    def bench(self, **settings) -> Bench:
        return Bench(self.open, self.timer(**{"least": 3, "most": 3, **settings}))


def test_a_synthetic_machine_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Synthetic(speed=lambda call: 1.0 + call / 50)  # becomes slower and slower
    points = measured_points(machine.bench(least=9, most=9), GRID, 3)
    found = fitted_table(conditions_of(tiny_model("bert"), **SIZE, backend="torch"), points, n_layers=3)
    assert found.predict([(4, 32), (0, 8), (3, 0)]) / found.full == pytest.approx(
        (3 + layer(4, 32) + layer(0, 8) + layer(3, 0)) / (3 + 3 * layer(4, 32)), rel=0.01
    )
    assert len(machine.opened) == len(points) == 1 + 3 + 3 + 4
    assert {len({*counts}) for counts in machine.opened} == {1}


def test_work_that_is_stopped_continues_where_it_was() -> None:
    machine, kept = Synthetic(), []

    def keep(points) -> None:
        kept[:] = points
        if len(kept) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured_points(machine.bench(), GRID, 3, keep=keep)
    again = Synthetic()
    found = measured_points(again.bench(), GRID, 3, known=[*kept])
    assert len(again.opened) == 1 + 10 - 4
    assert {(p.heads, p.neurons): p.ratio for p in found} == pytest.approx(
        {(p.heads, p.neurons): p.ratio for p in measured_points(Synthetic().bench(), GRID, 3)}
    )
    idle = Synthetic()
    measured_points(idle.bench(), GRID, 3, known=found[:-1])
    assert idle.opened == []


def test_plans_are_checked_in_the_milliseconds_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("bert")
    machine = Synthetic()
    monkeypatch.setattr(latency, "sized_model", lambda model, counts: counts)
    monkeypatch.setattr(latency, "opened", lambda counts, **settings: machine.open(counts))
    table = measure_latency(model, **SIZE, timer=machine.timer(least=3, most=3))
    machine.speed = lambda call: 7.0  # the same machine, busy with something else
    (neurons,) = {neurons for _, neurons in full_counts(model)}
    plans = [[(0, 0), (1, neurons), (4, 8)], full_counts(model)]
    found = check_plans(model, table, plans, timer=machine.timer(least=3, most=3))
    assert [check.error for check in found] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found[1].measured_ms == pytest.approx(1e3 * (3 + 3 * layer(4, neurons)))
    assert found[0].counts == ((0, 0), (1, neurons), (4, 8))


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
        from polyhead.core.records import record_bytes

        path.write_bytes(record_bytes({"points": [{"heads": "many"}]}, schema=1))
    else:
        path.write_text(text[: len(text) // 2] if how == "half" else text.replace('"heads": 4', '"heads": 3'), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        cached_latency(model, **SIZE, folder=tmp_path, timer=FAST)
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [str(path)]
    assert "its work is done again" in caplog.text
    assert json.loads(path.read_text(encoding="utf-8"))["points"]


def test_an_interrupt_keeps_points_and_says_where(tmp_path: Path) -> None:
    class Stopping:
        done = 0

        def start(self, total: int, what: str) -> None: ...

        def stop(self) -> None: ...

        def advance(self, n: int) -> None:
            self.done += n
            if self.done == 3:
                raise KeyboardInterrupt

    model = tiny_model("bert", layers=1)
    with pytest.raises(KeyboardInterrupt) as stop:
        cached_latency(model, **SIZE, folder=tmp_path, timer=FAST, progress=Stopping())
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


def test_the_grid_has_every_head_and_multiples_of_64_neurons_and_is_coarse_for_graphs() -> None:
    model = tiny_model("bert", layers=1)
    model.config.intermediate_size = 3072
    model.config.num_attention_heads = 12
    grid = grid_of(model, "torch")
    assert grid.heads == tuple(range(13))
    assert grid.neurons == (0, 64, *range(192, 3073, 192))
    assert grid.plans == (tuple(range(13)), tuple(range(0, 3073, 64)))
    assert len(grid_of(model, "onnxruntime").heads) <= 6
    assert grid_of(tiny_model("eurobert"), "torch").heads == (0, 2, 4)


def test_threads_and_modes_are_restored() -> None:
    model, before = tiny_model("bert", layers=1).train(), torch.get_num_threads()
    table = measure_latency(model, **SIZE, threads=before + 1, timer=FAST)
    assert table.threads == before + 1
    assert torch.get_num_threads() == before
    assert model.training
    assert table.kernel == "sdpa"


def test_models_are_timed_in_turn() -> None:
    model = tiny_model("bert", layers=1)
    assert len(time_models([model, tiny_model("bert")], **SIZE, timer=FAST)) == 2
    assert time_model(model, **SIZE, timer=FAST) > 0
    with pytest.raises(SettingError, match="no models to time"):
        time_models([], **SIZE)


def test_graphs_need_float32_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "check_backend", lambda backend: None)
    with pytest.raises(SettingError, match=r"onnxruntime: the model is torch.float64 on cpu"):
        measure_latency(tiny_model("bert", dtype=torch.float64), batch=1, length=8, backend="onnxruntime")


def test_another_machine_has_another_table() -> None:
    conditions = conditions_of(tiny_model("bert"), **SIZE, backend="torch")
    other = replace(conditions, machine={**conditions.machine, "processor": "abacus"})
    assert latency._key(tiny_model("bert"), conditions) != latency._key(tiny_model("bert"), other)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-int8"])
def test_graphs_are_measured_too(backend, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers.exporters", reason="Transformers has exporters from 5.14 on")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.setattr(latency, "grid_of", lambda model, backend: Grid((0, 4), (0, 32), ((0, 4), (0, 32))))
    table = measure_latency(tiny_model("bert", layers=1), batch=2, length=8, backend=backend, timer=FAST)
    assert (table.kernel, table.precision) == ("onnxruntime", "int8" if backend.endswith("int8") else "fp32")
    assert "onnxruntime" in table.machine
