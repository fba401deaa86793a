"""Threads that share a model take turns, and leave it as it was."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.progress import Silent
from polyhead.data.labels import LabelSet
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import predict

ENCODED = tiny_encoded()
BATCHES = scoring_batches(ENCODED, budget=40)


class Pausing(Silent):
    """Lets a pass begin, and stops it there until it may continue."""

    def __init__(self) -> None:
        self.begun, self.may_continue = threading.Event(), threading.Event()

    def advance(self, n: int) -> None:
        self.begun.set()
        assert self.may_continue.wait(60)


def model_with_frozen_embeddings() -> PreTrainedModel:
    model = tiny_model("bert").train()
    model.base_model.embeddings.requires_grad_(False)
    return model


def test_two_threads_that_score_one_model_take_turns_and_leave_it_as_it_was() -> None:
    model, pause = model_with_frozen_embeddings(), Pausing()
    alone = score_heads("gradient", model, BATCHES).values
    asked = [parameter.requires_grad for parameter in model.parameters()]
    labels = LabelSet(tuple("abcde"))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(score_heads, "gradient", model, BATCHES, progress=pause)
        assert pause.begun.wait(60)
        others = [pool.submit(score_heads, "gradient", model, BATCHES), pool.submit(predict, model, ENCODED, labels=labels)]
        pause.may_continue.set()
        scores = [first.result(), others[0].result()]
        assert others[1].result() == predict(model, ENCODED, labels=labels)
    assert all(np.array_equal(own.values, alone) for own in scores)
    assert [parameter.requires_grad for parameter in model.parameters()] == asked
    assert all(module.training for module in model.modules())


def test_a_thread_that_waits_in_vain_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhead.learning.scoring_mode._PATIENCE", 0.01)
    model, pause = model_with_frozen_embeddings(), Pausing()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(score_heads, "gradient", model, BATCHES, progress=pause)
        assert pause.begun.wait(60)
        with pytest.raises(SettingError, match="another thread is using this model; give each thread a copy of the model"):
            score_heads("gradient", model, BATCHES)
        pause.may_continue.set()
        first.result()
    assert score_heads("gradient", model, BATCHES) == first.result()
