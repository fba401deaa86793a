"""What pruning heads can save, counted from the weights of the model as it is."""

import numpy as np
import pytest
from conformance.tiny import HEAD_DIM, MASKS, tiny_model

from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models.model_heads import head_mask
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


def test_a_model_without_heads_has_no_share_of_attention() -> None:
    model = prune(tiny_model("bert"), MASKS["everything"], neurons=NeuronMask(np.zeros((3, INNER), bool)))
    assert cost_record(model, head_mask(model)).attention_share_512 == 0.0
