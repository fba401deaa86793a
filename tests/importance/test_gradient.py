"""Gate gradients against the definition: a loop over sentences, one at a time, with every gate by itself."""

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import PAD, tiny_model
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.importance.gradients import gradient
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.models.architectures import attention_sites
from polyhead.models.gates import gated

ENCODED = tiny_encoded()
LABELLED = [0, 1, 2, 3, 4, 6]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("xlm-roberta", dtype=torch.float64)


def batches(budget: int = 40) -> list[Batch]:
    return scoring_batches(ENCODED, budget=budget)


def alone(sentence: int) -> Batch:
    return collate([[window for window in ENCODED.windows if window.sentence == sentence]], pad_id=PAD)


def plain_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Mean over the labelled words of the batch's one sentence, each in the window that owns it."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    return cross_entropy(logits.flatten(0, 1), batch.labels.flatten())


def own_gradient(model: PreTrainedModel, sentence: int) -> Tensor:
    gates = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    with gated(model, gates):
        (found,) = torch.autograd.grad(plain_loss(model, alone(sentence)), gates)
    return found


def test_per_sentence_equals_a_loop_with_one_sentence_a_batch(model: PreTrainedModel) -> None:
    every = torch.stack([own_gradient(model, sentence) for sentence in LABELLED])
    scores = gradient(model, batches(), precision="fp32")
    assert scores.n == len(LABELLED)
    assert scores.total is not None
    assert scores.signed is not None
    np.testing.assert_allclose(scores.values, every.abs().mean(0), rtol=1e-9)
    np.testing.assert_allclose(scores.total, every.abs().sum(0), rtol=1e-9)
    np.testing.assert_allclose(scores.signed, -every.mean(0), rtol=1e-9, atol=1e-15)
    # the absolute value is taken before the sum, or it would be this
    assert not np.allclose(scores.values, np.abs(scores.signed), rtol=0.05)


def test_the_gradient_is_z_times_its_own_gradient_summed_over_tokens(model: PreTrainedModel) -> None:
    batch, site = alone(1), attention_sites(model)[1]
    seen: list[Tensor] = []
    handle = site.output.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    loss = plain_loss(model, batch)
    handle.remove()
    (dz,) = torch.autograd.grad(loss, seen[0])
    by_token = (seen[0] * dz).unflatten(-1, (4, -1)).sum(-1)[0]  # [positions, heads]
    torch.testing.assert_close(by_token.sum(0), own_gradient(model, 1)[1], rtol=1e-9, atol=1e-15)
    scores = gradient(model, [batch], per="token", precision="fp32")
    np.testing.assert_allclose(scores.values[1], by_token.abs().sum(0).detach(), rtol=1e-9)
    assert (scores.values >= gradient(model, [batch], precision="fp32").values).all()


def test_per_batch_adds_up_before_the_absolute_value(model: PreTrainedModel) -> None:
    every = {sentence: own_gradient(model, sentence) for sentence in LABELLED}
    given = batches(20)
    expected = sum(
        sum((every[s] for s in batch.sentences if s in every), torch.zeros(3, 4, dtype=torch.float64)).abs() for batch in given
    )
    scores = gradient(model, given, per="batch", precision="fp32")
    np.testing.assert_allclose(scores.values, torch.as_tensor(expected) / len(LABELLED), rtol=1e-9)
    assert not np.allclose(scores.values, gradient(model, batches(200), per="batch", precision="fp32").values, rtol=1e-3)


@pytest.mark.parametrize("per", ["sentence", "token"])
def test_scores_do_not_depend_on_batches_even_with_windows(model: PreTrainedModel, per: str) -> None:
    one, other = (gradient(model, given, per=per, precision="fp32") for given in (batches(1), batches(200)[::-1]))  # type: ignore[arg-type]
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    assert one.n == other.n == len(LABELLED)


def test_positive_means_that_turning_the_head_down_raises_the_loss(model: PreTrainedModel) -> None:
    scores = gradient(model, [alone(0)], precision="fp32")
    assert scores.signed is not None
    layer, head = np.unravel_index(np.abs(scores.signed).argmax(), (3, 4))
    gates = torch.ones(3, 4, dtype=torch.float64)
    gates[layer, head] -= 1e-4
    with torch.no_grad():
        before = plain_loss(model, alone(0))
        with gated(model, gates):
            after = plain_loss(model, alone(0))
    assert float(after - before) / 1e-4 == pytest.approx(scores.signed[layer, head], rel=1e-2)


def test_bf16_stays_near_float32_and_is_noted() -> None:
    model = tiny_model("bert")
    one, other = (gradient(model, batches(), precision=precision) for precision in ("fp32", "bf16"))
    assert (one.settings["precision"], other.settings["precision"]) == ("fp32", "bf16")
    assert not np.array_equal(one.values, other.values)
    assert np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1] > 0.98


def test_calling_it_without_gradients_enabled_is_fine(model: PreTrainedModel) -> None:
    expected = gradient(model, batches(), precision="fp32").values
    with torch.no_grad():
        assert np.array_equal(gradient(model, batches(), precision="fp32").values, expected)


def test_an_unknown_unit_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(SettingError, match="per 'word'"):
        gradient(model, batches(), per="word")  # type: ignore[arg-type]
