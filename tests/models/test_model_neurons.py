"""Neurons of a model: the record, what it refuses, masks by name beside it, and families whose row says nothing of neurons."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.tiny import FAMILIES, MASKS, logits, tiny_inputs, tiny_model
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from polyhead.core.errors import ArchitectureError, CheckpointError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models.architectures import ARCHITECTURES, trying
from polyhead.models.gates import gated
from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.loading import load_tagger
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.model_neurons import full_neurons, neuron_mask, neuron_sites
from polyhead.models.named_masks import head_masks
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned
from polyhead.models.sites import module_at

install_loader_hook()
AUTO = AutoModelForTokenClassification
WHOLE = HeadMask.full(3, 4)
KEEP = np.ones((3, 32), bool)
KEEP[0, :4], KEEP[2, 1:] = False, False
NEURONS = NeuronMask(KEEP)
INPUTS = tiny_inputs()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_pruned(prune(tiny_model("bert"), WHOLE, neurons=NEURONS), tmp_path / "model")


def test_the_record_has_a_bit_for_each_neuron_of_changed_layers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["intermediate_size"] == 32
    assert config["quantization_config"] == {
        "quant_method": "polyhead",
        "schema": 1,
        "n_layers": 3,
        "n_heads": 4,
        "pruned_heads": {},
        "n_neurons": 32,
        "kept_neurons": {"0": "0fffffff", "2": "80000000"},
    }
    assert "35 of its 96 feed-forward neurons removed for good" in (folder / "README.md").read_text()
    assert "| 2 | 1 of 32 |" in (folder / "README.md").read_text()


def test_without_pruned_neurons_the_record_says_nothing_of_them(tmp_path: Path) -> None:
    plain, full = prune(tiny_model("bert"), MASKS["uneven"]), NeuronMask.full(3, 32)
    assert prune(tiny_model("bert"), MASKS["uneven"], neurons=full).config.to_dict() == plain.config.to_dict()
    assert not hasattr(prune(tiny_model("bert"), WHOLE, neurons=full).config, "quantization_config")
    assert "euron" not in (save_pruned(plain, tmp_path / "model") / "README.md").read_text()


def test_the_bare_encoder_a_given_config_and_polyheads_own_loader(folder: Path) -> None:
    expected = logits(prune(tiny_model("bert"), WHOLE, neurons=NEURONS), INPUTS)
    assert neuron_mask(AutoModel.from_pretrained(folder)) == NEURONS
    assert torch.equal(logits(AUTO.from_pretrained(folder, config=AutoConfig.from_pretrained(folder)), INPUTS), expected)
    loaded = load_tagger(folder, labels=None)
    assert torch.equal(logits(loaded, INPUTS), expected)
    again = AUTO.from_pretrained(save_pruned(prune(loaded, MASKS["uneven"]), folder.with_name("again")))
    assert (head_mask(again), neuron_mask(again)) == (MASKS["uneven"], NEURONS)


def test_a_model_gets_its_own_config() -> None:
    one = tiny_model("bert")
    other = AUTO.from_config(one.config).eval()
    prune(other, WHOLE, neurons=NEURONS)
    assert neuron_mask(one).n_pruned == 0
    assert neuron_mask(copy.deepcopy(other)) == NEURONS


def test_masks_by_name_share_the_neurons(tmp_path: Path) -> None:
    masks = {"de": MASKS["one-head"], "ja": WHOLE}
    model = prune(tiny_model("bert"), masks, neurons=NEURONS)
    loaded = AUTO.from_pretrained(save_pruned(model, tmp_path / "model"))
    assert (head_masks(loaded), neuron_mask(loaded)) == (masks, NEURONS)
    with torch.no_grad():
        named = loaded(**INPUTS, mask_names=["de", "ja", None]).logits[0]
    alone = prune(tiny_model("bert"), MASKS["one-head"], neurons=NEURONS)
    torch.testing.assert_close(named, alone(**INPUTS).logits[0], atol=1e-5, rtol=0)
    assert head_masks(prune(loaded, WHOLE, neurons=NEURONS)) == masks
    with pytest.raises(SettingError, match="one set of heads"):
        densify(model, tmp_path / "dense")


RECORDS = {
    "digits missing": (
        {"kept_neurons": {"0": "0fff"}},
        "layer 0 is '0fff'; expected 8 hexadecimal digits, one bit for each of 32",
    ),
    "no digits": ({"kept_neurons": {"0": "0fffffzz"}}, "expected 8 hexadecimal digits"),
    "not text": ({"kept_neurons": {"0": [1, 2]}}, r"layer 0 is \[1, 2\]"),
    "layer out of range": ({"kept_neurons": {"3": "ffffffff"}}, r"layer '3'; expected 0\.\.2"),
    "layer not a number": ({"kept_neurons": {"first": "ffffffff"}}, "layer 'first'"),
    "no object": ({"kept_neurons": ["ffffffff"]}, "expected an object of layer"),
    "null": ({"kept_neurons": None}, "kept_neurons is None"),
    "size missing": ({"n_neurons": None}, "n_neurons is None, but the model has 32"),
    "another size": ({"n_neurons": 64}, "n_neurons is 64, but the model has 32"),
    "more neurons than the weights have": ({"kept_neurons": {"0": "0fffffff"}}, "do not belong together"),
    "fewer": ({"kept_neurons": {"0": "0fffffff", "1": "0fffffff", "2": "80000000"}}, "do not belong together"),
}


@pytest.mark.parametrize(("values", "message"), RECORDS.values(), ids=RECORDS)
def test_a_corrupt_record_is_one_clear_error(folder: Path, values: dict[str, object], message: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] |= values
    (folder / "config.json").write_text(json.dumps(config))
    for load in (lambda: AUTO.from_pretrained(folder, ignore_mismatched_sizes=True), lambda: load_tagger(folder, labels=None)):
        with pytest.raises(CheckpointError, match=message) as caught:
            load()
        assert "\n" not in str(caught.value)


def test_bits_beyond_the_last_neuron_are_refused(tmp_path: Path) -> None:
    config = tiny_model("bert").config
    config.intermediate_size = 30
    model = AUTO.from_config(config)
    folder = save_pruned(prune(model, WHOLE, neurons=NeuronMask(KEEP[:, :30])), tmp_path / "model")
    assert neuron_mask(AUTO.from_pretrained(folder)).counts == (26, 30, 1)
    stored = json.loads((folder / "config.json").read_text())
    stored["quantization_config"]["kept_neurons"]["0"] = "0fffffff"
    (folder / "config.json").write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match="layer 0 keeps more than 30 neurons"):
        AUTO.from_pretrained(folder)


def test_a_row_without_neurons_is_refused_and_its_heads_are_not(folder: Path) -> None:
    model = tiny_model("bert")
    with trying(replace(ARCHITECTURES["bert"], neuron_output="", neuron_inputs=())):
        for use in (
            lambda: neuron_mask(model),
            lambda: prune(model, WHOLE, neurons=NEURONS),
            lambda: gated(model, WHOLE, neurons=NEURONS).__enter__(),
        ):
            with pytest.raises(ArchitectureError, match="'bert': no neurons can be gated or pruned"):
                use()
        assert head_mask(prune(model, MASKS["uneven"])) == MASKS["uneven"]
        with pytest.raises(CheckpointError, match="polyhead cannot prune neurons of model_type 'bert'"):
            AUTO.from_pretrained(folder)


def test_weights_that_do_not_fit_are_refused() -> None:
    model = tiny_model("bert")
    neuron_sites(model)[1].inputs[0].weight = nn.Parameter(torch.ones(31, 16))
    with pytest.raises(ArchitectureError, match=r"layer 1: the feed-forward block has \(31, 32\) rows and columns"):
        prune(model, WHOLE, neurons=NEURONS)
    assert head_mask(prune(model, MASKS["uneven"])) == MASKS["uneven"], "heads do not ask about neurons"
    model.bert.encoder.layer[1].output.dense = nn.Identity()
    with pytest.raises(ArchitectureError, match=r"layer 1: a layer of the feed-forward block is a torch.*Identity"):
        neuron_mask(model)


def test_bad_masks_are_one_line() -> None:
    model = tiny_model("bert")
    with pytest.raises(TypeError, match="neurons is of type HeadMask"):
        prune(model, WHOLE, neurons=WHOLE)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="mask of 3 layers x 30 neurons: this model has 3 x 32 before pruning"):
        prune(model, WHOLE, neurons=NeuronMask.full(3, 30))
    with (
        pytest.raises(SettingError, match="rows were given"),
        gated(model, WHOLE, neurons=torch.ones(3, 32), rows=torch.arange(3)),
    ):
        pass


@pytest.mark.parametrize("family", FAMILIES)
def test_stored_numbers_of_neurons_follow(family: str) -> None:
    model, row = tiny_model(family), ARCHITECTURES[family.partition("+")[0]]
    keep = np.ones(full_neurons(model).shape, bool)
    keep[1, 7:] = False
    prune(model, WHOLE, neurons=NeuronMask(keep))
    block = attention_sites(model)[1].block
    stored = {
        f"{name}.{key}".lstrip("."): value
        for name, module in block.named_modules()
        for key, value in vars(module).items()
        if type(value) is int and value in (7, keep.shape[1]) and not isinstance(module, nn.Linear | nn.LayerNorm)
    }
    assert stored == ({row.neuron_count: 7} if row.neuron_count else {})
    for site in neuron_sites(model):
        assert {module.out_features for module in site.inputs} == {len(site.kept) * (2 if site.fused else 1)}
        assert site.output.in_features == len(site.kept)
    assert not row.neuron_count or module_at(attention_sites(model)[0].block, row.neuron_count) == keep.shape[1]
