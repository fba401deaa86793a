"""Which device and which precision the work runs in: chosen from what the machine has, or forced by name."""

import logging
import os
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median_low
from typing import Literal

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from polyhead.core.errors import SettingError

_LOG = logging.getLogger(__name__)
Precision = Literal["bf16", "fp32"]
PrecisionChoice = Literal["auto", "bf16", "fp32"]
Work = Literal["fit", "score", "predict"]
_SHORT = 192


def _n_devices(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return int(kind == "cpu")


def pick_device(name: str | None = "auto") -> torch.device:
    """The device called `name`, or the best one of this machine: CUDA, else MPS, else CPU.

    Args:
        name: `auto` (or None), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        SettingError: The name is none of these, or this machine has no such device.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name is None or name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if _n_devices(kind)))
    kind, colon, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not (index.isascii() and index.isdigit())):
        raise SettingError(f"device {name!r}: expected auto, cpu, cuda, cuda:N or mps")
    if int(index or 0) >= _n_devices(kind):
        found = ", ".join(f"{k} ({_n_devices(k)})" for k in ("cpu", "cuda", "mps") if _n_devices(k))
        raise SettingError(f"device {name!r} is not on this machine, which has {found}; use --device auto to take the best one")
    return torch.device(kind, int(index)) if colon else torch.device(kind)


def free_threads() -> int:
    """How many processor threads find a core free now: at most torch's own default, at least 1.

    Torch's threads wait for one another after every operation, so one that has to share its core with other work holds up all of
    them: a training on all cores of a busy machine can take fifty times as long as on one. Counted are the cores that this
    process may use (affinity, control group), less what other processes run at this moment. `OMP_NUM_THREADS` is obeyed.
    """
    default = torch.get_num_threads()
    if "OMP_NUM_THREADS" in os.environ:
        return default
    cores = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return max(1, min(default, allowed, _quota(cores), cores - _busy()))


def _quota(cores: int) -> int:
    """Cores' worth of time that the control group allows."""
    for path in (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")):
        try:
            words = path.read_text(encoding="ascii").split()
            period = words[1] if len(words) > 1 else path.with_name("cpu.cfs_period_us").read_text(encoding="ascii")
            if words[0] not in ("max", "-1"):
                return max(1, int(words[0]) // int(period))
        except (OSError, ValueError, ArithmeticError, IndexError):
            continue
    return cores


def _busy() -> int:
    """How many threads other than this one run or wait for a core: the middle of five looks; 0 where the system does not say."""
    looks = []
    for _ in range(5):
        try:
            looks.append(int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[0]) - 1)
        except (OSError, ValueError, IndexError):
            return 0
        time.sleep(0.002)
    return max(0, median_low(looks))


def has_bf16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware (AMX or AVX512-BF16 on a CPU, Ampere or later on CUDA)."""
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return False


def pick_precision(name: PrecisionChoice, device: torch.device) -> Precision:
    """The precision to compute in: `auto` is bf16 where the device has units for it, else fp32. Weights stay float32 in both.

    Raises:
        SettingError: The name is not one of `auto`, `bf16`, `fp32`.
    """
    if name == "auto":
        return "bf16" if has_bf16_units(device) else "fp32"
    if name not in ("bf16", "fp32"):
        raise SettingError(f"precision {name!r}: expected auto, bf16 or fp32")
    return name


def placement(
    model: nn.Module | None = None, *, device: torch.device | str | None = None, precision: PrecisionChoice = "auto"
) -> tuple[torch.device, Precision]:
    """The device and the precision that work runs in: one rule for training, scoring, prediction and evaluation.

    Args:
        model: Where it is is where work on it runs if no device is named; without a model that is the machine's best device.
        device: A device, or a name as `pick_device` reads it; `auto` is the machine's best.
        precision: `auto` is bf16 where that device has units for it, else fp32.

    Raises:
        SettingError: The device is not on this machine, or a name is unknown.

    >>> placement(nn.Linear(1, 1), precision="fp32")
    (device(type='cpu'), 'fp32')
    """
    if device is None and model is not None:
        device = next(model.parameters()).device
    where = device if isinstance(device, torch.device) else pick_device(device)
    return where, pick_precision(precision, where)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context in which matrix products run in `precision`; nothing is changed under `fp32`."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def check_dtype(model: nn.Module, device: torch.device, precision: Precision) -> None:
    """Refuse float16 weights where torch cannot mix them with bfloat16, which is on a CPU.

    Raises:
        SettingError: They are, with what to do instead.
    """
    if device.type == "cpu" and precision == "bf16" and any(p.dtype == torch.float16 for p in model.parameters()):
        raise SettingError("the weights are float16, which a CPU cannot mix with bf16; call model.float() first, or take fp32")


def attention_kernel(device: torch.device, length: int, precision: Precision, *, work: Work) -> AbstractContextManager[None]:
    """A context in which attention takes the faster of torch's two ways on a CPU; elsewhere torch's own choice stands.

    Args:
        device: Where the model is.
        length: Tokens in a row of the batch, padding included.
        precision: Of the matrix products.
        work: `fit` and `score` run a backward pass through attention, `predict` none; `score` has dropout off.
    """
    # Measured on a CPU, forward and back: in bf16 plain products take a fifth of the fused kernel's time at 16 to 64 tokens, and
    # as long at about 200; in float32 the two are close, and a training takes the way that torch itself takes under attention's
    # dropout. Forward alone the fused kernel is the faster one at every length, by two to eight times.
    plain = {"fit": True, "score": precision == "bf16", "predict": False}[work]
    if device.type == "cpu" and length <= _SHORT and plain:
        return sdpa_kernel(SDPBackend.MATH)  # type: ignore[no-any-return]
    return nullcontext()
