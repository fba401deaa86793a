"""Random orders and single walks, against the definition and against every permutation."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from conformance.tiny import MASKS, tiny_model
from importance.shapley_case import FIVE, HEADS, exact, five_heads, losses_of_set, tiny_batches
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.importance.shapley_walks import Order, expected_cost, find_ends, random_order, walk
from polyhead.learning.batching import Batch
from polyhead.learning.losses import sentence_losses
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.pruning import prune


def run(model: PreTrainedModel, batch: Batch, order: Order, truncation: float = 0.0) -> tuple[NDArray[np.float64], float]:
    with scoring_mode(model, "fp32"), torch.inference_mode():
        ends = find_ends(model, batch, "fp32")
        return walk(model, batch, order, ends, head_mask(model), precision="fp32", truncation=truncation)


def common_order(permutation: tuple[tuple[int, int], ...], n_sentences: int) -> Order:
    layers, heads = np.array(permutation).T
    return Order(layers, np.tile(heads[:, None], (1, n_sentences)))


def test_every_order_holds_every_head_once_and_one_layer_a_step() -> None:
    for mask in MASKS.values():
        order = random_order(mask, 6, np.random.default_rng(0))
        assert order.heads.shape == (mask.n_kept, 6)
        for sentence in range(6):
            assert sorted(zip(order.layers.tolist(), order.heads[:, sentence].tolist(), strict=True)) == [
                (head.layer, head.head) for head in mask.kept
            ]
        back = order.reversed()
        assert back.layers.tolist() == order.layers.tolist()[::-1]
        assert back.heads.tolist() == order.heads.tolist()[::-1]


def test_each_sentence_has_every_order_equally_often_and_not_that_of_its_neighbour() -> None:
    mask, draws = HeadMask([[1, 1, 0], [1, 0, 1]]), 4800
    counts: list[Counter[tuple[tuple[int, int], ...]]] = [Counter(), Counter()]
    equal = 0
    for seed in range(draws):
        order = random_order(mask, 2, np.random.default_rng((7, seed)))
        own = [tuple(zip(order.layers.tolist(), order.heads[:, sentence].tolist(), strict=True)) for sentence in (0, 1)]
        equal += own[0] == own[1]
        for sentence in (0, 1):
            counts[sentence][own[sentence]] += 1
    for found in counts:
        assert len(found) == math.factorial(4)
        # 24 orders, 200 each: chi-square with 23 degrees of freedom stays below 60 but once in 40,000 draws of a seed
        assert sum((n - 200) ** 2 / 200 for n in found.values()) < 60
    # they share the layers, and in each of the two layers one of two orders
    assert 0.2 < equal / draws < 0.3


def test_a_walk_records_what_every_step_did_to_each_sentence() -> None:
    model, present = prune(tiny_model("bert", dtype=torch.float64), MASKS["uneven"]), MASKS["uneven"]
    for batch in tiny_batches():
        order = random_order(present, len(batch.sentences), np.random.default_rng(3))
        expected = np.zeros((3, 4))
        for sentence in range(len(batch.sentences)):
            keep = present.keep.copy()
            before = losses_of_set(model, batch, keep)[sentence]
            for layer, heads in zip(order.layers, order.heads, strict=True):
                keep[layer, heads[sentence]] = False
                after = losses_of_set(model, batch, keep)[sentence]
                expected[layer, heads[sentence]] += after - before
                before = after
        found, _ = run(model, batch, order)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


def test_the_mean_over_all_permutations_is_the_shapley_value() -> None:
    model, batch = five_heads(), tiny_batches()[0]
    total = np.zeros((3, 4))
    permutations = list(itertools.permutations(HEADS))
    with scoring_mode(model, "fp32"), torch.inference_mode():
        ends = find_ends(model, batch, "fp32")
        for permutation in permutations:
            total += walk(model, batch, common_order(permutation, len(batch.sentences)), ends, FIVE, precision="fp32")[0]
    np.testing.assert_allclose(total / len(permutations), exact(model, batch), rtol=1e-9, atol=1e-13)


def test_a_truncated_walk_ends_where_nothing_is_left_to_lose() -> None:
    model, batch = tiny_model("bert", dtype=torch.float64), tiny_batches()[0]
    order = random_order(HeadMask.full(3, 4), len(batch.sentences), np.random.default_rng(0))
    with scoring_mode(model, "fp32"), torch.inference_mode():
        ends = find_ends(model, batch, "fp32")
    keep = np.ones((len(batch.sentences), 3, 4), dtype=np.bool_)
    (full, none), left = ends, []
    path = [full]
    for layer, heads in zip(order.layers, order.heads, strict=True):
        keep[np.arange(len(keep)), layer, heads] = False
        with torch.no_grad(), gated(model, torch.from_numpy(keep), rows=batch.rows):
            path.append(sentence_losses(model, batch, "fp32")[0].numpy())
        left.append(np.abs(path[-1] - none).mean() / np.abs(full - none).mean())
    share = sorted(left)[3] + 1e-9
    steps = next(step for step, found in enumerate(left, start=1) if found <= share)
    assert 1 < steps < 12
    expected = np.zeros((3, 4))
    for step in range(steps):
        np.add.at(expected, (order.layers[step], order.heads[step]), path[step + 1] - path[step])
    found, cost = run(model, batch, order, share)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)
    assert not np.allclose(found, run(model, batch, order)[0])
    assert cost == pytest.approx(1 + sum((3 - layer) / 3 for layer in order.layers[1:steps]))


def test_the_reported_cost_is_what_runs_and_its_mean_is_as_expected() -> None:
    model, batch = prune(tiny_model("bert"), FIVE), tiny_batches()[0]
    runs: list[int] = []
    with scoring_mode(model, "fp32"), torch.inference_mode():
        ends = find_ends(model, batch, "fp32")
        for site in attention_sites(model):
            site.block.attention.output.register_forward_hook(lambda *_: runs.append(1))
        costs = []
        for permutation in itertools.permutations(HEADS):
            before = len(runs)
            order = common_order(permutation, len(batch.sentences))
            costs.append(walk(model, batch, order, ends, FIVE, precision="fp32")[1])
            assert costs[-1] == pytest.approx((len(runs) - before) / 3)
    assert np.mean(costs) == pytest.approx(expected_cost(FIVE))
    assert expected_cost(HeadMask.full(3, 4)) == pytest.approx(1 + 10 * 2 / 3)
    assert expected_cost(MASKS["everything"]) == 0


@pytest.mark.parametrize("n_heads", [0, 1])
def test_with_no_or_one_head_the_ends_say_it_all(n_heads: int) -> None:
    mask = HeadMask([[0] * 4, [0, 0, n_heads, 0], [0] * 4])
    model, batch = prune(tiny_model("bert", dtype=torch.float64), mask), tiny_batches()[0]
    found, cost = run(model, batch, random_order(mask, len(batch.sentences), np.random.default_rng(0)))
    difference = losses_of_set(model, batch, np.zeros_like(mask.keep)) - losses_of_set(model, batch, mask.keep)
    assert cost == 0
    assert found[1, 2] == pytest.approx(difference.sum(), rel=1e-9)
    assert np.count_nonzero(found) == n_heads
