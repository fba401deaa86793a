"""Predictions beside measurements, on a synthetic machine."""

import pytest
from compression.latency_case import SIZE, Synthetic, layer
from conformance.tiny import tiny_model

from polyhead.compression import latency, latency_check
from polyhead.compression.latency import measure_latency
from polyhead.compression.latency_check import check_plans
from polyhead.compression.latency_models import full_counts


def test_plans_are_checked_in_the_milliseconds_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("bert")
    machine = Synthetic()
    for module in (latency, latency_check):
        monkeypatch.setattr(module, "sized_model", lambda model, counts: counts)
        monkeypatch.setattr(module, "opened", lambda counts, **settings: machine.open(counts))
    table = measure_latency(model, **SIZE, timer=machine.timer(least=3, most=3))
    machine.speed = lambda call: 7.0  # the same machine, busy with something else
    (neurons,) = {neurons for _, neurons in full_counts(model)}
    plans = [[(0, 0), (1, neurons), (4, 8)], full_counts(model)]
    found = check_plans(model, table, plans, timer=machine.timer(least=3, most=3))
    assert [check.error for check in found] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found[1].measured_ms == pytest.approx(1e3 * (3 + 3 * layer(4, neurons)))
    assert found[0].counts == ((0, 0), (1, neurons), (4, 8))
