"""The learning rate at each step, and what decays."""

import pytest
from training_case import tiny_model

from polyhead.core.specs import TrainSpec
from polyhead.learning.optimiser import build_optimiser, rate_factor


def test_rate_rises_then_falls_and_is_never_zero():
    factors = [rate_factor(step, total=100, warmup=0.06) for step in range(100)]
    assert factors[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert factors[6] == 1
    assert factors[6:] == sorted(factors[6:], reverse=True)
    assert min(factors) == pytest.approx(1 / 94)


@pytest.mark.parametrize(("warmup", "expected"), [(0.0, [1, 2 / 3, 1 / 3]), (1.0, [1 / 3, 2 / 3, 1])])
def test_no_warm_up_and_nothing_else(warmup, expected):
    assert [rate_factor(step, total=3, warmup=warmup) for step in range(3)] == pytest.approx(expected)


def test_only_matrices_decay():
    model = tiny_model()
    optimiser = build_optimiser(model.parameters(), TrainSpec(weight_decay=0.3), rate=1.0)
    decays = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        spared = name.endswith("bias") or "LayerNorm" in name
        assert decays[id(parameter)] == (0.0 if spared else 0.3), name
