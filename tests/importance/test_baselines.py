"""Scores that look at no data."""

import numpy as np
import pytest
import torch
from conformance.tiny import MASKS, tiny_model

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.importance.baselines import depth_scores, random_scores
from polyhead.importance.methods import check_normalisation, score_heads
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune
from polyhead.selection.ranking import rank


def test_magnitude_is_the_norm_of_value_times_output() -> None:
    model = tiny_model("distilbert", dtype=torch.float64)
    site = attention_sites(model)[1]
    expected = (site.output.weight[:, 8:12] @ site.value.weight[8:12]).norm()
    assert np.isclose(score_heads("magnitude", model, ()).values[1, 2], expected.item(), rtol=1e-9)


def test_magnitude_of_a_head_does_not_depend_on_which_others_are_left() -> None:
    mask = MASKS["zero-head-layer"]
    whole = score_heads("magnitude", tiny_model("bert"), ()).values
    cut = score_heads("magnitude", prune(tiny_model("bert"), mask), ()).values
    np.testing.assert_allclose(cut[mask.keep], whole[mask.keep], rtol=1e-6)


def test_depth_takes_whole_layers_from_the_top_and_the_heads_that_are_there() -> None:
    mask = MASKS["uneven"]
    order = [(head.layer, head.head) for head in rank(depth_scores(mask))]
    layers, heads = mask.keep.nonzero()
    assert order == sorted(zip(layers.tolist(), heads.tolist(), strict=True), key=lambda place: (-place[0], place[1]))
    with pytest.raises(SettingError, match="normalisation"):
        check_normalisation("depth", "paper")


def test_random_scores_are_those_of_their_seed_and_of_the_head() -> None:
    whole, mask = HeadMask.full(3, 4), MASKS["uneven"]
    one = random_scores(whole, seed=7).values
    assert np.array_equal(one, random_scores(whole, seed=7).values)
    assert not np.array_equal(one, random_scores(whole, seed=8).values)
    assert np.array_equal(random_scores(mask, seed=7).values[mask.keep], one[mask.keep])
    assert np.array_equal(np.isnan(random_scores(mask, seed=7).values), ~mask.keep)
