"""Families without a row: what is proposed is proven before it is used, and models that mislead are refused."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conformance.tiny import SPECIAL, logits, tiny_inputs
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertForTokenClassification,
    PreTrainedModel,
)
from transformers.models.bert.modeling_bert import BertSelfAttention

from polyhead.core.errors import ArchitectureError, CheckpointError
from polyhead.core.heads import HeadMask
from polyhead.data.labels import LabelSet
from polyhead.learning.encoding import model_limit
from polyhead.models import architectures, finding
from polyhead.models.finding import find_sites
from polyhead.models.gates import gated
from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.loading import load_config, load_tagger
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned

install_loader_hook()
SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "num_labels": 5,
    "pad_token_id": 1,
    **SPECIAL,
}
MASK = HeadMask([[0, 1, 1, 0], [0, 0, 0, 0]])


@pytest.fixture(autouse=True)
def nothing_proven_yet() -> Iterator[None]:
    yield
    architectures.PROVEN.clear()
    finding._DONE.clear()


def unknown(model_type: str = "ernie", **settings: object) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForTokenClassification.from_config(AutoConfig.for_model(model_type, **{**SIZES, **settings})).eval()


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("ernie", {}),
        ("roformer", {}),
        ("esm", {}),
        ("roberta-prelayernorm", {}),
        ("gpt_neox", {}),  # fused by head
        ("qwen3", {"num_key_value_heads": 2, "head_dim": 4}),  # a decoder with shared keys and normed queries
    ],
)
def test_masked_and_pruned_logits_agree_once_proven(model_type: str, settings: dict[str, object]) -> None:
    model = unknown(model_type, **settings)
    with pytest.raises(ArchitectureError, match=r"not supported; supported are .*find_sites"):
        head_mask(model)
    row = find_sites(model)
    assert row.model_type == model_type
    assert row.fused_by_head == (model_type == "gpt_neox")
    with gated(model, MASK):
        masked = logits(model, tiny_inputs())
    assert (logits(prune(copy.deepcopy(model), MASK), tiny_inputs()) - masked).abs().max() < 1e-5


def test_a_sentence_classifier_of_an_unknown_family_is_proven_by_its_logits(tmp_path: Path) -> None:
    config = AutoConfig.for_model("ernie", **{**SIZES, "num_labels": 3})
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    model = load_tagger(tmp_path, labels=None, kind="sentence")
    inputs = tiny_inputs()
    with gated(model, MASK), torch.no_grad():
        masked = model(**inputs).logits
    with torch.no_grad():
        assert (prune(model, MASK)(**inputs).logits - masked).abs().max() < 1e-5


@pytest.mark.parametrize(("model_type", "limit"), [("ernie", 40), ("roberta-prelayernorm", 38)])
def test_positions_of_an_unknown_family_start_where_its_model_starts_them(model_type: str, limit: int) -> None:
    model = unknown(model_type)
    find_sites(model)
    assert model_limit(model.config) == limit
    with torch.no_grad():
        model(input_ids=torch.full((1, limit), 5))


def test_a_bare_encoder_leaves_the_classifier_of_its_family_open() -> None:
    settings = {"num_key_value_heads": 2, "head_dim": 4}
    classifier = unknown("qwen3", **settings)
    find_sites(AutoModel.from_config(classifier.config))
    assert find_sites(classifier).classifier == architectures.PROVEN["qwen3"].classifier == "score"


def test_the_config_of_an_unknown_family_is_enough_to_read_text_for_it(tmp_path: Path) -> None:
    unknown("ernie").save_pretrained(tmp_path)
    assert model_limit(load_config(tmp_path, kind="tag")) == 40


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (
            {"intermediate_size": 10**7},
            r"intermediate.dense.weight has shape \(32, 16\), but config.json .* expects \(10000000, 16\)",
        ),
        ({"max_position_embeddings": 10**9}, r"position_embeddings.weight has shape \(40, 16\), but"),
        ({"hidden_size": 10**7}, r"has shape .*, but config.json .* expects .*10000000"),
        ({"num_hidden_layers": 10**6}, r"num_hidden_layers is 1000000; expected at most \d+, the number of tensors"),
        ({"num_attention_heads": 3}, "num_attention_heads is 3; expected a divisor of hidden_size, 16"),
        ({"intermediate_size": 0}, "intermediate_size is 0; expected a whole number of at least 1"),
    ],
)
def test_sizes_of_an_unknown_family_are_compared_with_its_weights_before_a_copy_is_built(
    sizes: dict[str, int], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown("ernie").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **sizes}))
    monkeypatch.setattr(finding, "small_copy", None)
    with pytest.raises(CheckpointError, match=said):
        load_tagger(tmp_path, labels=None)


def test_a_copy_that_does_not_fit_into_memory_is_not_built(tmp_path: Path) -> None:
    unknown("ernie").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 4 * 10**6}))
    with pytest.raises(ArchitectureError, match=r"a copy with at most 3 layers of these sizes needs [\d,.]+ GiB of memory, and"):
        load_config(tmp_path, kind="tag")  # reads no weights


def test_a_checkpoint_of_an_unknown_family_loads_prunes_and_loads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown("ernie").save_pretrained(tmp_path / "given")
    model = load_tagger(tmp_path / "given", labels=None)
    save_pruned(prune(model, MASK), tmp_path / "pruned")
    record = json.loads((tmp_path / "pruned" / "config.json").read_text())["quantization_config"]
    assert record["row"]["query"] == "attention.self.query"
    architectures.PROVEN.clear()
    finding._DONE.clear()
    monkeypatch.setattr(finding, "prove", None)  # the record's row needs no proof
    for again in (
        load_tagger(tmp_path / "pruned", labels=None),
        AutoModelForTokenClassification.from_pretrained(tmp_path / "pruned"),
    ):
        assert head_mask(again) == MASK
        assert torch.equal(logits(copy.deepcopy(again), tiny_inputs()), logits(model, tiny_inputs()))
    dense = AutoModelForTokenClassification.from_pretrained(densify(model, tmp_path / "dense"))
    torch.testing.assert_close(logits(dense, tiny_inputs()), logits(model, tiny_inputs()), atol=1e-5, rtol=0)


def test_a_record_of_another_release_is_proven_again_and_a_wrong_one_refused(tmp_path: Path) -> None:
    model = unknown("ernie")
    find_sites(model)
    folder = save_pruned(prune(model, MASK), tmp_path / "pruned")
    stored = json.loads((folder / "config.json").read_text())
    for change, refused in (({"transformers": "4.0"}, False), ({"query": "a b"}, True), ({"model_type": "esm"}, True)):
        changed = copy.deepcopy(stored)
        changed["quantization_config"]["row"].update(change)
        (folder / "config.json").write_text(json.dumps(changed))
        architectures.PROVEN.clear()
        finding._DONE.clear()
        if refused:
            with pytest.raises(CheckpointError, match=r"is no row for 'ernie'; use the config\.json saved with it"):
                load_tagger(folder, labels=None)
        else:
            assert head_mask(load_tagger(folder, labels=None)) == MASK


class MisleadingConfig(BertConfig):
    model_type = "misleading"


class Misleading(BertForTokenClassification):
    """BERT, but `change` replaces parts of its layers."""

    config_class = MisleadingConfig

    def __init__(self, config: MisleadingConfig) -> None:
        super().__init__(config)
        for layer in self.bert.encoder.layer:
            self.change(layer.attention)

    def change(self, attention: nn.Module) -> None:
        """Replace what misleads."""


class Permuted(nn.Module):
    """Gives the heads' outputs in another order."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        for name, child in inner.named_children():
            setattr(self, name, child)
        self._inner = (inner,)

    def forward(self, *args: object, **named: object) -> tuple[Tensor, None]:
        z = self._inner[0](*args, **named)[0]
        return z.unflatten(-1, (-1, 4)).roll(1, dims=-2).flatten(-2), None


class PermutedBlocks(Misleading):
    def change(self, attention: nn.Module) -> None:
        attention.self = Permuted(attention.self)


class Tied(Misleading):
    def change(self, attention: nn.Module) -> None:
        attention.self.key.weight = attention.self.query.weight


class TiedAcrossLayers(Misleading):
    def __init__(self, config: MisleadingConfig) -> None:
        super().__init__(config)
        lower, upper = self.bert.encoder.layer
        upper.attention.self.value.weight = lower.attention.self.value.weight


class GatedOutput(nn.Module):
    """The output projection, and after it a gate that reads the same heads."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.dense, self.gate, self.LayerNorm = inner.dense, nn.Linear(16, 16), inner.LayerNorm

    def forward(self, z: Tensor, hidden: Tensor) -> Tensor:
        found: Tensor = self.LayerNorm(self.dense(z) * self.gate(z).sigmoid() + hidden)
        return found


class GateAfterOutput(Misleading):
    def change(self, attention: nn.Module) -> None:
        attention.output = GatedOutput(attention.output)


class FixedGate(nn.Module):
    """The output projection, and after it a gate for each block of what it gives, as if those were heads."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.dense, self.LayerNorm = inner.dense, inner.LayerNorm
        self.gate = nn.Parameter(torch.rand(4))

    def forward(self, z: Tensor, hidden: Tensor) -> Tensor:
        blocks = self.dense(z).unflatten(-1, (z.shape[-1] // 4, -1))
        found: Tensor = self.LayerNorm((blocks * self.gate[:, None]).flatten(-2) + hidden)
        return found


class GateByHead(Misleading):
    def change(self, attention: nn.Module) -> None:
        attention.output = FixedGate(attention.output)


class OneKeyForTwo(BertSelfAttention):
    """Heads 0 and 1 use the key of head 0, though there is one for each."""

    def forward(self, hidden_states: Tensor, *args: object, **named: object) -> tuple[Tensor, None]:
        query, key, value = (
            module(hidden_states).unflatten(-1, (-1, 4)).transpose(1, 2) for module in (self.query, self.key, self.value)
        )
        key = torch.cat([key[:, :1], key[:, :1], key[:, 2:]], dim=1)[:, : query.shape[1]]
        z = (query @ key.transpose(-1, -2) / 2).softmax(-1) @ value
        return z.transpose(1, 2).flatten(-2), None


class SharedKey(Misleading):
    def change(self, attention: nn.Module) -> None:
        inner = OneKeyForTwo(self.config)
        inner.load_state_dict(attention.self.state_dict())
        attention.self = inner


class SwappedRoles(BertSelfAttention):
    """What is called the key is the value."""

    def forward(self, *args: object, **named: object) -> tuple[Tensor, Tensor | None]:
        self.key, self.value = self.value, self.key
        try:
            found: tuple[Tensor, Tensor | None] = super().forward(*args, **named)
        finally:
            self.key, self.value = self.value, self.key
        return found


class WrongNames(Misleading):
    def change(self, attention: nn.Module) -> None:
        inner = SwappedRoles(self.config)
        inner.load_state_dict(attention.self.state_dict())
        attention.self = inner


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (PermutedBlocks, "pruned logits"),
        (Tied, "share weights"),
        (TiedAcrossLayers, "are one tensor: tied weights cannot be pruned apart"),
        (GateAfterOutput, "masks: the forward pass fails"),
        (GateByHead, "masks: the forward pass fails"),
        (SharedKey, "pruned logits|never used"),
        (WrongNames, "the row calls"),
    ],
)
def test_a_model_that_misleads_is_refused(kind: type[Misleading], reason: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(MisleadingConfig(**{**SIZES, "attn_implementation": "eager"}))
    message = rf"model_type 'misleading': not supported, .*could not be proven: .*({reason}).*nearest row is bert; write one with"
    with pytest.raises(ArchitectureError, match=message) as caught:
        find_sites(model)
    assert "\n" not in str(caught.value)
    assert "misleading" not in architectures.PROVEN


def test_the_same_model_without_a_trap_is_proven() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert find_sites(Misleading(MisleadingConfig(**SIZES))).output == "attention.output.dense"


@pytest.mark.parametrize("model_type", ["fnet", "canine", "longformer", "lilt"])
def test_models_without_heads_as_blocks_are_refused_in_one_line(model_type: str, tmp_path: Path) -> None:
    settings = {"attention_window": 4} if model_type == "longformer" else {}
    unknown(model_type, **settings).save_pretrained(tmp_path / "given")
    with pytest.raises(ArchitectureError, match=f"model_type '{model_type}': not supported, .*the nearest row is") as caught:
        load_tagger(tmp_path / "given", labels=LabelSet(("a", "b")), seed=0)
    assert "\n" not in str(caught.value)
