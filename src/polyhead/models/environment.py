"""What a result depends on besides its settings: versions, processor, threads, model files."""

import hashlib
import logging
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import transformers

from polyhead.models.names import is_local
from polyhead.models.sources import checkpoint_folder

_LOG = logging.getLogger(__name__)
PACKAGES = ("polyhead", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy")


def environment(device: torch.device, precision: str) -> dict[str, str | int]:
    """Versions, processor, thread count, device and precision of this process, as plain JSON values."""
    return {
        **versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "precision": precision,
    }


def versions() -> dict[str, str]:
    """Versions of Python and of every package that affects results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def model_hash(model: str, *, revision: str | None = None) -> str:
    """The commit of a hub model, else the sha256 of weights, config and tokenizer.

    Raises:
        CheckpointError: The model cannot be found.
    """
    folder = checkpoint_folder(model, revision=revision)
    if not is_local(model):
        return folder.name
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def machine(device: torch.device) -> dict[str, str]:
    """Facts that the last bits of a result depend on."""
    found = {"threads": str(torch.get_num_threads()), "device": device.type}
    return found | {"torch": str(torch.__version__), "transformers": str(transformers.__version__)}


def warn_of_another_machine(what: str, now: Mapping[str, str], began: Mapping[str, str]) -> None:
    """Log each difference between the `machine` that began the work and the one that continues it."""
    for name, value in now.items():
        if began.get(name) != value:
            _LOG.warning(
                "%s continues with %s %s after starting with %s: last digits may differ", what, name, value, began.get(name)
            )
