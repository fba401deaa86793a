import pytest
import torch

from polyhead.devices import autocast, has_bf16_units, pick_device, pick_precision
from polyhead.errors import SettingError

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Makes the machine look as if it had other devices."""

    def look(*, cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return look


@pytest.mark.parametrize(
    ("has", "expected"), [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": 1, "mps": True}, "cuda"), ({"cuda": 2}, "cuda")]
)
def test_auto_takes_the_best(machine, has, expected):
    machine(**has)
    assert pick_device() == pick_device(None) == torch.device(expected)


def test_names_are_obeyed(machine):
    machine(cuda=2, mps=True)
    assert pick_device("cpu") == CPU
    assert pick_device("mps") == torch.device("mps")
    assert pick_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:-1", "gpu", "cuda:", "mps:1", "tpu:0", ""])
def test_what_is_not_there_is_refused(machine, name):
    machine(cuda=2, mps=True)
    with pytest.raises(SettingError, match=f"device '{name}'"):
        pick_device(name)


def test_refusal_says_what_there_is(machine):
    machine()
    with pytest.raises(SettingError, match=r"'cuda' is not on this machine, which has cpu \(1\)"):
        pick_device("cuda")


@pytest.mark.parametrize(
    ("found", "expected"),
    [({}, "fp32"), ({"avx512_f": True}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")],
)
def test_precision_follows_the_processor(monkeypatch, found, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert has_bf16_units(CPU) == (expected == "bf16")
    assert pick_precision("auto", CPU) == expected
    assert pick_precision("bf16", CPU) == "bf16"
    assert pick_precision("fp32", CPU) == "fp32"


def test_unknown_precision():
    with pytest.raises(SettingError, match="'fp16'"):
        pick_precision("fp16", CPU)


def test_autocast():
    layer = torch.nn.Linear(2, 2)
    with autocast(CPU, "bf16"):
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert layer(torch.ones(1, 2)).dtype == torch.float32
