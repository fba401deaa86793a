"""How well corpora were labelled, kept on disk so that statistics need no model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_bytes_atomic, write_json_atomic
from polyhead.studies.kept import remember


@dataclass(frozen=True, eq=False)
class Figures:
    """How well one corpus was labelled: metrics as fractions, counts `[sentences, k]` to resample, words scored."""

    metrics: Mapping[str, float]
    counts: NDArray[np.int64]
    n_words: int


def keep_figures(path: Path, figures: Mapping[str, Figures]) -> None:
    """Write PATH.safetensors (counts) and PATH.json (the rest), by name of the data, and note their hashes."""
    counts = {str(i): figure.counts for i, figure in enumerate(figures.values())}
    write_bytes_atomic(path.with_suffix(".safetensors"), save(counts))
    facts = [{"name": name, "metrics": dict(f.metrics), "n_words": f.n_words} for name, f in figures.items()]
    write_json_atomic(path.with_suffix(".json"), {"schema": 1, "figures": facts})
    remember(path.parent, path.with_suffix(".safetensors").name, path.with_suffix(".json").name)


def kept_figures(path: Path) -> dict[str, Figures] | None:
    """What `keep_figures` wrote; None if one of the two files is missing.

    Raises:
        StoreError: One of the two files is damaged.
    """
    if not (path.with_suffix(".safetensors").is_file() and path.with_suffix(".json").is_file()):
        return None
    try:
        counts = load_file(path.with_suffix(".safetensors"))
        facts = read_json(path.with_suffix(".json"))["figures"]
        return {f["name"]: Figures(f["metrics"], counts[str(i)], f["n_words"]) for i, f in enumerate(facts)}
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{path}: no usable figures ({error}): delete {path.parent} and run again") from None
