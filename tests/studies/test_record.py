"""What pruning heads can save, counted from the weights of the model as it is."""

import numpy as np
import pytest
from conformance.tiny import HEAD_DIM, MASKS, masks_of, tiny_model

from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.model_neurons import neuron_sites
from polyhead.models.pruning import prune
from polyhead.studies.record import cost_record

WIDTH, INNER = 4 * HEAD_DIM, 8 * HEAD_DIM
HEADS = MASKS["uneven"]


@pytest.mark.parametrize(("family", "into"), [("bert", 1), ("modernbert", 2)])
def test_attention_shares_count_the_neurons_and_heads_that_the_model_has(family: str, into: int) -> None:
    keep = np.ones((3, INNER), bool)
    keep[0, 5:], keep[2] = False, False
    for heads, neurons in ((HeadMask.full(3, 4), NeuronMask.full(3, INNER)), (HEADS, NeuronMask(keep))):
        model = prune(tiny_model(family), heads, neurons=neurons)
        attention = (4 * WIDTH + 2 * 128) * HEAD_DIM * heads.n_kept
        found = cost_record(model, head_mask(model))
        assert found.attention_share_128 == pytest.approx(attention / (attention + (into + 1) * WIDTH * neurons.n_kept))
        assert found.heads == heads.n_kept


@pytest.mark.parametrize("family", ["bert", "modernbert", "t5", "albert+shared", "eurobert", "eurobert+one-key"])
def test_shared_keys_and_values_count_once(family: str) -> None:
    model = tiny_model(family)
    sites = attention_sites(model)
    projected = sum(site.uses * module.weight.numel() for site in sites for module in (*site.inputs, site.output))
    attention = projected + 2 * 128 * HEAD_DIM * sum(site.uses * len(site.kept) for site in sites)
    blocks = sum(
        site.uses * part.parameter.numel() for site in neuron_sites(model) for part in site.parts() if part.name == "weight"
    )
    found = cost_record(model, head_mask(model))
    assert found.attention_share_128 == pytest.approx(attention / (attention + blocks))
    assert found.all_heads_weights == sum(part.parameter.numel() for site in sites for part in site.parts())


@pytest.mark.parametrize("family", ["bert", "modernbert", "t5", "eurobert", "eurobert+one-key"])
def test_a_pruned_model_says_how_many_weights_it_had(family: str) -> None:
    """Also where a layer keeps a key and loses some of the heads that share it."""
    whole = tiny_model(family)
    masks = [*masks_of(whole).values(), HeadMask([[1, 0, 1, 0]] * 3)]
    for mask in masks:
        found = cost_record(prune(tiny_model(family), mask), head_mask(whole))
        assert found.model_weights == sum(parameter.numel() for parameter in whole.parameters())
        assert found.heads_pruned == mask.n_pruned


def test_a_model_without_heads_has_no_share_of_attention() -> None:
    model = prune(tiny_model("bert"), MASKS["everything"], neurons=NeuronMask(np.zeros((3, INNER), bool)))
    assert cost_record(model, head_mask(model)).attention_share_512 == 0.0
