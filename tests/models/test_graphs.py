"""Graphs against their models: uneven layers, layers without heads, int8, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.sentence_case import tiny_classifier
from conformance.tiny import MASKS, tiny_model
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.neurons import NeuronMask
from polyhead.models import graphs
from polyhead.models.graphs import (
    KINDS,
    Graph,
    GraphName,
    check_exporter,
    example_inputs,
    greatest_difference,
    input_names,
    open_graph,
    quantise,
    write_graph,
)
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune

pytest.importorskip("transformers.exporters", reason="Transformers has exporters from 5.14 on")
for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
    pytest.importorskip(package)

BATCHES = [example_inputs(*shape, tiny_model("bert").config, seed=seed) for seed, shape in enumerate([(1, 1), (1, 7), (5, 33)])]


def pruned(name: str, family: str = "bert") -> PreTrainedModel:
    neurons = np.ones((3, 32), bool)
    if name == "zero-neuron-layer":
        neurons[0, ::3], neurons[1] = False, False
    return prune(tiny_model(family), MASKS.get(name, MASKS["nothing"]), neurons=NeuronMask(neurons))


def test_example_inputs_hold_no_padding_but_at_the_end_of_rows() -> None:
    batch = example_inputs(5, 4, tiny_model("bert").config)
    assert batch["attention_mask"].sum(dim=1).tolist() == [4, 3, 2, 1, 4]
    assert torch.equal(batch["attention_mask"].bool(), batch["input_ids"] != 1)


def test_only_sentence_classifiers_that_tell_texts_apart_take_token_types() -> None:
    assert input_names(tiny_classifier("bert")) == ("input_ids", "attention_mask", "token_type_ids")
    for model in (tiny_model("bert"), tiny_classifier("distilbert"), tiny_classifier("xlm-roberta")):
        assert input_names(model) == ("input_ids", "attention_mask")


@pytest.mark.slow
@pytest.mark.parametrize("to", KINDS)
def test_a_graph_of_pairs_reads_token_types(to: GraphName, tmp_path: Path) -> None:
    model = tiny_classifier("bert")
    graph = open_graph(write_graph(model, tmp_path, to=to), to=to)
    pairs = [example_inputs(*shape, model.config, names=input_names(model)) for shape in ((1, 7), (5, 33))]
    assert greatest_difference(model, graph, pairs) < 1e-5
    as_one = {**pairs[1], "token_type_ids": torch.zeros_like(pairs[1]["input_ids"])}
    assert np.abs(graph(**as_one)["logits"] - graph(**pairs[1])["logits"]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("name", ["uneven", "zero-head-layer", "zero-neuron-layer"])
def test_a_graph_agrees_with_its_model_on_batches_of_other_shapes(to: GraphName, name: str, tmp_path: Path) -> None:
    model = pruned(name)
    graph = open_graph(write_graph(model, tmp_path, to=to), to=to)
    assert greatest_difference(model, graph, BATCHES) < 1e-5
    assert not any("forward" in module.__dict__ for module in model.modules())
    with torch.no_grad():
        attention_sites(model)[0].output.weight[0] += 1
    assert greatest_difference(model, graph, BATCHES) > 1e-2, "another model's graph would be noticed"


@pytest.mark.slow
def test_int8_of_a_layer_without_heads_reads_no_memory_that_nobody_wrote(tmp_path: Path) -> None:
    found = {}
    for name in ("nothing", "zero-head-layer"):
        model = pruned(name)
        path = write_graph(model, tmp_path, to="onnx")
        before = path.with_name("model.onnx.data").stat().st_size
        quantise(path)
        assert path.with_name("model.onnx.data").stat().st_size < before / 2
        graph = open_graph(path, to="onnx")
        found[name] = greatest_difference(model, graph, BATCHES)
        assert all(np.array_equal(graph(**batch)["logits"], graph(**batch)["logits"]) for batch in BATCHES)
    assert 0 < found["zero-head-layer"] < 2 * found["nothing"]


@pytest.mark.slow
def test_fusions_of_onnx_runtime_read_each_layers_own_number_of_heads(tmp_path: Path) -> None:
    import onnx
    from onnxruntime.transformers import optimizer

    model = pruned("uneven")
    path = write_graph(model, tmp_path, to="onnx")
    fused = optimizer.optimize_model(str(path), model_type="bert", num_heads=0, hidden_size=0, opt_level=0)
    fused.save_model_to_file(str(tmp_path / "fused.onnx"))
    kinds = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert "SkipLayerNormalization" in kinds, "something was fused"
    assert greatest_difference(model, open_graph(tmp_path / "fused.onnx", to="onnx"), BATCHES) < 1e-5


def test_a_graph_that_fails_or_lacks_an_output_is_refused() -> None:
    model = tiny_model("bert")
    with pytest.raises(ArchitectureError, match="no output logits; it has hidden"):
        greatest_difference(model, Graph(Path("x"), lambda inputs: {"hidden": np.zeros((1, 1, 5), np.float32)}), BATCHES[:1])
    with pytest.raises(ArchitectureError, match="holds NaN or infinite numbers"):
        greatest_difference(model, Graph(Path("x"), lambda inputs: {"logits": np.full((1, 1, 5), np.nan)}), BATCHES[:1])
    with pytest.raises(ArchitectureError, match="the graph fails on 1 x 1 subwords: ZeroDivisionError"):
        greatest_difference(model, Graph(Path("x"), lambda inputs: {"logits": np.zeros(1 // 0)}), BATCHES[:1])


def test_what_is_absent_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"to = 'tflite': expected one of onnx, openvino"):
        check_exporter("tflite")  # type: ignore[arg-type]
    real = graphs.find_spec
    monkeypatch.setattr(graphs, "find_spec", lambda name: None if name.startswith("onnx") else real(name))
    with pytest.raises(SettingError, match=r"needs onnx, onnxscript, onnxruntime: pip install 'polyhead\[export\]'"):
        check_exporter("onnx")
    monkeypatch.setattr(graphs, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"exporters of Transformers 5\.14 or newer, and this is 5\."):
        check_exporter("onnx")
    monkeypatch.undo()
    monkeypatch.setattr(graphs, "importlib", type("Older", (), {"import_module": staticmethod(lambda name: object())}))
    with pytest.raises(SettingError, match=r"to openvino needs a newer Transformers: 5\.\S+ has no OpenVINOExporter"):
        check_exporter("openvino")
