"""Pack the cells of `method_cells.py`, `search_for_k.py` and `repair.py` into small archives, one per fine-tuning.

    python benchmarks/cell_archive.py pack method     # runs/benchmarks → results/method_cells/SEED.safetensors.xz
    python benchmarks/cell_archive.py pack repair     # only cells of `repair.py` → results/repair_cells
    python benchmarks/cell_archive.py unpack method   # and back; existing cells are kept

Tables can then be made again, and measuring can continue later if fine-tuning gives the same weights (`fine_tuned.py` refuses
others). Repair has its own archives, because its seed 42 is a different fine-tuning from that of the other tables; unpack the two
into different folders (POLYHEAD_BENCHMARKS).
"""

import argparse
import lzma
import sys
from pathlib import Path

import numpy as np
from environment import RESULTS
from fine_tuned import SEEDS
from method_cells import DEFAULT
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save, save_file
from treebanks import WORK

from polyhead.core.files import write_text_atomic

KINDS = ("method", "repair")
_REPAIR = "repair"


def archive_of(kind: str, seed: int) -> Path:
    return RESULTS / f"{kind}_cells" / f"{seed}.safetensors.xz"


def pack(kind: str, seed: int) -> None:
    """Write curves as int16 differences from one k to the next, which compress well; scores, oracles and identities unchanged."""
    tensors = _repairs(seed) if kind == "repair" else _curves(seed)
    if not tensors:
        return
    archive, texts = archive_of(kind, seed), {str(path.relative_to(WORK)): path.read_text() for path in _texts(kind, seed)}
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(lzma.compress(save(tensors, texts), preset=9))


def _texts(kind: str, seed: int) -> list[Path]:
    names = {
        "identity": [f"mini-*-{seed}.txt" if kind == "repair" else f"*-{seed}.txt"],
        "scores": [f"{DEFAULT}.en.{seed}.json" if kind == "repair" else f"*.{seed}.json"],
    }
    if kind == "method":
        names |= {"oracles": [f"*.{seed}.json"], "search": [f"{seed}.*.json"]}
    if seed == SEEDS[0]:
        names["identity"] += ["*-dev-*.txt", "*-train-*.txt"]
    return sorted({path for folder, own in names.items() for name in own for path in (WORK / folder).glob(name)})


def _curves(seed: int) -> dict[str, NDArray[np.int16]]:
    """Differences of every curve, by its file."""
    return {path.name: _steps(load_file(path)["counts"]) for path in sorted((WORK / "curves").glob(f"*.{seed}.safetensors"))}


def _repairs(seed: int) -> dict[str, NDArray[np.int16]]:
    """Counts of every repaired model, by `repair/FILE/LANGUAGE`."""
    files = sorted((WORK / _REPAIR).glob(f"*.{seed}.*.safetensors"))
    return {f"{_REPAIR}/{path.name}/{key}": own.astype(np.int16) for path in files for key, own in load_file(path).items()}


def _steps(counts: NDArray[np.int64]) -> NDArray[np.int16]:
    steps = np.diff(counts, axis=0, prepend=np.zeros_like(counts[:1])).astype(np.int16)
    assert np.array_equal(np.cumsum(steps, axis=0, dtype=np.int64), counts)
    return steps


def unpack(kind: str, seed: int) -> None:
    """Unpack every cell that does not exist yet."""
    archive = archive_of(kind, seed)
    if not archive.is_file():
        return
    plain = WORK / f"{seed}.unpacked"
    WORK.mkdir(parents=True, exist_ok=True)
    plain.write_bytes(lzma.decompress(archive.read_bytes()))
    try:
        with safe_open(plain, framework="np") as file:
            texts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    finally:
        plain.unlink()
    _refuse_others(texts)
    for name, text in texts.items():
        if not (WORK / name).is_file():
            write_text_atomic(WORK / name, text)
    repairs: dict[str, dict[str, NDArray[np.int64]]] = {}
    for name, steps in tensors.items():
        if name.startswith(f"{_REPAIR}/"):
            _, path, language = name.split("/")
            repairs.setdefault(path, {})[language] = steps.astype(np.int64)
        else:
            _save_new(WORK / "curves" / name, {"counts": np.cumsum(steps, axis=0, dtype=np.int64)})
    for path, counts in repairs.items():
        _save_new(WORK / _REPAIR / path, counts)


def _save_new(path: Path, tensors: dict[str, NDArray[np.int64]]) -> None:
    path.parent.mkdir(exist_ok=True)
    if not path.is_file():
        save_file(tensors, path)


def _refuse_others(texts: dict[str, str]) -> None:
    """Refuse to mix cells of two fine-tunings, or of two text samples, in one folder."""
    for name, text in texts.items():
        if name.startswith("identity/") and (WORK / name).is_file() and (WORK / name).read_text() != text:
            sys.exit(f"{WORK / name}: cells here are of another {Path(name).stem}; name another folder by POLYHEAD_BENCHMARKS")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=["pack", "unpack"])
    parser.add_argument("kind", choices=KINDS)
    options = parser.parse_args()
    for each in SEEDS:
        (pack if options.way == "pack" else unpack)(options.kind, each)
