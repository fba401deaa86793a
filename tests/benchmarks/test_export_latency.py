"""What exports cost, each measured in a process of its own."""

from pathlib import Path

import pytest

pytest.importorskip("transformers.exporters", reason="Transformers has exporters from 5.14 on")
pytest.importorskip("onnxruntime")

from export_latency import exported, memory_of

import polyhead as ph


@pytest.mark.slow
def test_an_export_has_the_memory_of_its_own_process(tmp_path: Path) -> None:
    ph.Tagger.load("polyhead/tiny", task="pos", seed=42).save(tmp_path / "torch")
    made = exported("onnx", tmp_path / "torch", tmp_path / "onnx", threads=1)
    assert made["export_peak_megabytes"] > made["loaded_megabytes"] > 100, "packages and model, and then the export"
    assert made["difference"] < 1e-4
    assert made["int8_difference"] is None
    assert made["seconds"] > 0
    graph = tmp_path / "onnx" / made["file"]
    assert 0 < memory_of("onnx", graph, threads=1) < made["export_peak_megabytes"]
