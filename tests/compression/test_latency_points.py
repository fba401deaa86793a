"""Points of a latency table on a synthetic machine: what is measured, what is known already, and what slow moments do."""

import pytest
from compression.latency_case import FAST, SIZE, Synthetic, layer
from conformance.tiny import tiny_model

from polyhead.compression import latency
from polyhead.compression.latency import measure_latency
from polyhead.compression.latency_points import Grid, conditions_of, grid_of, measured_points
from polyhead.compression.latency_table import fitted_table

GRID = Grid((0, 1, 2, 4), (0, 8, 16, 32), ((0, 1, 2, 3, 4), (0, 8, 16, 24, 32)))


def test_a_synthetic_machine_is_found_again() -> None:
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
