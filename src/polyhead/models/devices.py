"""Choice of device and precision: what the machine has, or what is named."""

import os
import re
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median_low
from typing import Final, Literal

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from polyhead.core.errors import SettingError

Precision = Literal["bf16", "fp32"]
PrecisionChoice = Literal["auto", "bf16", "fp32"]
Work = Literal["fit", "score", "predict"]
_SHORT = 192
_MEMORY: Final = Path("/proc/meminfo")


def _n_devices(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return int(kind == "cpu")


def pick_device(name: str | None = "auto") -> torch.device:
    """The named device, or the best one of this machine: CUDA, else MPS, else CPU.

    Args:
        name: `auto` (or None), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        SettingError: The name is unknown, or this machine has no such device.

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
        raise SettingError(f"device {name!r} is not on this machine, which has {found}; --device auto chooses the best one")
    return torch.device(kind, int(index)) if colon else torch.device(kind)


def free_threads() -> int:
    """The number of threads that find a free core now: at most torch's own default, at least 1.

    Torch's threads wait for one another after every operation, so one thread on a shared core delays all of them: training on
    all cores of a busy machine can take fifty times as long as on one. Counts the cores that this process may use (affinity,
    control group), minus the threads that other processes run now. Respects `OMP_NUM_THREADS`.
    """
    default = torch.get_num_threads()
    if "OMP_NUM_THREADS" in os.environ:
        return default
    cores = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return max(1, min(default, allowed, _quota(cores), cores - _busy()))


def _quota(cores: int) -> int:
    """CPU time that the control group allows, in cores."""
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
    """How many other threads run or wait for a core: the median of five samples; 0 where the system does not say."""
    looks = []
    for _ in range(5):
        try:
            looks.append(int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[0]) - 1)
        except (OSError, ValueError, IndexError):
            return 0
        time.sleep(0.002)
    return max(0, median_low(looks))


def free_memory() -> int | None:
    """Bytes of main memory that a program can still get; None if the system does not say (only Linux does)."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMORY.read_text(), re.MULTILINE) if _MEMORY.is_file() else None
    return None if found is None else 1024 * int(found[1])


def has_bf16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware (AMX or AVX512-BF16 on a CPU, CUDA from Ampere on)."""
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return False


def pick_precision(name: PrecisionChoice, device: torch.device) -> Precision:
    """The precision of matrix products: `auto` is bf16 where the hardware supports it, else fp32; weights stay float32.

    Raises:
        SettingError: The name is unknown.
    """
    if name == "auto":
        return "bf16" if has_bf16_units(device) else "fp32"
    if name not in ("bf16", "fp32"):
        raise SettingError(f"precision {name!r}: expected auto, bf16 or fp32")
    return name


def placement(
    model: nn.Module | None = None, *, device: torch.device | str | None = None, precision: PrecisionChoice = "auto"
) -> tuple[torch.device, Precision]:
    """The device and precision for training, scoring, prediction and evaluation.

    Args:
        model: Its device is the default; without a model, the machine's best device is.
        device: A device, or a name for `pick_device`.
        precision: A name for `pick_precision`.

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
    """A context in which matrix products run in `precision`; it does nothing for `fp32`."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def check_dtype(model: nn.Module, device: torch.device, precision: Precision) -> None:
    """Refuse float16 weights with bf16 on a CPU, where torch cannot mix the two.

    Raises:
        SettingError: The weights are float16.
    """
    if device.type == "cpu" and precision == "bf16" and any(p.dtype == torch.float16 for p in model.parameters()):
        raise SettingError("the weights are float16, which a CPU cannot mix with bf16; call model.float() first, or use fp32")


def attention_kernel(device: torch.device, length: int, precision: Precision, *, work: Work) -> AbstractContextManager[None]:
    """A context in which attention uses the faster kernel on a CPU, and torch's own choice elsewhere.

    Args:
        device: Of the model.
        length: Tokens in a row of the batch, padding included.
        precision: Of matrix products.
        work: `fit` and `score` run a backward pass, `predict` does not; `score` disables dropout.
    """
    # Measured on a CPU, forward and backward: in bf16 plain products take a fifth of the fused kernel's time at 16 to 64 tokens,
    # and the same time at about 200; in float32 the two are close, and training uses torch's own choice under attention dropout.
    # For the forward pass only, the fused kernel is two to eight times faster at every length.
    plain = {"fit": True, "score": precision == "bf16", "predict": False}[work]
    if device.type == "cpu" and length <= _SHORT and plain:
        return sdpa_kernel(SDPBackend.MATH)  # type: ignore[no-any-return]
    return nullcontext()
