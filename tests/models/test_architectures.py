import copy
from dataclasses import replace

import pytest
import torch
from conformance.tiny import FAMILIES, HEAD_DIM, MASKS, tiny_model
from torch import nn
from transformers import AutoModelForTokenClassification, RobertaConfig, RobertaForTokenClassification

from polyhead.core.errors import ArchitectureError, CheckpointError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.models.architectures import ARCHITECTURES, register_architecture
from polyhead.models.model_heads import attention_sites, full_mask, head_mask
from polyhead.models.pruning import prune


class MadeUpConfig(RobertaConfig):
    """Of a family that nobody has heard of, with RoBERTa's modules."""

    model_type = "made-up"


class MadeUp(RobertaForTokenClassification):
    config_class = MadeUpConfig


MADE_UP = MadeUpConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=8, vocab_size=20)


@pytest.mark.parametrize("family", FAMILIES)
def test_sites_are_live_modules_in_layer_order(family: str) -> None:
    model = tiny_model(family)
    sites = attention_sites(model)
    assert [site.layer for site in sites] == [0, 1, 2]
    modules = set(model.modules())
    for site in sites:
        assert site.kept == (0, 1, 2, 3)
        assert site.head_dim == HEAD_DIM
        assert {site.block, site.attention, site.query, site.key, site.value, site.output} <= modules
        assert len({*site.inputs, site.output}) in (2, 4)
        # the classes name what they compute, so a crossed path in a row shows here
        paths = {module: name for name, module in site.block.named_modules()}
        names = {module: path.rpartition(".")[2] for module, path in paths.items()}
        if len(site.inputs) == 3:
            assert [names[site.query][0], names[site.key][0], names[site.value][0]] == ["q", "k", "v"]
        assert "out" in paths[site.output] or names[site.output] in ("o", "o_proj", "Wo", "dense")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stored_attributes_named_in_the_row_exist(family: str) -> None:
    row = ARCHITECTURES[family.partition("+")[0]]
    for site in attention_sites(tiny_model(family)):
        for name, value in ((row.head_count, 4), (row.width, 4 * HEAD_DIM), (row.group_size, site.group)):
            assert not name or getattr(site.attention, name) == value


def test_rows_and_columns_are_blocks_of_heads() -> None:
    (site, *_) = attention_sites(prune(tiny_model("bert"), MASKS["uneven"]))
    assert site.kept == (1, 2)
    assert site.head_rows("key").tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert site.head_columns().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    joined = torch.arange(16.0).view(1, 2, 8)
    assert site.split(joined)[0, 1].tolist() == [[8, 9, 10, 11], [12, 13, 14, 15]]


def test_a_fused_projection_has_its_rows_in_thirds() -> None:
    (site, *_) = attention_sites(tiny_model("bert", layers=1, heads=2))
    fused = nn.Linear(8, 24)
    fused_site = type(site)(**{**vars(site), "query": fused, "key": fused, "value": fused})
    assert fused_site.inputs == (fused,)
    assert fused_site.head_rows("query").tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert fused_site.head_rows("value").tolist() == [[16, 17, 18, 19], [20, 21, 22, 23]]


def test_a_bare_encoder_and_a_compiled_wrapper_will_do() -> None:
    model = tiny_model("xlm-roberta")
    assert len(attention_sites(model.base_model)) == 3
    assert attention_sites(torch.compile(model))[0].query is attention_sites(model)[0].query


def test_the_mask_of_an_untouched_model_is_full() -> None:
    assert head_mask(tiny_model("electra")) == HeadMask.full(3, 4) == full_mask(tiny_model("electra"))


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ArchitectureError, match=r"model_type 'made-up': not supported; supported are bert, roberta"):
        attention_sites(MadeUp(MADE_UP))
    with pytest.raises(ArchitectureError, match="Linear is not a Transformers model"):
        attention_sites(nn.Linear(2, 2))


def test_a_replaced_projection_is_refused() -> None:
    model = tiny_model("bert")
    model.bert.encoder.layer[1].attention.self.key = nn.Identity()
    with pytest.raises(
        ArchitectureError, match=r"layer 1: a projection is a torch\.nn\.\S+\.Identity; expected torch\.nn\.Linear"
    ):
        attention_sites(model)


@pytest.mark.filterwarnings("ignore:.*quantization:DeprecationWarning")
def test_an_int8_model_is_refused() -> None:
    model = torch.ao.quantization.quantize_dynamic(tiny_model("bert"), {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(ArchitectureError, match=r"a projection is a torch\.ao\.\S*Linear; expected torch\.nn\.Linear"):
        attention_sites(model)


def test_a_config_of_another_model_is_refused() -> None:
    pruned = prune(tiny_model("bert"), MASKS["one-head"])
    unpruned = AutoModelForTokenClassification.from_config(copy.deepcopy(pruned.config))
    with pytest.raises(ArchitectureError, match=r"layer 1: .* the config and the weights belong to different models"):
        head_mask(unpruned)
    pruned.config.quantization_config["n_layers"] = 9
    with pytest.raises(CheckpointError, match="n_layers is 9 and n_heads 4, but the model has 3 and 4"):
        head_mask(pruned)


def test_a_quantized_model_and_a_corrupt_record_are_refused() -> None:
    model = tiny_model("bert")
    model.config.quantization_config = {"quant_method": "gptq", "bits": 4}
    with pytest.raises(ArchitectureError, match="quantized"):
        head_mask(model)
    model.config.quantization_config = {"quant_method": "polyhead", "schema": 2}
    with pytest.raises(CheckpointError, match="schema 2"):
        head_mask(model)


def test_a_registered_family_works_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhead.models.architectures.ARCHITECTURES", dict(ARCHITECTURES))
    model = MadeUp(MADE_UP)
    with pytest.raises(ArchitectureError, match=r"'made-up': not supported;.*register_architecture"):
        head_mask(model)
    row = replace(ARCHITECTURES["roberta"], model_type="made-up")
    register_architecture(row)
    register_architecture(row)
    mask = HeadMask([[1, 0, 1, 1], [0, 0, 0, 0]])
    assert head_mask(prune(model, mask)) == mask
    with pytest.raises(SettingError, match="'made-up' already has another row"):
        register_architecture(replace(row, positions_after_padding=False))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("layers", 3, "layers is 3; expected a non-empty string"),
        ("output", "", "output is ''"),
        ("query", "attention self", "query is 'attention self'; expected attribute names joined by dots"),
        ("key", "attention.self.query", "two modules; expected three projections, or one"),
        ("positions_after_padding", 1, "positions_after_padding is 1; expected True or False"),
    ],
)
def test_a_row_that_cannot_be_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        register_architecture(replace(ARCHITECTURES["bert"], model_type="mine", **{field: value}))  # type: ignore[arg-type]
    assert "mine" not in ARCHITECTURES
