"""The cells of `method_cells.py`, `search_for_k.py` and `repair.py` in files small enough to keep, one a fine-tuning.

    python benchmarks/cell_archive.py pack      # runs/benchmarks → results/method_cells/SEED.safetensors.xz
    python benchmarks/cell_archive.py unpack    # and back; what is there is not touched

So tables can be made again, and measuring goes on in another sitting, where fine-tuning gives the same weights again
(`fine_tuned.py` refuses others).
"""

import lzma
import sys
from pathlib import Path

import numpy as np
from environment import RESULTS
from fine_tuned import SEEDS, WORK
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save, save_file

from polyhead.store import write_text_atomic

FOLDER = RESULTS / "method_cells"
_TEXTS = ("scores", "oracles", "identity", "search")
_REPAIR = "repair"


def pack(seed: int) -> Path | None:
    """Curves as int16 steps from one k to the next, which compress well; scores, oracles and identities as they are."""
    curves = {path.name: load_file(path)["counts"] for path in sorted((WORK / "curves").glob(f"*.{seed}.safetensors"))}
    if not curves:
        return None
    texts = {str(path.relative_to(WORK)): path.read_text() for path in _texts(seed)}
    content = save({name: _steps(counts) for name, counts in curves.items()} | _repairs(seed), texts)
    FOLDER.mkdir(parents=True, exist_ok=True)
    archive = FOLDER / f"{seed}.safetensors.xz"
    archive.write_bytes(lzma.compress(content, preset=9))
    return archive


def _texts(seed: int) -> list[Path]:
    names = [f"*.{seed}.json", f"*-{seed}.txt", f"{seed}.*.json"]
    if seed == SEEDS[0]:
        names.append("*-dev-*.txt")
    return sorted({path for folder in _TEXTS for name in names for path in (WORK / folder).glob(name)})


def _repairs(seed: int) -> dict[str, NDArray[np.int16]]:
    """Counts of every repaired cut by `repair/FILE/LANGUAGE`."""
    files = sorted((WORK / _REPAIR).glob(f"*.{seed}.*.safetensors"))
    return {f"{_REPAIR}/{path.name}/{key}": own.astype(np.int16) for path in files for key, own in load_file(path).items()}


def _steps(counts: NDArray[np.int64]) -> NDArray[np.int16]:
    steps = np.diff(counts, axis=0, prepend=np.zeros_like(counts[:1])).astype(np.int16)
    assert np.array_equal(np.cumsum(steps, axis=0, dtype=np.int64), counts)
    return steps


def unpack(seed: int) -> None:
    """Every cell of the archive that is not there yet."""
    archive = FOLDER / f"{seed}.safetensors.xz"
    if not archive.is_file():
        return
    plain = WORK / f"{seed}.unpacked"
    WORK.mkdir(parents=True, exist_ok=True)
    plain.write_bytes(lzma.decompress(archive.read_bytes()))
    with safe_open(plain, framework="np") as file:
        for name, text in (file.metadata() or {}).items():
            if not (WORK / name).is_file():
                write_text_atomic(WORK / name, text)
        (WORK / "curves").mkdir(exist_ok=True)
        repairs: dict[str, dict[str, NDArray[np.int64]]] = {}
        for name in file.keys():  # noqa: SIM118
            if name.startswith(f"{_REPAIR}/"):
                _, path, key = name.split("/")
                repairs.setdefault(path, {})[key] = file.get_tensor(name).astype(np.int64)
            elif not (WORK / "curves" / name).is_file():
                save_file({"counts": np.cumsum(file.get_tensor(name), axis=0, dtype=np.int64)}, WORK / "curves" / name)
        for path, counts in repairs.items():
            (WORK / _REPAIR).mkdir(exist_ok=True)
            if not (WORK / _REPAIR / path).is_file():
                save_file(counts, WORK / _REPAIR / path)
    plain.unlink()


if __name__ == "__main__":
    for each in SEEDS:
        {"pack": pack, "unpack": unpack}[sys.argv[1]](each)
