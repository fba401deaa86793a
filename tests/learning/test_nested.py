import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learning.nested_case import batch_of, check_gradients, crashed, gradients, one_by_one, trained
from torch.nn.functional import cross_entropy
from training_case import same, tiny_model

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.learning.nested import NestedMasks, step_loss
from polyhead.models.gates import gated
from polyhead.models.pruning import prune

ORDER = (HeadId(1, 0), HeadId(0, 1), HeadId(0, 0))
MASKS = tuple(HeadMask.without(2, 2, ORDER[:k]) for k in range(4))


@given(n=st.integers(0, 20), seed=st.integers(0, 2**32 - 1), step=st.integers(0, 10**6))
def test_every_batch_of_two_holds_no_heads_and_most_heads(n: int, seed: int, step: int) -> None:
    nested = NestedMasks(MASKS)
    k = nested.drawn(n, seed=seed, step=step)
    assert k.shape == (n,)
    assert ((k >= 0) & (k < len(MASKS))).all()
    assert n < 2 or {0, len(MASKS) - 1} <= set(k.tolist())
    assert np.array_equal(k, nested.drawn(n, seed=seed, step=step))


def test_each_k_has_the_same_share() -> None:
    nested = NestedMasks(MASKS)
    single = np.concatenate([nested.drawn(1, seed=1, step=step) for step in range(8000)])
    assert np.bincount(single, minlength=4) / len(single) == pytest.approx([0.25] * 4, abs=0.02)


def test_masks_that_are_not_nested_are_refused() -> None:
    with pytest.raises(SettingError, match="mask 1 keeps heads that mask 0 does not"):
        NestedMasks((MASKS[1], HeadMask.without(2, 2, [HeadId(0, 0)])))
    with pytest.raises(SettingError, match="there is none"):
        NestedMasks(())


def plan(mask: HeadMask, pruned: int) -> Plan:
    keep = np.ones((2, 32), dtype=bool)
    keep[:, :pruned] = False
    return Plan(mask, NeuronMask(keep))


PLANS = tuple(plan(mask, 8 * k) for k, mask in enumerate(MASKS))


def test_plans_that_are_not_nested_are_refused() -> None:
    with pytest.raises(SettingError, match="mask 1 keeps neurons that mask 0 does not"):
        NestedMasks((plan(MASKS[0], 8), plan(MASKS[1], 0)))
    with pytest.raises(SettingError, match="masks alone or plans alone"):
        NestedMasks((MASKS[0], PLANS[1]))  # type: ignore[arg-type]


def test_under_plans_that_keep_every_neuron_numbers_are_those_of_the_masks() -> None:
    assert same(trained(NestedMasks(tuple(plan(mask, 0) for mask in MASKS))), trained(NestedMasks(MASKS)))
    assert not same(trained(NestedMasks(PLANS)), trained(NestedMasks(MASKS)))


def test_the_loss_under_plans_is_that_of_pruned_models() -> None:
    model, nested, size = tiny_model(dropout=0.0).train(), NestedMasks(PLANS), 6
    batch, total, n = batch_of(size), 0.0, 0
    with step_loss(model, batch, nested, seed=3, step=5) as loss:
        pass
    for one, k in zip(one_by_one(batch), nested.drawn(size, seed=3, step=5), strict=True):
        small = prune(copy.deepcopy(model), PLANS[k].heads, neurons=PLANS[k].neurons)
        logits = small(input_ids=one.input_ids, attention_mask=one.attention_mask).logits[one.labels >= 0]
        total += float(cross_entropy(logits, one.labels[one.labels >= 0], reduction="sum").detach())
        n += len(logits)
    assert float(loss.detach()) == pytest.approx(total / n, rel=1e-5)


def test_the_loss_is_that_of_each_sentence_under_its_own_mask() -> None:
    model, nested = tiny_model(dropout=0.0).train(), NestedMasks(MASKS)
    size, step = 6, 5
    batch = batch_of(size)
    with step_loss(model, batch, nested, seed=3, step=step) as loss:
        loss.backward()
    found = gradients(model)
    model.zero_grad()
    total, n = torch.zeros(()), 0
    for one, k in zip(one_by_one(batch), nested.drawn(size, seed=3, step=step), strict=True):
        with gated(model, MASKS[k]):
            logits = model(input_ids=one.input_ids, attention_mask=one.attention_mask).logits[one.labels >= 0]
        own = cross_entropy(logits, one.labels[one.labels >= 0], reduction="sum")
        total, n = total + own, n + len(logits)
    assert float(loss.detach()) == pytest.approx(float(total.detach()) / n, rel=1e-5)
    (total / n).backward()
    check_gradients(model, found)


def test_with_no_heads_to_prune_it_is_ordinary_training() -> None:
    assert same(trained(NestedMasks(MASKS[:1])), trained(None))
    assert not same(trained(NestedMasks(MASKS)), trained(None))


def test_the_same_call_gives_the_same_weights_and_so_does_a_stopped_one(tmp_path: Path) -> None:
    whole, file = trained(NestedMasks(MASKS)), tmp_path / "training.partial"
    crashed(file, NestedMasks(MASKS))
    with pytest.raises(StoreError):
        trained(NestedMasks(MASKS[:3]), resume_file=file)
    assert same(trained(NestedMasks(MASKS), resume_file=file), whole)
