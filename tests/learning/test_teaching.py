"""Learning from a teacher: who is taught what, what it costs, and that it continues after a stop."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from learning.nested_case import SPEC, batch_of, check_gradients, crashed, gradients, one_by_one, trained
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from training_case import same, tiny_encoded, tiny_model, weights

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.learning.nested import NestedMasks, step_loss
from polyhead.learning.teaching import Teacher
from polyhead.learning.training import fit
from polyhead.models.gates import gated


def smaller(heads: list[HeadId], neurons: int) -> Plan:
    keep = np.ones((2, 32), dtype=bool)
    keep[0, :neurons] = False
    return Plan(HeadMask.without(2, 2, heads), NeuronMask(keep))


PLANS = (smaller([], 0), smaller([HeadId(1, 0)], 8), smaller([HeadId(1, 0), HeadId(1, 1)], 32))


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_masked_sentences_learn_from_the_whole_model_and_others_from_their_labels(weight: float) -> None:
    model, nested, size = tiny_model(dropout=0.0).train(), NestedMasks(PLANS), 6
    batch, total = batch_of(size), torch.zeros(())
    n_labelled, n_words = int((batch.anchor_labels >= 0).sum()), len(batch.anchor_rows)
    with step_loss(model, batch, nested, seed=3, step=5, teacher=Teacher(weight)) as loss:
        loss.backward()
    found = gradients(model)
    assert model.training
    model.zero_grad()
    for one, k in zip(one_by_one(batch), nested.drawn(size, seed=3, step=5), strict=True):
        with torch.no_grad():
            whole = log_softmax(one.at_anchors(model(**one.inputs).logits), dim=-1)
        with gated(model, PLANS[k].heads, neurons=PLANS[k].neurons):
            logits = one.at_anchors(model(**one.inputs).logits)
        share = weight if k else 0.0
        total = total + (1 - share) * cross_entropy(logits, one.anchor_labels, ignore_index=-100, reduction="sum") / n_labelled
        divergence = kl_div(log_softmax(logits, dim=-1), whole, log_target=True, reduction="sum")
        total = total + share * divergence / n_words
    assert float(loss.detach()) == pytest.approx(float(total.detach()), rel=1e-5)
    total.backward()
    check_gradients(model, found)


@pytest.mark.parametrize("subwords", [False, True])
def test_another_model_teaches_every_sentence_without_its_labels(subwords: bool) -> None:
    model, other, batch = tiny_model(dropout=0.0).train(), tiny_model(seed=1), batch_of(5)
    with step_loss(model, batch, None, seed=0, step=0, teacher=Teacher(1.0, other, subwords)) as loss:
        pass
    other.eval()
    with torch.no_grad():
        own, wanted = (log_softmax(each(**batch.inputs).logits, dim=-1) for each in (model, other))
    divergence = (wanted.exp() * (wanted - own)).sum(-1)
    every = divergence[batch.is_text] if subwords else divergence[batch.anchor_rows, batch.anchor_columns]
    assert float(loss.detach()) == pytest.approx(float(every.mean()), rel=1e-5)


def test_a_copy_of_the_teacher_has_nothing_to_learn_and_another_model_comes_nearer() -> None:
    teacher = tiny_model(dropout=0.0)
    with torch.no_grad():
        teacher.classifier.weight.mul_(30)
    with step_loss(copy.deepcopy(teacher), batch_of(5), None, seed=0, step=0, teacher=Teacher(1.0, teacher)) as loss:
        assert abs(float(loss.detach())) < 1e-6
    record = fit(tiny_model(dropout=0.0, seed=1), tiny_encoded(), SPEC, teacher=Teacher(1.0, teacher), device="cpu")
    assert record.losses[-1] < 0.9 * record.losses[0]


def test_the_teacher_is_left_as_it_was() -> None:
    teacher = tiny_model().train()
    before = weights(teacher)
    trained(None, Teacher(0.5, teacher))
    assert teacher.training
    assert same(weights(teacher), before)


def test_weight_zero_is_training_without_a_teacher() -> None:
    assert same(trained(NestedMasks(PLANS), Teacher(0.0)), trained(NestedMasks(PLANS), None))
    assert not same(trained(NestedMasks(PLANS), Teacher(0.5)), trained(NestedMasks(PLANS), None))
    assert same(trained(None, Teacher(0.5)), trained(None, None)), "nothing is masked, so the model has nothing to teach itself"
    with pytest.raises(SettingError, match="weight"):
        Teacher(1.5)


def test_under_autocast_the_weights_still_get_gradients() -> None:
    model, batch = tiny_model(dropout=0.0).train(), batch_of(6)
    grads = []
    for weight in (0.0, 0.5):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            work = step_loss(model, batch, NestedMasks(PLANS), seed=3, step=5, teacher=Teacher(weight))
            with work as loss:
                loss.backward()
        grads.append({name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())})
    assert grads[0] == grads[1]
    assert any("intermediate" in name for name in grads[1])


def test_a_stopped_training_continues_to_the_same_weights(tmp_path: Path) -> None:
    nested, file = NestedMasks(PLANS), tmp_path / "training.partial"
    whole = trained(nested, Teacher(0.5))
    crashed(file, nested, Teacher(0.5))
    for other in (Teacher(0.4), Teacher(0.5, tiny_model(seed=1)), None):
        with pytest.raises(StoreError, match="teacher"):
            trained(nested, other, resume_file=file)
    assert same(trained(nested, Teacher(0.5), resume_file=file), whole)
