"""The one call that runs any method, and what it refuses."""

import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model

from polyhead.core.errors import UnknownNameError
from polyhead.importance.methods import method, score_heads
from polyhead.learning.batching import scoring_batches


def test_an_unknown_method_is_refused_with_the_names_there_are() -> None:
    for call in (lambda: method("gradients"), lambda: score_heads("gradients", tiny_model("bert"), ())):
        with pytest.raises(UnknownNameError, match=r"'gradients'.*weight-gradient-released"):
            call()


def test_options_reach_the_method() -> None:
    model, batches = tiny_model("bert", dtype=torch.float64), scoring_batches(tiny_encoded(), budget=40)
    assert score_heads("gradient-token", model, batches, precision="fp32").settings == {
        "per": "token",
        "precision": "fp32",
    }
    assert score_heads("random", model, (), seed=3).settings == {"seed": 3}
    assert score_heads("weight-gradient", model, batches, precision="bf16").settings == {"precision": "bf16"}
