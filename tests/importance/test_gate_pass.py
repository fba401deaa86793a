"""The shared pass against a loop over sentences, and its side effects."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import MASKS, PAD, tiny_model
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.importance.gate_pass import sentence_gradients, visit_gradients
from polyhead.importance.method import Call
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, collate, scoring_batches
from polyhead.models.gates import gated
from polyhead.models.pruning import prune

ENCODED = tiny_encoded()
LABELLED = [0, 1, 2, 3, 4, 6]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("xlm-roberta", dtype=torch.float64)


def batches(budget: int = 40) -> list[Batch]:
    return scoring_batches(ENCODED, budget=budget)


def own_gradient(model: PreTrainedModel, sentence: int, at: float = 1.0) -> Tensor:
    batch = collate([[window for window in ENCODED.windows if window.sentence == sentence]], pad_id=PAD)
    gates = torch.full((3, 4), at, dtype=torch.float64, requires_grad=True)
    with gated(model, gates):
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        loss = cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
        (found,) = torch.autograd.grad(loss, gates)
    return found


def test_every_sentence_gets_its_own_gradient_at_every_value_of_the_gates(model: PreTrainedModel) -> None:
    seen: list[tuple[Batch, Tensor, Tensor]] = []
    n = visit_gradients(model, batches(), Call(), lambda *given: seen.append(given), at=(1.0, 0.25))
    assert n == len(LABELLED)
    assert len(seen) == 2 * len(batches())
    for number, (batch, gradients, labelled) in enumerate(seen):
        assert [s for s, has in zip(batch.sentences, labelled, strict=True) if has] == [s for s in batch.sentences if s != 5]
        assert not gradients.requires_grad
        for sentence, found in zip(batch.sentences, gradients, strict=True):
            expected = torch.zeros(3, 4) if sentence == 5 else own_gradient(model, sentence, (1.0, 0.25)[number % 2])
            torch.testing.assert_close(found, expected.double(), rtol=1e-9, atol=1e-15)


def test_by_token_the_shares_of_a_sentence_add_up_to_its_gradient(model: PreTrainedModel) -> None:
    seen: dict[int, Tensor] = {}

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        assert gradients.shape == (*batch.input_ids.shape, 3, 4)
        assert gradients[~batch.attention_mask.bool()].count_nonzero() == 0
        shares = gradients.new_zeros(len(batch.sentences), 3, 4).index_add(0, batch.rows, gradients.sum(dim=1))
        seen.update(zip(batch.sentences, shares, strict=True))

    visit_gradients(model, batches(), Call(), visit, by_token=True)
    for sentence in LABELLED:
        torch.testing.assert_close(seen[sentence], own_gradient(model, sentence), rtol=1e-9, atol=1e-15)


def test_sentence_gradients_are_signed_and_in_the_order_of_the_data(model: PreTrainedModel) -> None:
    expected = torch.stack([own_gradient(model, sentence) for sentence in LABELLED])
    for given in (batches(), batches(1)[::-1]):
        found = sentence_gradients(model, given, precision="fp32")
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(
        np.abs(found).mean(0), score_heads("gradient", model, batches(), precision="fp32").values, rtol=1e-9
    )


def test_sentence_gradients_of_pruned_heads_are_nan() -> None:
    for mask in MASKS.values():
        found = sentence_gradients(prune(tiny_model("bert"), mask), batches(), precision="fp32")
        assert found.shape == (len(LABELLED), 3, 4)
        assert (np.isnan(found) == ~mask.keep).all()


def test_gates_below_one_are_taken_under_bf16() -> None:
    model = tiny_model("bert")
    found: dict[tuple[str, float], Tensor] = {}
    for precision in ("fp32", "bf16"):
        for at in (0.5, 1.0):
            every: list[Tensor] = []
            visit_gradients(
                model,
                batches(),
                Call(precision=precision),  # type: ignore[arg-type]
                lambda batch, gradients, labelled, every=every: every.append(gradients),  # type: ignore[misc]
                at=(at,),
            )
            found[precision, at] = torch.cat(every).flatten()
    assert found["bf16", 0.5].dtype == torch.float32
    assert not torch.equal(found["bf16", 0.5], found["fp32", 0.5])
    for at in (0.5, 1.0):
        assert np.corrcoef(found["bf16", at], found["fp32", at])[0, 1] > 0.98
    assert np.corrcoef(found["bf16", 0.5], found["fp32", 1.0])[0, 1] < 0.95


class Recorder:
    """A `Progress` that writes down what it is told, and stops the work when asked."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.told: list[object] = []
        self.done = 0
        self._stop_at = stop_at

    def start(self, total: int, what: str) -> None:
        self.told.append((total, what))

    def advance(self, n: int) -> None:
        self.done += n
        if self.done == self._stop_at:
            raise KeyboardInterrupt

    def stop(self) -> None:
        self.told.append("stop")


def test_progress_counts_batches_times_values_and_is_stopped_whatever_happens(model: PreTrainedModel) -> None:
    given, whole, broken = batches(), Recorder(), Recorder(stop_at=2)
    visit_gradients(model, given, Call(progress=whole), lambda *_: None, at=(0.5, 1.0))
    assert (whole.told, whole.done) == ([(2 * len(given), "score heads"), "stop"], 2 * len(given))
    with pytest.raises(KeyboardInterrupt):
        sentence_gradients(model, given, precision="fp32", progress=broken)
    assert broken.told == [(len(given), "score heads"), "stop"]


def test_data_without_labels_are_refused_before_any_work(model: PreTrainedModel) -> None:
    bare = [replace(batch, anchor_labels=torch.full_like(batch.anchor_labels, -100)) for batch in batches()]
    watch = Recorder()
    with pytest.raises(SettingError, match="no sentence has a labelled word"):
        sentence_gradients(model, bare, progress=watch)
    assert watch.told == []
