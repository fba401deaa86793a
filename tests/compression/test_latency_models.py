"""Models of a given shape with fewer heads and neurons: every family runs, shares what it can, and changes nothing."""

import copy

import numpy as np
import pytest
import torch
from conformance.tiny import FAMILIES, KERNELS, tiny_model
from transformers import BertConfig, BertForMaskedLM, BertModel

from polyhead.compression.latency_models import (
    batch_bytes,
    check_fits,
    full_counts,
    kept_counts,
    opened,
    sized_model,
)
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models.graphs import example_inputs
from polyhead.models.model_heads import recorded_heads
from polyhead.models.pruning import prune


def uneven(model) -> list[tuple[int, int]]:
    counts = [*full_counts(model)]
    heads, neurons = counts[0]
    few = recorded_heads(model.config).group
    return [(0, neurons // 2), (heads, 0), (few, neurons // 4), *counts][: len(counts)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_uneven_layers_runs_and_leaves_the_given_one_alone(family: str) -> None:
    for kernel in KERNELS[family]:
        model = tiny_model(family, kernel=kernel)
        before, config = copy.deepcopy(model.state_dict()), model.config.to_dict()
        found = sized_model(model, uneven(model))
        assert list(kept_counts(found)) == uneven(model)
        assert found.config._attn_implementation == kernel
        assert not any(tensor.is_meta for tensor in (*found.parameters(), *found.buffers()))
        with opened(found, batch=3, length=8, backend="torch", precision="fp32") as run:
            run()
        assert kept_counts(model) == full_counts(model)
        assert model.config.to_dict() == config
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_whole_model_is_the_given_one_and_costs_no_memory() -> None:
    model = tiny_model("bert")
    found, inputs = sized_model(model, full_counts(model)), example_inputs(3, 8, model.config)
    assert {p.data_ptr() for p in found.parameters()} == {p.data_ptr() for p in model.parameters()}
    with torch.inference_mode():
        assert torch.equal(found(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("family", ["bert", "mpnet", "t5"])
def test_a_pruned_model_gives_models_of_any_size(family: str) -> None:
    model = tiny_model(family)
    heads, neurons = full_counts(model)[0]
    kept = NeuronMask(np.tile(np.arange(neurons) < 4, (3, 1)))
    prune(model, HeadMask(np.tile(np.arange(heads) < 1, (3, 1))), neurons=kept)
    assert kept_counts(model) == ((1, 4),) * 3
    found = sized_model(model, [(heads, neurons)] * 3)
    assert kept_counts(found) == full_counts(model)
    with opened(found, batch=2, length=8, backend="torch", precision="fp32") as run:
        run()


def test_tied_weights_and_a_missing_pooler_stay_so() -> None:
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, pad_token_id=1
    )
    found = sized_model(BertForMaskedLM(config).eval(), [(2, 8), (4, 0)])
    assert found.cls.predictions.decoder.weight is found.bert.embeddings.word_embeddings.weight
    assert sized_model(BertModel(config, add_pooling_layer=False).eval(), [(2, 8), (4, 0)]).pooler is None


@pytest.mark.parametrize(
    ("size", "free", "said"),
    [
        ({"batch": 0, "length": 8}, None, "batch = 0: should be at least 1"),
        ({"batch": 1, "length": 0}, None, "length = 0: should be at least 1"),
        ({"batch": 1, "length": 100_000}, None, "length = 100000: this model reads at most"),
        ({"batch": 10**9, "length": 8}, 10**9, "batch = 1000000000: with 8 subwords in a row one batch needs about"),
    ],
)
def test_a_batch_that_the_model_cannot_take_is_refused_before_anything_is_allocated(size, free, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        check_fits(tiny_model("bert"), **size, free=free)


def test_eager_attention_and_masked_language_models_need_more_memory() -> None:
    plain, eager = (batch_bytes(tiny_model("bert", kernel=kernel), batch=2, length=64) for kernel in ("sdpa", "eager"))
    assert plain < eager
    check_fits(tiny_model("bert"), batch=2, length=8, free=10**6)
