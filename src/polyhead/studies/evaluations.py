"""How well corpora were labelled: scores in points, and figures kept on disk so that statistics need no model."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from transformers import PreTrainedModel

from polyhead.core.errors import StoreError
from polyhead.core.files import write_bytes_atomic
from polyhead.data.corpora import independent, row_groups
from polyhead.learning.inference import Labelled, evaluate
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.resampling import redrawn
from polyhead.studies.context import RunContext
from polyhead.studies.kept import remember
from polyhead.studies.stages import version

SENTENCES: Final = 500
"""Of each dev set, those that nested masks are scored on."""


@dataclass(frozen=True, eq=False)
class Figures:
    """How well one corpus was labelled: metrics as fractions, counts `[sentences, k]` to resample, words scored, its seconds."""

    metrics: Mapping[str, float]
    counts: NDArray[np.int64]
    n_words: int
    seconds: float = 0.0


def figures_of(context: RunContext, model: PreTrainedModel, datasets: Mapping[str, Labelled]) -> dict[str, Figures]:
    """Figures of a model by name of the data; all data go through it in one pass."""
    inputs, where = context.inputs, context.device
    started = time.perf_counter()
    found = evaluate(
        model, datasets, inputs.task, inputs.encoder.labels, device=where, precision=context.precision, progress=context.progress
    )
    a_word = (time.perf_counter() - started) / max(1, sum(item.n_words for item in found.values()))
    return {name: Figures(dict(item.metrics), item.counts, item.n_words, item.n_words * a_word) for name, item in found.items()}


def points(context: RunContext, figures: Mapping[str, Figures]) -> float:
    """The main metric in points (0..100), pooled over corpora."""
    return 100 * pooled(context, {name: own.metrics[context.inputs.task.metric] for name, own in figures.items()})


def points_by_name(context: RunContext, figures: Mapping[str, Figures]) -> dict[str, float]:
    """The main metric of each corpus in points (0..100)."""
    return {name: 100 * own.metrics[context.inputs.task.metric] for name, own in figures.items()}


def standard_error(context: RunContext, figures: Mapping[str, Figures]) -> float:
    """Standard error of `points`, by bootstrap over sentences: translations by row together, other corpora independently."""
    groups = row_groups({name: len(own.counts) for name, own in figures.items()})
    parts: dict[str, NDArray[np.float64]] = {}  # equal numbers of sentences and one seed: the same rows are drawn in each
    for name, own in figures.items():
        weight = pooled(context, {other: float(other == name) for other in figures})
        scores = redrawn(independent(name, own.counts), lambda counts: metric_from_counts(context.inputs.task, counts), seed=0)
        parts[groups[name]] = parts.get(groups[name], 0.0) + weight * scores
    return float(100 * np.sqrt(sum(np.var(part, ddof=1) for part in parts.values())))


def pooled(context: RunContext, values: Mapping[str, float]) -> float:
    """The mean over languages of the means over each one's corpora."""
    by_language: dict[str, list[float]] = {}
    for name, value in values.items():
        by_language.setdefault(context.inputs.languages[name], []).append(value)
    return float(np.mean([np.mean(own) for own in by_language.values()]))


def drawn_part(context: RunContext, data: Labelled) -> Labelled:
    """At most `SENTENCES` sentences, drawn by the run's sample seed, in file order."""
    order = np.random.default_rng(context.settings.sample_seed).permutation(data.encoded.n_sentences)
    return data.part(sorted(order[:SENTENCES].tolist()))


def kept_figures(folder: Path, data: Mapping[str, Labelled], keys: Mapping[str, str]) -> dict[str, Figures] | None:
    """The figures of a fine-tuning's folder by name of the data; None if those of one are missing.

    Raises:
        StoreError: A file is damaged.
    """
    found = {name: _kept(_path(folder, keys[name])) for name in data}
    whole = {name: own for name, own in found.items() if own is not None}
    return whole if len(whole) == len(found) else None


def figures_once(
    context: RunContext, folder: Path, data: Mapping[str, Labelled], keys: Mapping[str, str], model: Callable[[], PreTrainedModel]
) -> dict[str, Figures]:
    """The figures by name of the data, kept in the folder; missing ones take one pass of the model over their data."""
    found = {name: _kept(_path(folder, keys[name])) for name in data}
    if missing := {name: data[name] for name, own in found.items() if own is None}:
        figures = figures_of(context, model(), missing)
        context.store.check(folder.name)
        for name, own in figures.items():
            path = _path(folder, keys[name])
            facts = {"schema": "1", "name": name, "metrics": json.dumps(dict(own.metrics))}
            facts |= {"n_words": str(own.n_words), "seconds": f"{own.seconds:.3f}"}
            write_bytes_atomic(path, save({"counts": own.counts}, metadata=facts))
            remember(folder, path.name)
            found[name] = own
    return {name: own for name, own in found.items() if own is not None}


def _path(folder: Path, key: str) -> Path:
    return folder / f"figures-{key}-{version('evaluation')}.safetensors"


def _kept(path: Path) -> Figures | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as file:
            facts = file.metadata()
            counts = file.get_tensor("counts")
            return Figures(json.loads(facts["metrics"]), counts, int(facts["n_words"]), float(facts["seconds"]))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise StoreError(f"{path}: no usable figures ({error}): delete {path.parent} and run again") from None
