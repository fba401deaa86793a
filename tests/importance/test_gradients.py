"""Gate gradients (plain, squared, integrated) against the definition: a loop over sentences, one at a time."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import PAD, tiny_model
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores
from polyhead.core.progress import Silent
from polyhead.importance.gate_pass import sentence_gradients, visit_gradients
from polyhead.importance.method import Call
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.learning.losses import sentence_losses
from polyhead.models.architectures import ARCHITECTURES
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites
from polyhead.selection.combining import combine

ENCODED = tiny_encoded()
LABELLED = [0, 1, 2, 3, 4, 6]
gradient, fisher, integrated = (partial(score_heads, name) for name in ("gradient", "fisher", "integrated"))
each_method = pytest.mark.parametrize("method", [gradient, fisher, integrated])
Method = Callable[..., HeadScores]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("xlm-roberta", dtype=torch.float64)


def batches(seed: int = 0, budget: int = 40) -> list[Batch]:
    return scoring_batches(tiny_encoded(seed=seed), budget=budget)


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
    scores = score_heads("gradient-token", model, [batch], precision="fp32")
    np.testing.assert_allclose(scores.values[1], by_token.abs().sum(0).detach(), rtol=1e-9)
    assert (scores.values >= gradient(model, [batch], precision="fp32").values).all()


def test_per_batch_adds_up_before_the_absolute_value(model: PreTrainedModel) -> None:
    every = {sentence: own_gradient(model, sentence) for sentence in LABELLED}
    given = batches(budget=20)
    expected = sum(
        sum((every[s] for s in batch.sentences if s in every), torch.zeros(3, 4, dtype=torch.float64)).abs() for batch in given
    )
    scores = score_heads("gradient-batch", model, given, precision="fp32")
    np.testing.assert_allclose(scores.values, torch.as_tensor(expected) / len(LABELLED), rtol=1e-9)
    fewer = score_heads("gradient-batch", model, batches(budget=200), precision="fp32")
    assert not np.allclose(scores.values, fewer.values, rtol=1e-3)


@pytest.mark.parametrize("method", ["gradient", "gradient-token"])
def test_scores_do_not_depend_on_batches_even_with_windows(model: PreTrainedModel, method: str) -> None:
    one, other = (score_heads(method, model, given, precision="fp32") for given in (batches(budget=1), batches(budget=200)[::-1]))
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


def test_calling_it_without_gradients_enabled_is_fine(model: PreTrainedModel) -> None:
    expected = gradient(model, batches(), precision="fp32").values
    with torch.no_grad():
        assert np.array_equal(gradient(model, batches(), precision="fp32").values, expected)


def test_fisher_squares_gradients_before_they_are_added(model: PreTrainedModel) -> None:
    every = sentence_gradients(model, batches(), precision="fp32")
    scores = fisher(model, batches(), precision="fp32")
    assert scores.n == len(every) == 6
    assert scores.total is not None
    assert scores.signed is None
    np.testing.assert_allclose(scores.total, (every**2).sum(0), rtol=1e-9)
    np.testing.assert_allclose(scores.values, (every**2).mean(0), rtol=1e-9)
    assert not np.allclose(scores.values, every.mean(0) ** 2, rtol=0.05)


def test_small_gradients_do_not_vanish_when_squared() -> None:
    model = tiny_model("bert")
    usual = fisher(model, batches(), precision="fp32").values
    with torch.no_grad():
        model.classifier.weight *= 1e-24  # gradients as small as that: float32 has no square of them
    found = fisher(model, batches(), precision="fp32").values
    assert (found > 0).all()
    assert found.max() < 1e-40 < usual.min()


def mean_loss(model: PreTrainedModel, mask: HeadMask) -> float:
    total = n = 0.0
    with torch.no_grad(), gated(model, mask):
        for batch in batches():
            losses, labelled = sentence_losses(model, batch, "fp32")
            total += float(losses.sum())
            n += int(labelled.sum())
    return total / n


# random models on which four steps are enough for the midpoint rule's own rate to show
SMOOTH = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert")


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_shares_of_all_heads_add_up_to_the_loss_that_they_take_away(family: str) -> None:
    def taken_by(model: PreTrainedModel) -> float:
        return mean_loss(model, HeadMask(np.zeros((3, 4), bool))) - mean_loss(model, HeadMask.full(3, 4))

    # the two losses of a random model may be so close that a share of their difference means nothing
    models = (tiny_model(family, dtype=torch.float64, seed=seed) for seed in range(1, 30))
    model, taken = next((model, taken) for model in models if abs(taken := taken_by(model)) > 0.03)
    errors = {
        steps: abs(integrated(model, batches(), options={"steps": steps}, precision="fp32").values.sum() / taken - 1)
        for steps in (4, 8, 16, 64)
    }
    assert errors[64] < 0.02
    if family in SMOOTH:
        assert errors[16] < 0.02
        # the midpoint rule's own rate: the error is not one of the code, which would stay, and not that of a one-sided rule
        assert errors[4] / errors[8] == pytest.approx(4, rel=0.1)
        assert errors[8] / errors[16] == pytest.approx(4, rel=0.1)


def test_points_lie_in_the_middle_of_equal_parts_of_the_way(model: PreTrainedModel) -> None:
    every: list[Tensor] = []
    n = visit_gradients(model, batches(), Call(), lambda batch, gradients, _: every.append(gradients.sum(0)), at=(0.25, 0.75))
    scores = integrated(model, batches(), options={"steps": 2}, precision="fp32")
    np.testing.assert_allclose(scores.values, -torch.stack(every).sum(0) / 2 / n, rtol=1e-9)
    assert (scores.forward_passes, scores.backward_passes) == (2, 2)
    assert scores.settings == {"steps": 2, "precision": "fp32"}


def test_higher_means_that_the_head_lowers_the_loss() -> None:
    model = tiny_model("bert", dtype=torch.float64, layers=1, heads=1)
    with torch.no_grad():
        head, none = (
            sentence_losses(model, batches()[0], "fp32")[0].sum(),
            _without_the_head(model),
        )
    score = integrated(model, batches()[:1], precision="fp32").values[0, 0]
    assert abs(float(none - head)) > 1e-3
    assert np.sign(score) == np.sign(float(none - head))


def _without_the_head(model: PreTrainedModel) -> Tensor:
    with gated(model, HeadMask.without(1, 1, [HeadId(0, 0)])):
        return sentence_losses(model, batches()[0], "fp32")[0].sum()


def test_progress_counts_every_point_of_the_way(model: PreTrainedModel) -> None:
    class Counting(Silent):
        total = done = 0

        def start(self, total: int, what: str) -> None:
            self.total = total

        def advance(self, n: int) -> None:
            self.done += n

    watch = Counting()
    integrated(model, batches(), options={"steps": 3}, progress=watch)
    assert watch.done == watch.total == 3 * len(batches())


def test_no_steps_are_refused(model: PreTrainedModel) -> None:
    with pytest.raises(SettingError, match="option steps = 0: should be at least 1"):
        integrated(model, batches(), options={"steps": 0})


@each_method
def test_languages_merge_as_if_scored_together(model: PreTrainedModel, method: Method) -> None:
    parts = [method(model, batches(seed), precision="fp32") for seed in (0, 1)]
    together = method(model, batches(0) + batches(1), precision="fp32")
    assert together.total is not None
    assert (together.total < 0).any() == (method is integrated)
    np.testing.assert_allclose(combine(parts, "merged")[0].values, together.values, rtol=1e-9)


@each_method
def test_bf16_stays_near_float32_and_is_noted(method: Method) -> None:
    model = tiny_model("bert")
    one, other = (method(model, batches(), precision=precision) for precision in ("fp32", "bf16"))
    assert (one.settings["precision"], other.settings["precision"]) == ("fp32", "bf16")
    assert not np.array_equal(one.values, other.values)
    assert np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1] > 0.98
