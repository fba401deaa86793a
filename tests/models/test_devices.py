import importlib
import inspect
import itertools
import pkgutil
from pathlib import Path

import pytest
import torch
from training_case import N_LABELS, tiny_encoded, tiny_model

import polyhead
from polyhead.cli.inputs import set_threads
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.data.labels import LabelSet
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import predict
from polyhead.learning.masked_evaluation import masked_labels
from polyhead.learning.training import fit
from polyhead.models.devices import (
    attention_kernel,
    autocast,
    free_threads,
    has_bf16_units,
    pick_device,
    pick_precision,
    placement,
)

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


def test_work_on_a_model_runs_where_the_model_is(machine, monkeypatch):
    machine(cuda=2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    layer = torch.nn.Linear(1, 1)
    assert placement(layer) == (CPU, "fp32")
    assert placement() == placement(layer, device="auto") == (torch.device("cuda"), "bf16")
    assert placement(layer, device="cuda:1", precision="fp32") == (torch.device("cuda", 1), "fp32")
    assert placement(layer, device=CPU, precision="bf16") == (CPU, "bf16")


MODULES = [module.name for module in pkgutil.walk_packages(polyhead.__path__, "polyhead.")]


@pytest.mark.parametrize("name", MODULES)
def test_device_and_precision_default_alike_everywhere(name):
    for function in vars(importlib.import_module(name)).values():
        if inspect.isfunction(function) and function.__module__ == name:
            for parameter in inspect.signature(function).parameters.values():
                if parameter.name in ("device", "precision"):
                    assert parameter.default in (inspect.Parameter.empty, None, "auto"), f"{function.__name__}({parameter})"


def test_unknown_precision():
    with pytest.raises(SettingError, match="'fp16'"):
        pick_precision("fp16", CPU)


def test_autocast():
    layer = torch.nn.Linear(2, 2)
    with autocast(CPU, "bf16"):
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert layer(torch.ones(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("work", "precision", "length", "plain"),
    [
        ("fit", "bf16", 192, True),
        ("fit", "fp32", 192, True),
        ("fit", "fp32", 193, False),
        ("score", "bf16", 192, True),
        ("score", "bf16", 193, False),
        ("score", "fp32", 16, False),
        ("predict", "bf16", 16, False),
        ("predict", "fp32", 16, False),
    ],
)
def test_attention_takes_the_faster_kernel(work, precision, length, plain):
    before = torch.backends.cuda.flash_sdp_enabled()
    with attention_kernel(CPU, length, precision, work=work):
        assert torch.backends.cuda.flash_sdp_enabled() == (before and not plain)
        assert torch.backends.cuda.math_sdp_enabled()
    with attention_kernel(torch.device("cuda"), length, precision, work=work):
        assert torch.backends.cuda.flash_sdp_enabled() == before
    assert torch.backends.cuda.flash_sdp_enabled() == before


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_every_pass_over_a_model_asks_for_its_kernel(monkeypatch, precision):
    asked = set()

    def note(device, length, in_precision, *, work):
        asked.add((work, in_precision, 0 < length < 32))
        return attention_kernel(device, length, in_precision, work=work)

    for module in ("learning.training", "learning.inference", "learning.masked_evaluation", "learning.losses"):
        monkeypatch.setattr(f"polyhead.{module}.attention_kernel", note)

    def works():
        found, rest = {work for work, *_ in asked}, {tuple(rest) for _, *rest in asked}
        asked.clear()
        assert rest == {(precision, True)}
        return found

    model, encoded = tiny_model(), tiny_encoded(6)
    batches, labels = scoring_batches(encoded), LabelSet(tuple("ABCDE"[:N_LABELS]))
    fit(model, encoded, TrainSpec(epochs=1, precision=precision), device=CPU)
    assert works() == {"fit"}
    predict(model, encoded, labels=labels, device=CPU, precision=precision)
    assert works() == {"predict"}
    masked_labels(model, batches, [HeadMask.full(2, 2)], encoded.words_per_sentence, precision=precision)
    assert works() == {"predict"}
    for method in ("gradient", "weight-gradient"):
        score_heads(method, model, batches, precision=precision)
        assert works() == {"score"}


@pytest.fixture
def cores(monkeypatch, tmp_path):
    """Makes the machine look as if so many cores, this one's share of them and other work were there."""

    def look(n, *, affinity=None, running=(1,), quota=None):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(torch, "get_num_threads", lambda: n)
        monkeypatch.setattr("os.cpu_count", lambda: n)
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(affinity or n)), raising=False)
        looks = itertools.cycle(running)
        read = Path.read_text

        def read_text(path, **kwargs):
            known = {"/proc/loadavg": f"0.5 0.5 0.5 {next(looks)}/99 7\n", "/sys/fs/cgroup/cpu.max": quota}
            if str(path) not in known:
                return read(path, **kwargs)
            if known[str(path)] is None:
                raise FileNotFoundError
            return known[str(path)]

        monkeypatch.setattr(Path, "read_text", read_text)

    return look


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ({}, 8),
        ({"affinity": 2}, 2),
        ({"running": (4,)}, 5),
        ({"running": (30,)}, 1),
        ({"running": (1, 9, 1, 1, 1)}, 8),
        ({"quota": "250000 100000\n"}, 2),
        ({"quota": "50000 100000\n"}, 1),
        ({"quota": "max 100000\n"}, 8),
        ({"quota": "nonsense"}, 8),
        ({"affinity": 4, "running": (7,), "quota": "300000 100000"}, 2),
    ],
)
def test_threads_are_those_whose_cores_are_free(cores, machine, expected):
    cores(8, **machine)
    assert free_threads() == expected


def test_threads_that_the_user_chose_stay(cores, monkeypatch):
    cores(8, running=(30,))
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert free_threads() == 8


def test_commands_take_the_free_cores_and_say_so(cores, monkeypatch, caplog):
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    cores(8, running=(4,))
    set_threads(None)
    set_threads(7)
    assert chosen == [5, 7]
    assert caplog.messages == [
        "other processes keep the CPU busy: computing with 5 of 8 threads; see --threads",
    ]


def test_float16_weights_are_not_mixed_with_bf16_on_a_cpu():
    model, encoded = tiny_model().half(), tiny_encoded(6)
    labels = LabelSet(tuple("ABCDE"[:N_LABELS]))
    batches = scoring_batches(encoded)
    score_heads("gradient", model, batches, precision="fp32")
    with pytest.raises(SettingError, match=r"call model\.float\(\) first"):
        score_heads("gradient", model, batches, precision="bf16")
    with pytest.raises(SettingError, match="float16"):
        predict(model, encoded, labels=labels, device=CPU, precision="bf16")
    with pytest.raises(SettingError, match="float16"):
        fit(model, encoded, TrainSpec(epochs=1, precision="bf16"), device=CPU)
