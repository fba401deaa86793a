"""Times of models, and what measuring leaves as it was; no test depends on this machine's speed."""

import pytest
import torch
from compression.latency_case import FAST, SIZE
from conformance.tiny import tiny_model

from polyhead.compression import latency
from polyhead.compression.latency import measure_latency, time_models
from polyhead.core.errors import SettingError


def test_threads_and_modes_are_restored() -> None:
    model, before = tiny_model("bert", layers=1).train(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        table = measure_latency(model, **SIZE, threads=1, timer=FAST)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert table.threads == 1
    assert model.training
    assert table.kernel == "sdpa"


def test_models_are_timed_in_turn() -> None:
    model = tiny_model("bert", layers=1)
    assert len(time_models([model, tiny_model("bert")], **SIZE, timer=FAST)) == 2
    assert time_models([model], **SIZE, timer=FAST)[0] > 0
    with pytest.raises(SettingError, match="no models to time"):
        time_models([], **SIZE)


def test_graphs_need_float32_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "check_backend", lambda backend: None)
    with pytest.raises(SettingError, match=r"onnxruntime: the model is torch.float64 on cpu"):
        measure_latency(tiny_model("bert", dtype=torch.float64), batch=1, length=8, backend="onnxruntime")
