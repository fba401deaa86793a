"""The record of pruned heads by layer, which Transformers 5.24 keeps as `per_layer_config`, beside polyhead's own."""

import copy
import json
from pathlib import Path

import pytest
import torch
from conformance.tiny import MASKS, logits, tiny_inputs, tiny_model
from transformers import AutoModelForTokenClassification, PretrainedConfig

from polyhead.core.errors import CheckpointError
from polyhead.core.heads import HeadMask
from polyhead.models.loading import load_saved
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned

HERE = pytest.mark.skipif(not hasattr(PretrainedConfig, "per_layer_config"), reason="this Transformers has no per_layer_config")
MASK = MASKS["zero-head-layer"]
LAYERS = {"0": {"pruned_heads": [1]}, "1": {"pruned_heads": [0, 1, 2, 3]}, "2": {"pruned_heads": [2]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_pruned(prune(tiny_model("bert"), MASK), tmp_path / "model")


def changed(folder: Path, **entries: object) -> None:
    """Write entries of `config.json`; None removes one."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | entries
    text = json.dumps({key: value for key, value in config.items() if value is not None})
    (folder / "config.json").write_text(text, encoding="utf-8")


@HERE
def test_the_heads_are_written_by_layer_too(folder: Path) -> None:
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["per_layer_config"] == LAYERS
    model = AutoModelForTokenClassification.from_pretrained(folder)
    for config in (model.config, copy.deepcopy(model.config)):
        assert [layer.pruned_heads for layer in config.per_layer_config] == [[1], [0, 1, 2, 3], [2]]
    prune(model, HeadMask.without(3, 4, [MASK.kept[0]]))
    assert model.config.per_layer_config[0].pruned_heads == [0, 1]
    assert densify(model, folder.parent / "dense")
    dense = json.loads((folder.parent / "dense" / "config.json").read_text(encoding="utf-8"))
    assert not {"per_layer_config", "quantization_config"} & {*dense}


@HERE
def test_other_settings_by_layer_stay(folder: Path) -> None:
    model = tiny_model("bert")
    model.config.per_layer_config = {2: {"note": "x"}, 0: {"note": "y"}, 1: {"note": "z"}}
    prune(model, MASK)
    first = model.config.per_layer_config[0]
    assert (first.note, first.pruned_heads) == ("y", [1])
    densify(model, folder.parent / "dense")
    assert [layer.note for layer in load_saved(folder.parent / "dense").config.per_layer_config] == ["y", "z", "x"]


@pytest.mark.parametrize("layers", [LAYERS, {"1": {"pruned_heads": [0, 1, 2, 3]}, **LAYERS}], ids=["full", "any order"])
def test_a_checkpoint_with_this_record_alone_is_read(folder: Path, layers: object) -> None:
    expected = logits(prune(tiny_model("bert"), MASK), tiny_inputs())
    changed(folder, quantization_config=None, per_layer_config=layers)
    model = load_saved(folder)
    assert head_mask(model) == MASK
    assert torch.equal(logits(model, tiny_inputs()), expected)
    again = AutoModelForTokenClassification.from_pretrained(save_pruned(model, folder.parent / "again"))
    assert torch.equal(logits(again, tiny_inputs()), expected)


def test_records_that_differ_are_refused(folder: Path) -> None:
    changed(folder, per_layer_config=LAYERS | {"2": {"pruned_heads": [3]}})
    for load in (load_saved, AutoModelForTokenClassification.from_pretrained):
        with pytest.raises(CheckpointError, match="per_layer_config and quantization_config record different pruned heads"):
            load(folder)
    changed(folder, quantization_config=None, pruned_heads={"1": [0, 1, 2, 3]})
    with pytest.raises(CheckpointError, match="pruned_heads"):
        load_saved(folder)
