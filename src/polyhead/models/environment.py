"""What a result depends on besides its settings: versions, processor, threads, the files of the encoder."""

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from polyhead.models.own_encoders import model_folder

PACKAGES = ("polyhead", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy")


def environment(device: torch.device, precision: str) -> dict[str, object]:
    """Versions, processor, thread count, device and precision of this process, as plain JSON values."""
    return {
        **versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "precision": precision,
    }


def versions() -> dict[str, str]:
    """Version of Python and of every package that decides a number."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def processor() -> str:
    """The processor's model name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def model_hash(model: str) -> str:
    """sha256 over the weights and the config of a local model folder; a hub id is its own name and gives an empty text."""
    folder = model_folder(model)
    if not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
