"""Integrated gate gradients against the losses at both ends of the way, and against points taken one by one."""

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.progress import Silent
from polyhead.importance.gate_pass import visit_gradients
from polyhead.importance.gradients import integrated
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.scoring_mode import sentence_losses
from polyhead.models.architectures import ARCHITECTURES
from polyhead.models.gates import gated
from polyhead.selection.combining import combine


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("bert", dtype=torch.float64)


def batches(seed: int = 0) -> list[Batch]:
    return scoring_batches(tiny_encoded(seed=seed), budget=40)


def mean_loss(model: PreTrainedModel, mask: HeadMask) -> float:
    total = n = 0.0
    with torch.no_grad(), gated(model, mask):
        for batch in batches():
            losses, labelled = sentence_losses(model, batch, "fp32")
            total += float(losses.sum())
            n += int(labelled.sum())
    return total / n


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_shares_of_all_heads_add_up_to_the_loss_that_they_take_away(family: str) -> None:
    # with another seed the two losses of a random model may be so close that a share of their difference means nothing
    model = tiny_model(family, dtype=torch.float64, seed=1)
    taken = mean_loss(model, HeadMask(np.zeros((3, 4), bool))) - mean_loss(model, HeadMask.full(3, 4))
    errors = {
        steps: abs(integrated(model, batches(), steps=steps, precision="fp32").values.sum() / taken - 1) for steps in (4, 8, 16)
    }
    assert abs(taken) > 0.03
    assert errors[16] < 0.02
    # the midpoint rule's own rate: the error is not one of the code, which would stay, and not that of a one-sided rule
    assert errors[4] / errors[8] == pytest.approx(4, rel=0.1)
    assert errors[8] / errors[16] == pytest.approx(4, rel=0.1)


def test_points_lie_in_the_middle_of_equal_parts_of_the_way(model: PreTrainedModel) -> None:
    every: list[Tensor] = []
    n = visit_gradients(
        model,
        batches(),
        lambda batch, gradients, _: every.append(gradients.sum(0)),
        at=(0.25, 0.75),
        precision="fp32",
        progress=None,
    )
    scores = integrated(model, batches(), steps=2, precision="fp32")
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


def test_languages_merge_as_if_scored_together(model: PreTrainedModel) -> None:
    parts = [integrated(model, batches(seed), steps=4, precision="fp32") for seed in (0, 1)]
    together = integrated(model, batches(0) + batches(1), steps=4, precision="fp32")
    assert together.total is not None
    assert (together.total < 0).any()
    np.testing.assert_allclose(combine(parts, "merged")[0].values, together.values, rtol=1e-9)


def test_bf16_stays_near_float32() -> None:
    model = tiny_model("bert")
    one, other = (integrated(model, batches(), precision=precision).values for precision in ("fp32", "bf16"))
    assert not np.array_equal(one, other)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98


def test_progress_counts_every_point(model: PreTrainedModel) -> None:
    class Counting(Silent):
        total = done = 0

        def start(self, total: int, what: str) -> None:
            self.total = total

        def advance(self, n: int) -> None:
            self.done += n

    watch = Counting()
    integrated(model, batches(), steps=3, progress=watch)
    assert watch.done == watch.total == 3 * len(batches())


def test_no_steps_are_refused(model: PreTrainedModel) -> None:
    with pytest.raises(SettingError, match="steps 0: expected"):
        integrated(model, batches(), steps=0)
