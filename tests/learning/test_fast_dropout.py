import subprocess
import sys

import pytest
import torch
from torch import nn
from training_case import tiny_model

from polyhead.learning.fast_dropout import BitDropout, RandomBits, cheap_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drops_a_share_p_and_keeps_the_mean(p):
    dropout, values = BitDropout(p, RandomBits()), torch.ones(2_000_000)
    out = dropout(values)
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=2e-3)
    assert out.mean().item() == pytest.approx(1.0, abs=5e-3 / (1 - p))
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=2e-4)


def test_neighbours_are_independent():
    out = (BitDropout(0.5, RandomBits())(torch.ones(1_000_000)) > 0).float()
    for distance in (1, 2, 3, 4, 8):
        together = (out[:-distance] * out[distance:]).mean().item()
        assert together == pytest.approx(0.25, abs=3e-3)


def test_gradient_is_the_same_mask():
    values = torch.randn(1000, requires_grad=True)
    out = BitDropout(0.3, RandomBits())(values)
    out.sum().backward()
    assert torch.equal(values.grad * values.detach(), out.detach())


def test_bits_follow_from_seed_step_and_call():
    bits = RandomBits()

    def draw(seed, step):
        bits.start(seed, step)
        return torch.cat([bits.take(10), bits.take(300_000), bits.take(10)])

    first = draw(1, 2)
    assert torch.equal(draw(1, 2), first)
    assert not torch.equal(draw(1, 3), first)
    assert not torch.equal(draw(2, 2), first)
    assert not torch.equal(first[:10], first[-10:])


def test_eval_mode_changes_nothing():
    values = torch.randn(100)
    assert BitDropout(0.5, RandomBits()).eval()(values) is values


def test_model_is_given_back_even_after_an_exception():
    model = tiny_model()
    before = dict(model.named_modules())

    def fail():
        with cheap_dropout(model):
            assert any(isinstance(module, BitDropout) for module in model.modules())
            model.eval()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert dict(model.named_modules()) == before
    assert not any(module.training for module in model.modules())


def test_a_model_that_recomputes_keeps_its_own():
    model = tiny_model()
    model.gradient_checkpointing_enable()
    with cheap_dropout(model):
        assert not any(isinstance(module, BitDropout) for module in model.modules())


def test_p_of_zero_and_one_are_left_to_torch():
    model = nn.Sequential(nn.Dropout(0.0), nn.Dropout(1.0), nn.Dropout(0.2))
    with cheap_dropout(model):
        assert [type(module) for module in model] == [nn.Dropout, nn.Dropout, BitDropout]


def test_a_compiled_model_keeps_its_own():
    model = nn.Sequential(torch.compile(nn.Sequential(nn.Dropout(0.2)), backend="eager"))
    with cheap_dropout(model):
        assert not any(isinstance(module, BitDropout) for module in model.modules())


def test_the_compiler_is_not_imported_to_see_that_nothing_was_compiled():
    code = """
import sys
from torch import nn
from polyhead.learning.fast_dropout import BitDropout, cheap_dropout
model = nn.Sequential(nn.Dropout(0.2))
with cheap_dropout(model):
    assert type(model[0]) is BitDropout
assert "torch._dynamo" not in sys.modules
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
